"""Summarization: a short text that says what a long one does. Here: reports of the weather.

An encoder reads the document, and a decoder writes the summary a token at a time; each new token
sees the whole document and what is written already:

    encoder:  <s> the day in rome began with rain . it was 12 degrees . people ... </s>
    decoder:  <pad> rome : rain , 12 degrees        ->  rome : rain , 12 degrees </s>

There is no new head: the decoder gives a score to every token of the vocabulary, and the loss is
the cross entropy with the next token of the summary (Lewis and others, "BART", arXiv:1910.13461,
section 3.3). A decoder alone (GPT-2) can do it too: it goes on behind "{source} =>", and only the
summary is in the loss. ROUGE counts words and pairs of words in common with the reference, ROUGE-L
their longest common subsequence (Lin, "ROUGE", 2004).

    python examples/summarization.py
    python examples/summarization.py --train train.jsonl --validation validation.jsonl \\
        --model bart-base --epochs 3 --learning-rate 5e-5 "A long text ..."

Without files it makes a small data set, {"document": ..., "summary": ...} a line; without a model
it starts from nothing. The same on the command line:

    plainformer finetune summarization --model bart-base --train train.jsonl \\
        --validation validation.jsonl --num-train-epochs 3 --learning-rate 5e-5 --output-dir out
    plainformer predict out "A long text ..."

Recipe on public data: dialogsum, in benchmarks/recipes.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "summarization"
CONFIG = {  # an encoder-decoder so small that it learns from nothing in seconds
    "model_type": "transformer",
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_position_embeddings": 64,
    "norm_first": True,
    "dropout": 0.0,
}
TOKENIZER = "bpe:400"
TEXTS = (
    "people stayed at home . it was 12 degrees . the day in rome began with snow .",
    "nobody knew why . in lima the sky was full of fog , and it was 30 degrees .",
)

PLACES = ["rome", "lima", "oslo", "kyoto", "quito", "dover"]
WEATHER = ["rain", "snow", "fog", "wind", "sun", "hail"]
FACTS = [
    ["the day in {place} began with {weather} .", "it was {degrees} degrees ."],
    ["all of {place} was in {weather} .", "with {degrees} degrees it felt like may ."],
    ["in {place} the sky was full of {weather} , and it was {degrees} degrees ."],
]
ASIDES = [
    "people stayed at home .",
    "nobody knew why .",
    "the trains were late again .",
    "a dog ran over the street .",
    "the shops were full .",
]


def make_report(draw: random.Random) -> dict[str, str]:
    """A report with asides between its facts, and what is worth keeping of it."""
    facts = {
        "place": draw.choice(PLACES),
        "weather": draw.choice(WEATHER),
        "degrees": draw.randrange(10, 31),
    }
    sentences = [sentence.format(**facts) for sentence in draw.choice(FACTS)]
    for aside in draw.sample(ASIDES, 2):
        sentences.insert(draw.randrange(len(sentences) + 1), aside)
    summary = "{place} : {weather} , {degrees} degrees".format(**facts)
    return {"document": " ".join(sentences), "summary": summary}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({row["document"]: row for row in (make_report(draw) for _ in range(1100))}.values())
    return (
        write_jsonl(folder / "train.jsonl", rows[100:]),
        write_jsonl(folder / "validation.jsonl", rows[:100]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/summarization", show_default=True)
@click.option("--epochs", "num_train_epochs", default=4.0, show_default=True)
@click.option("--learning-rate", default=3e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that sums up, test it before and after, and sum up TEXTS."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    if train is None and validation is None:
        train, validation = make_data(Path(output_dir))
    if model is None:
        model, tokenizer = CONFIG, tokenizer or TOKENIZER

    result = pf.finetune(
        TASK,
        model,
        train,
        validation,
        output_dir=output_dir,
        tokenizer=tokenizer,
        per_device_train_batch_size=16,
        warmup_steps=0.1,
        num_beams=1,  # the best token at each step; 4 is better for real texts, and slower
        max_target_length=24,
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")

    summarize = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        [best] = summarize(text)
        print(f"{text}\n  {best['summary_text']}")


if __name__ == "__main__":
    main()

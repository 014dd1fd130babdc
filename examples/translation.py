"""Translation: a text in another language. Here: German sentences to English ones.

An encoder reads the source, and a decoder writes the target a token at a time; each new token sees
the whole source and what is written already:

    encoder:  <s> der hund hat die katze gesehen </s>
    decoder:  <pad> the dog has seen the cat        ->  the dog has seen the cat </s>

There is no new head: the decoder gives a score to every token of the vocabulary. The loss is the
cross entropy with the next token of the target (Vaswani and others, "Attention Is All You Need",
arXiv:1706.03762). To translate, beam search keeps a few beginnings and goes on with the most
probable ones. BLEU and chrF count n-grams in common with the reference.

    python examples/translation.py
    python examples/translation.py --train train.tsv --validation validation.tsv \\
        --model config.json --tokenizer bpe:8000 --epochs 4 --learning-rate 1e-3 "ein Hund"

Without files it makes a small data set, {"source": ..., "target": ...} a line (two text files whose
lines belong together are read too), and without a model a tiny one. Word order is what has to be
learned: in German the verb waits for the end. The same on the command line:

    plainformer finetune translation --model config.json --tokenizer bpe:8000 --train train.tsv \\
        --validation validation.tsv --num-train-epochs 4 --learning-rate 1e-3 --output-dir out
    plainformer predict out "ein Hund"
    plainformer predict out --input text.de --format text --output text.en  # line for line

Recipe on public data: multi30k (from scratch), in benchmarks/recipes.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "translation"
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
    "der hund hat die katze gesehen",
    "den hund hat die katze gesehen",
    "heute hat das kind den mann gesucht",
)

NOUNS = [  # as the one who does something, as the other one, and in English
    ("der hund", "den hund", "the dog"),
    ("der mann", "den mann", "the man"),
    ("der vogel", "den vogel", "the bird"),
    ("die katze", "die katze", "the cat"),
    ("die frau", "die frau", "the woman"),
    ("das kind", "das kind", "the child"),
    ("das pferd", "das pferd", "the horse"),
]
VERBS = {"gesehen": "seen", "gefunden": "found", "gesucht": "looked for", "gehört": "heard"}
TIMES = {"heute": "today", "gestern": "yesterday", "am morgen": "in the morning"}


def make_pair(draw: random.Random) -> dict[str, str]:
    """A sentence in both languages. Whoever stands first in German need not be who does it."""
    (one, _, subject), (other, seen, thing) = draw.sample(NOUNS, 2)
    verb, past = draw.choice(list(VERBS.items()))
    when, time = draw.choice(list(TIMES.items()))
    frames = [
        (f"{one} hat {seen} {verb}", f"{subject} has {past} {thing}"),
        (f"{when} hat {one} {seen} {verb}", f"{time} {subject} has {past} {thing}"),
    ]
    if seen != other:  # only the article tells
        frames.append((f"{seen} hat {one} {verb}", f"{subject} has {past} {thing}"))
    source, target = draw.choice(frames)
    return {"source": source, "target": target}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({row["source"]: row for row in (make_pair(draw) for _ in range(1500))}.values())
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
@click.option("--output-dir", default="runs/translation", show_default=True)
@click.option("--epochs", "num_train_epochs", default=6.0, show_default=True)
@click.option("--learning-rate", default=3e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that translates, test it before and after, and translate TEXTS."""
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
        num_beams=1,  # the best token at each step; 4 is better for a real language, and slower
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")

    translate = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        [best] = translate(text)
        print(f"{text}: {best['translation_text']}")


if __name__ == "__main__":
    main()

"""Text classification: which of a few labels fits a text. Here: does a review like the film?

What the model sees is the text between two tokens of its own:

    [CLS] this film was not dull [SEP]

An encoder turns each token into a vector that knows of all the others. The head is a linear layer
on the vector of [CLS] (in BERT behind a pooler: one layer and tanh), with a row for each label;
softmax makes probabilities of its numbers, and the loss is the cross entropy with the right label
(Devlin and others, "BERT", arXiv:1810.04805, section 4.1).

Topics and intents are the same task with other labels. Where the data has a label `oos` (out of
scope: a query that is none of the intents), its recall is told apart from the accuracy of the
others, because a model may buy one with the other (Larson and others, arXiv:1909.02027).

    python examples/text_classification.py
    python examples/text_classification.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --epochs 2 --learning-rate 2e-4 "a film to remember"

A text may have several labels, "label": ["war", "film"], each with a probability of its own (a
sigmoid, and binary cross entropy), or a number, "label": 3.5 (squared error; Pearson and Spearman
say how well). `problem_type` of the model's config.json says which, as in transformers.

Without files it makes a small data set, {"text": ..., "label": ...} a line, and without a model it
starts from nothing. The same on the command line:

    plainformer finetune text-classification --model all-MiniLM-L6-v2 --train train.jsonl \\
        --validation validation.jsonl --num-train-epochs 2 --learning-rate 2e-4 --output-dir out
    plainformer predict out "a film to remember"
    plainformer quantize out out-int8  # int8 weights; every command takes out-int8 as it took out

Recipes on public data: sst2 (sentiment), agnews (topics), clinc150 (intents with oos), in
benchmarks/recipes.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "text-classification"
# An encoder so small that it learns from nothing in seconds. For real texts take one that has
# read much before: it knows the words already.
CONFIG = {
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,  # a narrow model starts better from larger weights
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TOKENIZER = "wordpiece:300"
TEXTS = ("this film was dull", "this film was not dull", "I found the songs so fresh")

GOOD = ["good", "great", "fresh", "funny", "moving", "clever"]
BAD = ["bad", "weak", "dull", "flat", "clumsy", "silly"]
NOUNS = ["film", "story", "cast", "ending", "music", "script", "humor", "acting"]
FRAMES = ["the {noun} was {words}", "{words} , this {noun}", "I found the {noun} {words}"]
FRAMES += ["they say that the {noun} is {words}", "this {noun} , {words} as it was , is over"]


def make_review(draw: random.Random) -> dict[str, str]:
    """A sentence and its label. "not" turns the label around: words alone do not tell it."""
    liked, negated = draw.random() < 0.5, draw.random() < 0.2
    adverb = draw.choice(["not", "never"] if negated else ["so", "very", "really"])
    adjective = draw.choice(GOOD if liked != negated else BAD)
    text = draw.choice(FRAMES).format(noun=draw.choice(NOUNS), words=f"{adverb} {adjective}")
    return {"text": text, "label": "positive" if liked else "negative"}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({row["text"]: row for row in (make_review(draw) for _ in range(1200))}.values())
    return (
        write_jsonl(folder / "train.jsonl", rows[200:]),
        write_jsonl(folder / "validation.jsonl", rows[:200]),
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
@click.option("--output-dir", default="runs/text_classification", show_default=True)
@click.option("--epochs", "num_train_epochs", default=6.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that labels texts, test it before and after, and label TEXTS with it."""
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
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")

    classify = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        [best] = classify(text)
        print(f"{text}: {best['label']} ({best['score']:.0%})")


if __name__ == "__main__":
    main()

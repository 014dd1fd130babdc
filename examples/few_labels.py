"""Few labels: a classifier from 8 texts a label. Here: does a review like the film?

With so few texts a new head on an encoder learns little, and the encoder forgets. SetFit's recipe
(Tunstall and others, arXiv:2209.11055) makes many pairs of few texts: two texts of one label are
alike, two of different labels are not. The encoder learns the cosines of the pairs to be 1 and 0,
which is what sentence encoders are good at; then a logistic regression on its vectors is the head.

The figure before is that of the logistic regression on the vectors as they came, so that what is
gained is seen. The result is a classifier like any other.

    python examples/few_labels.py
    python examples/few_labels.py --train few.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 "a film to remember"

Without files it makes a small data set; without a model it first teaches a tiny encoder which texts
are alike, as sentence encoders were taught with a thousand million pairs. The same on the command
line:

    plainformer finetune text-classification --few-shot --model all-MiniLM-L6-v2 \\
        --train few.jsonl --test validation.jsonl --output-dir out
    plainformer predict out "a film to remember"

What it gives on SST-2 with 8 and 16 texts a label is in docs/recipes.md.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "text-classification"
CONFIG = {
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TEXTS = ("the plot was fine", "a weak finale")

LABELS = ("negative", "positive")
WORDS = {
    "positive": ["good", "great", "fine", "fresh", "clever", "moving"],
    "negative": ["bad", "weak", "dull", "flat", "clumsy", "silly"],
}
THINGS = ["cast", "music", "story", "ending", "plot", "finale"]
FRAMES = ["the {thing} was {word}", "I found the {thing} {word}", "a {word} {thing}"]


def make_review(draw: random.Random, label: str, thing: str | None = None) -> str:
    """A sentence about a thing, of a label."""
    thing = thing or draw.choice(THINGS)
    return draw.choice(FRAMES).format(thing=thing, word=draw.choice(WORDS[label]))


def make_data(folder: Path, draw: random.Random) -> tuple[str, str]:
    """Write 8 texts a label to learn from, and 200 to test on."""
    few = [{"text": make_review(draw, label), "label": label} for label in LABELS for _ in range(8)]
    test = [
        {"text": make_review(draw, label), "label": label} for label in draw.choices(LABELS, k=200)
    ]
    return write_jsonl(folder / "few.jsonl", few), write_jsonl(folder / "validation.jsonl", test)


def make_encoder(folder: Path, draw: random.Random) -> str:
    """An encoder that knows which texts are about the same thing: not yet what is liked."""
    pairs = [
        {"sentence1": make_review(draw, label, thing), "sentence2": make_review(draw, other, thing)}
        for thing in draw.choices(THINGS, k=600)
        for label, other in [draw.choices(LABELS, k=2)]
    ]
    pf.finetune("sentence-similarity", CONFIG, pairs, output_dir=folder, tokenizer="wordpiece:300",
                num_train_epochs=1, learning_rate=1e-3, per_device_train_batch_size=16,
                overwrite_output_dir=True)  # fmt: skip
    return str(folder)


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="A file with few labels; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="The directory of an encoder; without it, a tiny one is made.")
@click.option("--output-dir", default="runs/few_labels", show_default=True)
@click.option("--epochs", "num_train_epochs", default=1.0, show_default=True)
@click.option("--learning-rate", help="Default 5e-5, of a tiny new model 1e-3.", type=float)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, output_dir, learning_rate, **options):
    """Teach an encoder a few labels, test it before and after, and label TEXTS with it."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    folder, draw = Path(output_dir), random.Random(0)
    if train is None and validation is None:
        train, validation = make_data(folder, draw)
    if model is None:
        model, learning_rate = make_encoder(folder / "encoder", draw), learning_rate or 1e-3

    result = pf.finetune(
        TASK,
        model,
        train,
        test=validation,
        output_dir=output_dir,
        few_shot=True,
        learning_rate=learning_rate or 5e-5,
        overwrite_output_dir=True,
        **options,
    )
    figures = result.metrics
    if validation is not None:
        before, after = figures["before_test_accuracy"], figures["test_accuracy"]
        print(f"\naccuracy: {before:.3f} before, {after:.3f} after\n")

    classify = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        [best] = classify(text)
        print(f"{text}: {best['label']} ({best['score']:.0%})")


if __name__ == "__main__":
    main()

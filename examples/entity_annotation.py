"""From annotated texts to annotated texts: names at offsets, as annotation tools export them.

doccano, Label Studio, Prodigy and spaCy say where a name begins and ends in the characters of its
text. Any of these lines, or a JSON array of them, is data:

    {"text": "Ann Lee left Orbix.", "entities": [{"start": 0, "end": 7, "label": "PER"}]}
    {"text": "Ann Lee left Orbix.", "label": [[0, 7, "PER"], [13, 18, "ORG"]]}         doccano
    {"data": {"text": "Ann Lee left Orbix."}, "annotations": [{"result": [...]}]}      Label Studio
    ["Ann Lee left Orbix.", {"entities": [[0, 7, "PER"], [13, 18, "ORG"]]}]            spaCy

The text is cut into words, and each word gets a tag (examples/token_classification.py). A name that
ends inside a word, or overlaps another, is an error that shows it; `bad_spans="skip"` leaves such
out, "expand" and "contract" move its ends to those of words. Tags that are answered make sense
together: the best sequence in which an entity begins with B- and is of one type (Viterbi, 1967).

    python examples/entity_annotation.py
    python examples/entity_annotation.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --epochs 3 --learning-rate 2e-4 "Ann Lee saw Paris."

Without files it makes a small data set; without a model it starts from nothing. What is found in
new texts is printed with its score, written for doccano to be corrected there, and shown on a page,
found.html. The same on the command line:

    plainformer finetune ner --model all-MiniLM-L6-v2 --train train.jsonl \\
        --validation validation.jsonl --num-train-epochs 3 --learning-rate 2e-4 --output-dir out
    plainformer predict out --input new.txt --format doccano --output found.jsonl
    plainformer predict out --input new.txt --output found.html
    plainformer predict out "Ann Lee saw Paris." --format highlight
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "token-classification"
CONFIG = {  # an encoder so small that it learns from nothing in seconds
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
TOKENIZER = "wordpiece:400"
TEXTS = ("Eve Stone left Orbix Ltd; in Rome, Bob joined Acme.", "no names here")

NAMES = {
    "PER": ["Ann Lee", "Bob", "Eve Stone", "Tom", "Paris Hill", "Max Ford", "Ida"],
    "ORG": ["Orbix", "Orbix Ltd", "Acme", "Lumen Works", "Hill & Sons", "Nordal-West"],
    "LOC": ["Paris", "Rome", "New Oslo", "Lima", "Upper Hill", "Kyoto"],
}
FRAMES = """PER works at ORG in LOC.
PER and PER moved to LOC last year
In LOC, ORG hired PER; PER left.
ORG (of LOC) sold its shop to ORG
the rain in LOC did not stop PER
PER's friend joined ORG
no one here knows a name""".splitlines()


def make_text(draw: random.Random) -> dict:
    """A text and where its names are, as doccano exports them."""
    text, label = "", []
    for i, word in enumerate(draw.choice(FRAMES).split()):
        text += " " if i else ""
        kind = next((kind for kind in NAMES if kind in word), None)
        if kind is not None:
            name, place = draw.choice(NAMES[kind]), len(text) + word.index(kind)
            label.append([place, place + len(name), kind])
            word = word.replace(kind, name)
        text += word
    return {"text": text, "label": label}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({row["text"]: row for row in (make_text(draw) for _ in range(1500))}.values())
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "train.jsonl", folder / "validation.jsonl"
    for path, part in zip(paths, (rows[150:], rows[:150])):
        path.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return str(paths[0]), str(paths[1])


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--bad-spans", default="error", show_default=True, help="skip, expand or contract.")
@click.option("--output-dir", default="runs/entity_annotation", show_default=True)
@click.option("--epochs", "num_train_epochs", default=5.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Learn from annotated texts, test before and after, and annotate TEXTS."""
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

    find, texts = pf.pipeline(TASK, output_dir), list(texts or TEXTS)
    found = find(texts)
    marked = pf.highlight(texts, found)
    print(marked)  # in colours on a terminal; in a notebook `marked` alone shows it
    marked.save(Path(output_dir, "found.html"))
    for text, entities in zip(texts, found):
        label = [[e["start"], e["end"], e["entity_group"]] for e in entities]
        print(json.dumps({"text": text, "label": label}, ensure_ascii=False))
        for entity in entities:
            print(f"  {entity['word']}: {entity['entity_group']} ({entity['score']:.0%})")


if __name__ == "__main__":
    main()

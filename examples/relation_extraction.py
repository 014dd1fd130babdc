"""Relation extraction: what a text says of two things in it. Here: which is the cause, the part.

The two things stand between markers, which are tokens of their own:

    [CLS] the [E2] fire [/E2] was caused by the [E1] storm [/E1] [SEP]     Cause-Effect(e1,e2)

The head is a linear layer on the vectors of the two opening markers side by side, the loss the
cross entropy with the relation (Soares and others, "Matching the Blanks", ACL 2019,
arXiv:1906.03158). A relation has a direction: (e1,e2) says that the first is the cause, wherever in
the text it stands. F1 is that of SemEval-2010 task 8: the mean over relations, without Other. Where
the data knows the types of things, the markers carry them: [E1:PER] (Zhou and Chen,
arXiv:2102.01373).

    python examples/relation_extraction.py
    python examples/relation_extraction.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --epochs 3 --learning-rate 2e-4 \\
        "the <e1>saw</e1> is for <e2>wood</e2>"

Without files it makes a small data set, {"text": "the <e1>storm</e1> ...", "label": ...} a line;
without a model it starts from nothing. The same on the command line:

    plainformer finetune relation-extraction --model all-MiniLM-L6-v2 --train train.jsonl \\
        --validation validation.jsonl --num-train-epochs 3 --learning-rate 2e-4 --output-dir out
    plainformer predict out "the <e1>saw</e1> is for <e2>wood</e2>"

Recipe on public data: semeval, in benchmarks/recipes.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "relation-extraction"
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
TOKENIZER = "wordpiece:300"
TEXTS = (
    "the <e1>storm</e1> led to a <e2>fire</e2>",
    "the <e1>fire</e1> was caused by a <e2>storm</e2>",
    "a <e1>fire</e1> and a <e2>storm</e2>",
)

THINGS = ["storm", "fire", "flood", "noise", "wheel", "door", "engine", "garden", "roof", "lamp"]
FRAMES = {  # A is the cause, or the part
    "Cause-Effect": ["the A led to a B", "the B was caused by a A", "a B came from the A"],
    "Component-Whole": ["the A is part of the B", "the B has a A", "a B with its A"],
    "Other": ["a A and a B", "the A was near the B", "the B , not the A"],
}
BEFORE = ["", "they say that ", "in the end , ", "as we saw , "]


def make_example(draw: random.Random) -> dict[str, str]:
    """A sentence with two marked things, either of which may be A."""
    relation = draw.choice(list(FRAMES))
    one, other = draw.sample(THINGS, 2)
    first, second = draw.choice([("e1", "e2"), ("e2", "e1")])  # the names of A and B
    marked = {"A": f"<{first}>{one}</{first}>", "B": f"<{second}>{other}</{second}>"}
    words = [marked.get(word, word) for word in draw.choice(FRAMES[relation]).split()]
    label = relation if relation == "Other" else f"{relation}({first},{second})"
    return {"text": draw.choice(BEFORE) + " ".join(words), "label": label}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({row["text"]: row for row in (make_example(draw) for _ in range(1200))}.values())
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
@click.option("--output-dir", default="runs/relation_extraction", show_default=True)
@click.option("--epochs", "num_train_epochs", default=4.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that tells relations, test it before and after, and tell those of TEXTS."""
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

    relate = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        found = relate(text)
        print(f"{text}: {found['label']} of {found['head']} and {found['tail']}")


if __name__ == "__main__":
    main()

"""Token classification: a tag for each word. Here: the names of persons, companies and places.

What the model sees is a sentence in sub-tokens, and what it learns is a tag at the first sub-token
of each word; the others are left out of the loss:

    [CLS]  ann    lee    works  at   or     ##bix  in   paris  [SEP]
           B-PER  I-PER  O      O    B-ORG         O    B-LOC

B- begins a name, I- goes on with it, O is none (IOB2). The head is a linear layer on the vector of
each token, the loss the cross entropy with the tag (Devlin and others, "BERT", arXiv:1810.04805,
section 5.3). F1 counts whole names: the right words and the right kind. A sentence longer than the
model takes is seen in windows, so that no word is lost.

    python examples/token_classification.py
    python examples/token_classification.py --train train.conll --validation validation.conll \\
        --model all-MiniLM-L6-v2 --epochs 3 --learning-rate 2e-4 "Ann Lee saw Paris."

Without files it makes a small data set in columns, a word and its tag a line and an empty line
between sentences; without a model it starts from nothing. The same on the command line:

    plainformer finetune ner --model all-MiniLM-L6-v2 --train train.conll \\
        --validation validation.conll --num-train-epochs 3 --learning-rate 2e-4 --output-dir out
    plainformer predict out "Ann Lee saw Paris."

Recipes on public data: conll2003, wnut17, in benchmarks/recipes.
"""

from __future__ import annotations

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
TEXTS = ("Paris Lee left Orbix and moved to Rome.", "no one in Ford knows Ford")

NAMES = {  # some words name two kinds of things: only the sentence can tell which
    "PER": ["Ann Lee", "Bob", "Eve Stone", "Tom", "Paris Hill", "Max Ford", "Ida", "Ford", "Leo"],
    "ORG": ["Orbix", "Orbix Ltd", "Acme", "Ford", "Lumen Works", "Hill and Sons", "Nordal", "Ida"],
    "LOC": ["Paris", "Rome", "New Oslo", "Lima", "Vale", "Upper Hill", "Ford", "Kyoto"],
}
FRAMES = """PER works at ORG in LOC
PER and PER moved to LOC last year
in LOC , ORG hired PER
ORG of LOC sold its shop to ORG
the rain in LOC did not stop PER
no one at ORG knows PER
yesterday PER left ORG and moved to LOC .
all roads lead to LOC , said PER
there is no one in LOC like PER""".splitlines()


def make_sentence(draw: random.Random) -> str:
    """The lines of a sentence: a word and its tag each."""
    lines = []
    for word in draw.choice(FRAMES).split():
        name = draw.choice(NAMES[word]).split() if word in NAMES else []
        lines += [f"{part} {'I' if i else 'B'}-{word}" for i, part in enumerate(name)]
        lines += [] if name else [f"{word} O"]
    return "\n".join(lines)


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no sentence."""
    draw = random.Random(0)
    sentences = list(dict.fromkeys(make_sentence(draw) for _ in range(1000)))
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "train.conll", folder / "validation.conll"
    for path, part in zip(paths, (sentences[200:], sentences[:200])):
        path.write_text("\n\n".join(part) + "\n", encoding="utf-8")
    return str(paths[0]), str(paths[1])


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/token_classification", show_default=True)
@click.option("--epochs", "num_train_epochs", default=5.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that finds names, test it before and after, and find those in TEXTS."""
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

    find = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        names = ", ".join(f"{e['word']} is {e['entity_group']}" for e in find(text))
        print(f"{text}: {names or 'no names'}")


if __name__ == "__main__":
    main()

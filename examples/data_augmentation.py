"""Data augmentation: new labelled texts out of a few. Here: what a sentence is about.

Labels cost work, plain text costs nothing. A masked language model learns from plain text which
words go together. Then words of a labelled text are hidden and the model writes others in their
places; the label stays:

    space   the comet is near the moon , the star and the crew
            the comet is near the [MASK] , the star and the [MASK]
    space   the comet is near the orbit , the star and the signal       <- a new example

Masks are filled one after another by drawing among likely words, so every copy is another one
(Kumar, Choudhary, Cho, "Data Augmentation Using Pre-trained Transformer Models", arXiv:2003.02245).
Here the words that stay tell the model the topic. Where they do not, as in opinions ("the plot was
[MASK]"), --label-epochs lets it first read the few examples with their labels in front.

The gain is measured: of --train, a few labels are drawn, and the rest is plain text. The same
classifier makes as many steps on the few as on the few with the new, for several draws. Measure it
on your data too: new texts may be wrong, and a large encoder knows already what they would teach.

    python examples/data_augmentation.py
    python examples/data_augmentation.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --few 10 --label-epochs 10 --learning-rate 2e-4

Without files it makes a small data set, {"text": ..., "label": ...} a line; without a model it
starts from nothing. The same on the command line:

    plainformer pretrain --objective mlm --packing --model all-MiniLM-L6-v2 --data texts.jsonl \\
        --mlm-probability 0.4 --learning-rate 5e-4 --block-size 64 --output-dir mlm
    plainformer augment mlm --data few.jsonl --copies 16 --mask-fraction 0.5 --output new.jsonl
    plainformer finetune text-classification --model all-MiniLM-L6-v2 --train few.jsonl new.jsonl \\
        --validation validation.jsonl --output-dir out
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import click

import plainformer as pf
from plainformer.cli import main as plainformer

TASK = "text-classification"
CONFIG = {  # an encoder so small that it learns from nothing in seconds
    "model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 64, "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
TOKENIZER = "wordpiece:300"

WORDS = {
    "kitchen": ["bread", "soup", "oven", "spoon", "cheese", "sugar", "kettle", "plate", "onion"],
    "football": ["goal", "player", "coach", "ball", "match", "team", "referee", "pass", "keeper"],
    "space": ["planet", "rocket", "star", "orbit", "moon", "comet", "engine", "crew", "galaxy"],
}
FRAMES = ["the {} is near the {} , the {} and the {}", "{} , {} , {} or {} : which one ?"]
FRAMES += ["no {} without {} , no {} without {}"]


def make_row(draw: random.Random, label: str) -> dict:
    """A sentence with four words of a topic."""
    return {"text": draw.choice(FRAMES).format(*draw.sample(WORDS[label], 4)), "label": label}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on."""
    draw = random.Random(0)
    rows = [make_row(draw, label) for label in list(WORDS) * 400]
    return (
        write_jsonl(folder / "train.jsonl", rows[180:]),
        write_jsonl(folder / "validation.jsonl", rows[:180]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def draw_few(examples: list, count: int, seed: int) -> list:
    """`count` examples of each label."""
    shuffled = random.Random(seed).sample(examples, len(examples))
    labels = sorted({example.label for example in examples})
    return [e for label in labels for e in [x for x in shuffled if x.label == label][:count]]


def train_masked_lm(examples: list, model: str | None, folder: Path, epochs: float) -> str:
    """A masked language model of texts without their labels, from a directory or from nothing."""
    text = write_jsonl(folder / "texts.jsonl", [{"text": example.text} for example in examples])
    config, out = folder / "config.json", str(folder / "mlm")
    config.write_text(json.dumps(CONFIG))
    flags = {"model": model} if model else {"config": config, "tokenizer": TOKENIZER}
    flags |= {
        "objective": "mlm", "data": text, "output-dir": out, "block-size": 64,
        "num-train-epochs": epochs, "learning-rate": 5e-4 if model else 5e-3, "warmup-steps": 0.1,
        "mlm-probability": 0.4, "logging-steps": 0.25,
    }  # fmt: skip
    words = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
    plainformer(["pretrain", "--packing", "--overwrite-output-dir", *words], standalone_mode=False)
    return out


@click.command()
@click.option("--train", help="Labelled texts; without files, a small set is made.")
@click.option("--validation", help="A file to test on.")
@click.option("--model", help="An encoder's directory; without it, a tiny new model.")
@click.option("--output-dir", default="runs/data_augmentation", show_default=True)
@click.option("--few", default=1, show_default=True, help="Labels that are used, of each kind.")
@click.option("--draws", default=6, show_default=True)
@click.option("--mlm-epochs", default=20.0, show_default=True)
@click.option("--copies", default=16, show_default=True)
@click.option("--mask-fraction", default=0.5, show_default=True)
@click.option("--label-epochs", default=0, show_default=True)
@click.option("--max-steps", default=60, show_default=True, help="Of the classifier.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="Of the classifier.")
def main(train, validation, model, output_dir, few, draws, mlm_epochs, **options):
    """Write new examples, and measure what a classifier gains by them."""
    folder = Path(output_dir)
    if train is None and validation is None:
        train, validation = make_data(folder)
    examples = list(pf.data.read_examples(train, TASK))
    masked_lm = train_masked_lm(examples, model, folder, mlm_epochs)
    learning = {name: options.pop(name) for name in ("max_steps", "learning_rate")}

    def accuracy(labelled: list, seed: int) -> float:
        result = pf.finetune(
            TASK,
            model or CONFIG,
            labelled,
            test=validation,
            output_dir=folder / "classifier",
            tokenizer=None if model else masked_lm,
            per_device_train_batch_size=16,
            overwrite_output_dir=True,
            save_strategy="no",
            seed=seed,
            **learning,
        )
        return result.metrics["test_accuracy"]

    found = []
    for seed in range(draws):
        labelled = draw_few(examples, few, seed)
        new = pf.augment(masked_lm, labelled, seed=seed, **options)
        found.append((accuracy(labelled, seed), accuracy([*labelled, *new], seed)))
        print(f"{found[-1][0]:.3f} from {len(labelled)}, {found[-1][1]:.3f} with {len(new)} new:")
        for example in new[:: max(1, len(new) // 2)]:
            print(f"  {example.label:10} {example.text}")
    before, after = (sum(column) / draws for column in zip(*found))
    print(f"accuracy, learned from the few: {before:.3f}")
    print(f"accuracy, learned from the few and the new: {after:.3f}")


if __name__ == "__main__":
    main()

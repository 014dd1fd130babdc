"""Data augmentation: new labelled texts out of a few. Here: what people say of films.

Labels cost work, plain text costs nothing. A masked language model learns from plain text which
words fit where. Then words of a labelled text are hidden and the model writes others:

    good    the plot was clever and the music was lovely
            the plot was [MASK] and the music was lovely
    good    the plot was moving and the music was lovely       <- a new example

So that a new word fits the label as well, the model first reads the few examples with their labels
in front, "good the plot was ..." (Kumar, Choudhary, Cho, "Data Augmentation Using Pre-trained
Transformer Models", arXiv:2003.02245). The gain is measured: the same classifier makes the same
number of steps on the few, and on the few with the new. It is largest where labels are fewest.

    python examples/data_augmentation.py
    python examples/data_augmentation.py --train few.jsonl --validation validation.jsonl \\
        --text texts.jsonl --model all-MiniLM-L6-v2 --learning-rate 2e-4

Without files it makes a small data set, {"text": ..., "label": ...} a line; without a model it
starts from nothing. The same on the command line:

    plainformer pretrain --objective mlm --packing --model all-MiniLM-L6-v2 --data texts.jsonl \\
        --block-size 64 --learning-rate 5e-4 --output-dir mlm
    plainformer augment mlm --data few.jsonl --copies 8 --mask-fraction 0.3 --output new.jsonl
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

THINGS = ["plot", "music", "ending", "cast", "humor", "camera", "dialogue", "pace"]
OPINIONS = {
    "good": ["clever", "lovely", "moving", "fresh", "warm", "bold", "honest", "bright"],
    "bad": ["dull", "stale", "loud", "weak", "cold", "silly", "empty", "clumsy"],
}
FRAMES = ["the {} was {} and the {} was {}", "{} {} , {} {}", "i found the {} {} and the {} {}"]


def make_text(draw: random.Random, label: str) -> str:
    """Two things of a film, and what somebody thinks of them."""
    things, opinions = draw.sample(THINGS, 2), draw.sample(OPINIONS[label], 2)
    return draw.choice(FRAMES).format(things[0], opinions[0], things[1], opinions[1])


def make_data(folder: Path) -> tuple[str, str, str]:
    """Write four examples of each label, 200 to test on, and 1000 texts without labels."""
    draw = random.Random(0)
    rows = [{"text": make_text(draw, label), "label": label} for label in list(OPINIONS) * 604]
    return (
        write_jsonl(folder / "few.jsonl", rows[:8]),
        write_jsonl(folder / "validation.jsonl", rows[8:208]),
        write_jsonl(folder / "texts.jsonl", [{"text": row["text"]} for row in rows[208:]]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def train_masked_lm(text: str, model: str | None, folder: Path, epochs: float) -> str:
    """A masked language model of plain text, from a directory or from nothing."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    start = ["--config", str(folder / "config.json"), "--tokenizer", TOKENIZER]
    out = str(folder / "mlm")
    plainformer(
        ["pretrain", "--objective", "mlm", "--packing", "--data", text, "--output-dir", out,
         *(["--model", model] if model else start), "--block-size", "64",
         "--num-train-epochs", str(epochs), "--learning-rate", "5e-4" if model else "5e-3",
         "--warmup-steps", "0.1", "--logging-steps", "0.25", "--overwrite-output-dir"],
        standalone_mode=False,
    )  # fmt: skip
    return out


@click.command()
@click.option("--train", help="A few labelled texts; without files, a small set is made.")
@click.option("--validation", help="A file to test on.")
@click.option("--text", help="Texts without labels, JSONL.  [default: those of --train]")
@click.option("--model", help="An encoder's directory; without it, a tiny new model.")
@click.option("--output-dir", default="runs/data_augmentation", show_default=True)
@click.option("--copies", default=8, show_default=True)
@click.option("--mlm-epochs", default=6.0, show_default=True)
@click.option("--max-steps", default=60, show_default=True, help="Of the classifier.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="Of the classifier.")
@click.option("--seed", default=42, show_default=True)
def main(train, validation, text, model, output_dir, copies, mlm_epochs, seed, **options):
    """Write new examples, and measure what a classifier gains by them."""
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if train is None and validation is None:
        train, validation, text = make_data(folder)

    masked_lm = train_masked_lm(text or train, model, folder, mlm_epochs)
    few = list(pf.data.read_examples(train, TASK))
    new = pf.augment(masked_lm, few, copies=copies, mask_fraction=0.3, seed=seed)
    print(f"\n{len(few)} labelled texts, {len(new)} new ones:")
    for example in new[:: max(1, len(new) // 8)]:
        print(f"  {example.label:10} {example.text}")

    for name, examples in (("few", few), ("few and new", [*few, *new])):
        result = pf.finetune(
            TASK,
            model or masked_lm,
            examples,
            test=validation,
            output_dir=folder / name.replace(" ", "_"),
            per_device_train_batch_size=16,
            overwrite_output_dir=True,
            save_strategy="no",
            disable_tqdm=True,
            seed=seed,
            **options,
        )
        print(f"accuracy, learned from {name}: {result.metrics['test_accuracy']:.3f}")


if __name__ == "__main__":
    main()

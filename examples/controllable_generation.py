"""Controllable generation: write texts of a wanted kind. Here: what guests say of a hotel.

Each label gets a token of its own, a control code, and each text is learned behind it:

    <|label:good|>the room was clean and the staff kind<|endoftext|>
    <|label:bad|>a loud room and a rude man at the desk<|endoftext|>

The code is read but not learned, the text and its end are. To write, the model starts from the code
of the label that is wanted, with or without the beginning of a text behind it (Keskar and others,
"CTRL", 2019, arXiv:1909.05858). Codes are put in as ids: no text can spell one.

On top of that come constraints on what is drawn: words that must or must not occur, a least length,
no run of words twice.

    python examples/controllable_generation.py
    python examples/controllable_generation.py --train train.jsonl --validation validation.jsonl \\
        --model DIR --epochs 3 --learning-rate 2e-4 positive negative

Without files it makes a small data set, {"text": ..., "label": ...} a line; without a model it
starts from nothing. The same on the command line:

    plainformer finetune language-modeling --control-codes --model DIR --train train.jsonl \\
        --validation validation.jsonl --output-dir out
    plainformer predict out '{"label": "good"}' '{"label": "bad", "text": "the room"}'
    plainformer generate out --label good --temperature 0.8

How much control that gives on real texts: benchmarks/controllable.py.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "language-modeling"
CONFIG = {  # a decoder so small that it learns from nothing in seconds
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 4,
    "n_embd": 64,
    "n_positions": 48,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
TOKENIZER = "bpe:400"

THINGS = ["room", "bed", "breakfast", "staff", "bath", "view", "bar", "garden"]
WORDS = {
    "good": ["clean", "kind", "quiet", "lovely", "warm", "fresh", "friendly", "bright"],
    "bad": ["dirty", "rude", "loud", "awful", "cold", "stale", "broken", "dark"],
}
FRAMES = ["the {} was {}", "a {} that is {}", "we found the {} {}", "such a {} , so {}"]


def make_text(draw: random.Random, label: str) -> str:
    """One or two things and what they were like."""
    parts = [
        draw.choice(FRAMES).format(draw.choice(THINGS), draw.choice(WORDS[label]))
        for _ in range(draw.choice([1, 2]))
    ]
    return " and ".join(parts)


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    labels = {make_text(draw, label): label for _ in range(900) for label in WORDS}
    rows = [{"text": text, "label": label} for text, label in labels.items()]
    return (
        write_jsonl(folder / "train.jsonl", rows[100:]),
        write_jsonl(folder / "validation.jsonl", rows[:100]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def show(what: str, directory: str, asked: dict, **settings) -> list[str]:
    """Draw five texts and print them."""
    write = pf.pipeline(
        TASK, directory, do_sample=True, temperature=0.8, num_return_sequences=5, **settings
    )
    texts = [one["generated_text"] for one in write(asked)]
    print(f"\n{what}", *texts, sep="\n    ")
    return texts


@click.command()
@click.argument("labels", nargs=-1, metavar="[LABEL...]")
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as bpe:8000.")
@click.option("--output-dir", default="runs/controllable_generation", show_default=True)
@click.option("--epochs", "num_train_epochs", default=8.0, show_default=True)
@click.option("--learning-rate", default=3e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(labels, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that writes texts of a label, and let it write some of each LABEL."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    made = train is None and validation is None
    if made:
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
        control_codes=True,
        per_device_train_batch_size=32,
        warmup_steps=0.1,
        overwrite_output_dir=True,
        **options,
    )
    if validation is not None:
        before, after = (result.metrics[f"{when}eval_perplexity"] for when in ("before_", ""))
        print(f"\nperplexity before and after: {before:.1f} {after:.1f}")

    for label in labels or (WORDS if made else ()):
        texts = show(f"of label {label}:", output_dir, {"label": label})
        if made:
            kept = sum(any(word in text for word in WORDS[label]) for text in texts)
            print(f"  {kept} of {len(texts)} with a word of that label")
    if made:
        show("good, of the garden:", output_dir, {"label": "good", "text": "the garden"})
        show("bad, but not loud:", output_dir, {"label": "bad"}, bad_words=["loud", "dirty"])
        asked, room = {"label": "good", "text": "we found"}, {"max_new_tokens": 16}
        show("good, with a view:", output_dir, asked, force_words=["view"], **room)


if __name__ == "__main__":
    main()

"""Dialogue: what does the assistant say next? Here: a shop that remembers who wants what.

A decoder reads the dialogue as one text, in ChatML unless the model came with a template of its
own, and goes on behind the beginning of the assistant's turn:

    <|im_start|>user
    I am Ann, I need a lamp.<|im_end|>
    <|im_start|>assistant
    Hello Ann! A lamp is 12 coins.<|im_end|>

The markers are tokens of their own, so nobody can type them. The loss is the cross entropy of the
assistant's words and of the <|im_end|> behind them; what users say is read and not learned
(Ouyang and others, "Training language models to follow instructions", arXiv:2203.02155, learn from
such demonstrations). Perplexities of different tokenizers do not compare, bits a character do:
-log2 p of all the assistant says, over the characters of it.

    python examples/dialogue.py
    python examples/dialogue.py --train train.jsonl --validation validation.jsonl \\
        --model path/to/SmolLM2-135M-Instruct --epochs 2 --learning-rate 1e-4 "Who are you?"

Without files it makes a small data set, {"messages": [{"role": ..., "content": ...}, ...]} a line,
and without a model it starts from a tiny new one. The same on the command line:

    plainformer finetune dialogue --model DIR --train train.jsonl --validation validation.jsonl \\
        --num-train-epochs 2 --learning-rate 1e-4 --output-dir out
    plainformer chat out

A recipe on public data: dailydialog, in benchmarks/recipes.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "dialogue"
CONFIG = {  # a decoder so small that it learns from nothing in seconds
    "model_type": "gpt2",
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "initializer_range": 0.1,  # a narrow model starts better from larger weights
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
TOKENIZER = "bpe:400"
TURNS = ("Hi, I am Ann and I need a lamp.", "Can you bring it?")

NAMES = ["Ann", "Bob", "Eve", "Tom", "Kim", "Max", "Ida", "Leo"]
PRICES = {"lamp": 12, "rope": 5, "map": 7, "tent": 40, "kettle": 15, "knife": 9}
OPENINGS = ["Hi, I am {name} and I need a {thing}.", "{name} here, do you have a {thing}?"]
ORDERS = ["Can you bring it?", "I take it.", "Please send it to me."]


def make_dialogue(draw: random.Random) -> dict[str, list[dict[str, str]]]:
    """Two questions and answers. Only who read the first knows the second answer."""
    name, thing = draw.choice(NAMES), draw.choice(list(PRICES))
    said = [
        draw.choice(OPENINGS).format(name=name, thing=thing),
        f"Hello {name}! A {thing} is {PRICES[thing]} coins.",
        draw.choice(ORDERS),
        f"We bring the {thing} to you, {name}.",
    ]
    roles = ("user", "assistant") * 2
    return {"messages": [{"role": r, "content": text} for r, text in zip(roles, said)]}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no dialogue."""
    draw = random.Random(0)
    rows = {json.dumps(make_dialogue(draw)): None for _ in range(1000)}
    lines = list(rows)
    return (
        write_lines(folder / "train.jsonl", lines[50:]),
        write_lines(folder / "validation.jsonl", lines[:50]),
    )


def write_lines(path: Path, lines: list[str]) -> str:
    """Write texts, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


@click.command()
@click.argument("turns", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny one.")
@click.option("--tokenizer", help="For a model without one, bpe:SIZE.")
@click.option("--output-dir", default="runs/dialogue", show_default=True)
@click.option("--epochs", "num_train_epochs", default=8.0, show_default=True)
@click.option("--learning-rate", default=3e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(turns, train, validation, model, tokenizer, output_dir, **options):
    """Train a model to answer, test it before and after, and say TURNS to it."""
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

    answer = pf.pipeline(TASK, output_dir)
    messages: list[dict[str, str]] = []
    for turn in turns or TURNS:
        messages.append({"role": "user", "content": turn})
        messages = answer({"messages": messages})["generated_text"]
        print(f"user: {turn}\nassistant: {messages[-1]['content']}")


if __name__ == "__main__":
    main()

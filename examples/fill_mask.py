"""Filling masks: which word belongs where a text has a hole. The model learns from text alone.

A masked language model sees a text in which some tokens are hidden and says what they were:

    [CLS] the cat drinks [MASK] . [SEP]
                         ^ milk

The head gives a score for each token of the vocabulary at each place; the loss is the cross entropy
at the hidden places, 15 % of all (Devlin and others, "BERT", arXiv:1810.04805, section 3.1). No one
labels anything: what was hidden is the label. An encoder that has learned this from much text is
what the other pages fine-tune.

    python examples/fill_mask.py
    python examples/fill_mask.py --train 'texts/*.txt' --validation held.txt --steps 2000 \\
        "The [MASK] is wet."

Without files it makes a small text; --model goes on from a checkpoint in place of a new model. The
same on the command line:

    plainformer pretrain --objective mlm --packing --data 'texts/*.txt' --validation held.txt \\
        --config bert.json --tokenizer wordpiece:8000 --max-steps 2000 --output-dir out
    plainformer predict out "The [MASK] is wet." --top-k 3
    plainformer predict out "The [MASK] is wet." --targets sea --targets sand
    plainformer evaluate out --data other.txt
"""

from __future__ import annotations

import json
import logging
import math
import random
from pathlib import Path

import click

import plainformer as pf

CONFIG = {  # an encoder so small that it learns from nothing in seconds
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 32,
    "initializer_range": 0.1,  # a narrow model starts better from larger weights
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TOKENIZER = "wordpiece:120"
DRINKS = {"cat": "milk", "baker": "coffee", "sailor": "rum", "child": "juice"}
PLACES = {"cat": "roof", "baker": "shop", "sailor": "ship", "child": "garden"}
TEXTS = ("the cat drinks [MASK] .", "the [MASK] drinks rum on the [MASK] .")


def make_data(folder: Path) -> tuple[str, str]:
    """Write a text to learn from and one to test on: who drinks what, and where."""
    draw, folder = random.Random(0), folder / "text"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for _ in range(800):
        who = draw.choice(list(DRINKS))
        where = f"on the {PLACES[who]}" if draw.random() < 0.5 else ""
        often = draw.choice(["", "today", "every day"])
        lines.append(" ".join(f"the {who} drinks {DRINKS[who]} {where} {often} .".split()))
    files = (folder / "train.jsonl", folder / "validation.jsonl")
    for file, part in zip(files, (lines[100:], lines[:100])):
        rows = (json.dumps({"text": line}) + "\n" for line in part)
        file.write_text("".join(rows), encoding="utf-8")
    return str(files[0]), str(files[1])


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="Files to learn from; without, a small text is made.")
@click.option("--validation", help="A file to test on.")
@click.option("--model", help="A directory to go on from; without it, a tiny new model.")
@click.option("--tokenizer", default=TOKENIZER, show_default=True, help="Of a new model.")
@click.option("--output-dir", default="runs/fill_mask", show_default=True)
@click.option("--steps", "max_steps", default=300, show_default=True)
@click.option("--learning-rate", default=3e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Learn to fill the holes of a text, and fill those of TEXTS."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    if train is None and validation is None:
        train, validation = make_data(Path(output_dir))
    made = {"config": CONFIG, "tokenizer": tokenizer} if model is None else {"model": model}

    result = pf.pretrain(
        train,
        validation,
        objective="mlm",
        packing=True,  # a text does not see its neighbors
        output_dir=output_dir,
        per_device_train_batch_size=16,
        warmup_steps=0.1,
        overwrite_output_dir=True,
        **made,
        **options,
    )
    print(f"\n{result}\n")
    if validation is not None:
        print(f"perplexity, guessed by frequency: {math.exp(result.metrics['unigram_loss']):.2f}")
        print(f"perplexity, from what is around: {result.metrics['eval_perplexity']:.2f}\n")

    fill = pf.pipeline("fill-mask", output_dir, top_k=3)
    for text in texts or TEXTS:
        found = fill(text)
        print(text)
        for best in [found] if isinstance(found[0], dict) else found:  # a list for each of several
            print("  " + ", ".join(f"{one['token_str']} ({one['score']:.0%})" for one in best))


if __name__ == "__main__":
    main()

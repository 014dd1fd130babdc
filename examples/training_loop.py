"""A training loop by hand: model, optimizer and schedule, and the five lines that train.

`Trainer` evaluates, logs, saves, resumes and stops early; the training itself is this:

    for rows in batches:
        model(input_ids=rows, labels=rows).loss.backward()      gradients are added to parameters
        clip_grad_norm_(model.parameters(), 1.0)                so that one batch cannot do harm
        optimizer.step()                                        the parameters move
        scheduler.step()                                        the next learning rate
        optimizer.zero_grad()                                   gradients start from nothing again

Here a small GPT learns to add, a character at a time: "seven and five make twelve." Its loss is the
cross entropy with the next character; perplexity, the exponential of the mean loss, says among how
many characters it still wavers. AdamW is Loshchilov and Hutter's (arXiv:1711.05101), the rate falls
along half a cosine after some warmup. Matrices decay and vectors do not, so there are two groups of
parameters. A module of your own is trained the same way: whatever gives a loss.

    python examples/training_loop.py
    python examples/training_loop.py --train text.txt --steps 2000 --learning-rate 1e-3

On the command line such a model is trained, evaluated and saved by

    plainformer pretrain --data text.txt --tokenizer char --config config.json --output-dir out
    plainformer generate runs/training_loop "seven and five make"
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import click
import numpy as np

import plainformer as pf

NAMES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen"""
BATCH, LENGTH = 16, 64


def make_text(count: int) -> str:
    """Sums, a sentence each."""
    words, draw = NAMES.split(), random.Random(0)
    pairs = [(draw.randrange(10), draw.randrange(10)) for _ in range(count)]
    return "".join(f"{words[a]} and {words[b]} make {words[a + b]}.\n" for a, b in pairs)


def make_model(tokenizer, seed: int):
    """A GPT of two layers that starts from nothing."""
    config = pf.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=LENGTH,
        n_embd=64,
        n_layer=2,
        n_head=4,
        initializer_range=0.1,  # a narrow model starts better from larger weights
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return pf.GPT2LMHeadModel(config, seed)


def make_optimizer(model, learning_rate: float):
    """AdamW with decay of matrices alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return pf.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99))


def draw_batch(ids: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Rows of the text from random places, (BATCH, LENGTH)."""
    starts = draw.integers(len(ids) - LENGTH, size=BATCH)
    return np.stack([ids[start : start + LENGTH] for start in starts])


def perplexity(model, ids: np.ndarray) -> float:
    """Of the text in rows of LENGTH, the rest left out."""
    rows = ids[: len(ids) // LENGTH * LENGTH].reshape(-1, LENGTH)
    model.eval()
    with pf.no_grad():
        loss = model(input_ids=rows, labels=rows).loss
    model.train()
    return math.exp(loss.item())


@click.command()
@click.option("--train", help="A text to learn from; without it, sums are made.")
@click.option("--output-dir", default="runs/training_loop", show_default=True)
@click.option("--steps", default=500, show_default=True)
@click.option("--learning-rate", default=5e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(train, output_dir, steps, learning_rate, seed):
    """Train a small GPT on a text by hand, test it on its last tenth, and save it."""
    text = make_text(2000) if train is None else Path(train).read_text(encoding="utf-8")
    documents = [pf.data.Document(text, "")]
    tokenizer = pf.data.make_tokenizer(pf.data.parse_spec("char"), documents)
    ids = np.array(tokenizer.encode(text).ids, np.int32)
    learned, held_back = np.split(ids, [len(ids) * 9 // 10])

    model = make_model(tokenizer, seed)
    optimizer = make_optimizer(model, learning_rate)
    scheduler = pf.optim.get_scheduler("cosine", optimizer, steps // 10, steps)
    draw = np.random.default_rng(seed)
    before = perplexity(model, held_back)
    model.train()
    for step in range(1, steps + 1):
        rows = draw_batch(learned, draw)
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        norm = pf.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step}  loss {loss.item():.3f}  gradient norm {norm:.2f}")
    print(f"perplexity before and after: {before:.2f} {perplexity(model, held_back):.2f}")

    # What goes on from here needs all three; a directory of these loads with pf.load.
    model.save_pretrained(output_dir)
    pf.data.save_tokenizer(tokenizer, output_dir)
    pf.checkpoints.save_file(optimizer.state_dict(), Path(output_dir, "optimizer.safetensors"))
    Path(output_dir, "scheduler.json").write_text(json.dumps(scheduler.state_dict()))


if __name__ == "__main__":
    main()

"""Time fine-tuning steps on texts of many lengths beside PyTorch, each with its best batching.

    python benchmarks/finetune.py [--data F.jsonl --model DIR] [--steps N] [--rounds N]
                                  [--level LEVEL]
                                  [--peer-python PYTHON] [--output F.json | --record]

PyTorch computes padding, so it gets batches of like lengths: chunks of 50 batches sorted by length,
the batches in random order. We compute real tokens only, and take the same texts plainly shuffled,
and for comparison in PyTorch's batches too. Both make the same number of steps on the same texts;
rounds alternate between processes. Without --data, lengths are drawn like those of sentences
(median 22 tokens, at most 64), and without --model weights are random, of MiniLM-L6's shape.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np
from encoder_model import write_model
from running import OURS, Results, Setup, Sides, closing, loaded, measuring
from turns import comparison, show, take_turns

from plainformer.data import TextEncoder, read_examples, read_tokenizer

BATCH, LIMIT, CHUNK = 32, 64, 50
GOAL = 0.8  # our time over PyTorch's


def token_rows(data: str | None, model: str | None, count: int) -> list[np.ndarray]:
    """Ids of `count` texts, of a file or drawn."""
    rng = np.random.default_rng(0)
    if data is None:
        lengths = np.clip(np.exp(rng.normal(np.log(22), 0.5, count)), 4, LIMIT).astype(int)
        return [rng.integers(1000, 30000, length) for length in lengths]
    examples = read_examples(data, "text-classification")
    texts = [examples[int(i)].text for i in rng.permutation(len(examples))[:count]]
    encoded = TextEncoder(read_tokenizer(model or "")).encode(texts, max_length=LIMIT)
    return [one.input_ids for one in encoded]


def grouped(lengths: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of like lengths in random order."""
    order = rng.permutation(len(lengths))
    for start in range(0, len(order), CHUNK * BATCH):
        chunk = order[start : start + CHUNK * BATCH]
        chunk = chunk[np.argsort(-lengths[chunk], kind="stable")]
        cuts = [chunk[i : i + BATCH] for i in range(0, len(chunk), BATCH)]
        yield from (cuts[int(i)] for i in rng.permutation(len(cuts)))


def shuffled(lengths: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches in random order of texts."""
    order = rng.permutation(len(lengths))
    yield from (order[i : i + BATCH] for i in range(0, len(order), BATCH))


def padded(rows: list[np.ndarray], chosen: np.ndarray) -> dict[str, Any]:
    """A batch with padding, as both sides take it."""
    own = [rows[int(i)] for i in chosen]
    longest = max(map(len, own))
    ids = np.zeros((len(own), longest), np.int64)
    for row, values in zip(ids, own):
        row[: len(values)] = values
    mask = np.arange(longest) < np.array([len(values) for values in own])[:, None]
    labels = [int(values.sum()) % 2 for values in own]
    return {
        "input_ids": ids.tolist(),
        "attention_mask": mask.astype(int).tolist(),
        "labels": labels,
    }


def measure(
    sides: Sides, setup: Setup, batches: dict[str, list[dict[str, Any]]], rounds: int
) -> dict[str, Any]:
    """Milliseconds of a step: ours on each batching, the peers' on theirs; ratios of ours on
    shuffled batches."""

    def turn(child: Any, batching: str) -> Callable[[int], float]:
        def timed(number: int) -> float:
            own = batches[batching][: None if number else 2]
            return child.ask("steps", batches=own)["seconds"] / len(own)

        return timed

    turns = {
        side: turn(child, "shuffled" if side[0] == OURS else "grouped")
        for side, child in sides.items()
    }
    turns["plainformer grouped", "default"] = turn(sides[OURS, "default"], "grouped")
    quiet, busy = take_turns(setup, rounds, turns)
    grouped = quiet.pop(("plainformer grouped", "default"))
    return {"grouped_ms": 1e3 * float(np.median(grouped)), **comparison(quiet, busy)}


@click.command()
@click.option("--data", type=click.Path(exists=True, dir_okay=False), help="JSONL of text, label.")
@click.option("--model", type=click.Path(exists=True, file_okay=False), help="A BERT directory.")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32")
@measuring
def main(
    data: str | None, model: str | None, steps: int, rounds: int, dtype: str, setup: Setup
) -> None:
    """Time fine-tuning steps beside PyTorch."""
    if data is not None and model is None:
        raise click.UsageError("--data: needs --model, for its tokenizer")
    results = Results("finetune", setup)
    rows = token_rows(data, model, steps * BATCH)
    lengths = np.array([len(row) for row in rows])
    batches = {
        name: [padded(rows, c) for c in cut(lengths, np.random.default_rng(1))][:steps]
        for name, cut in (("shuffled", shuffled), ("grouped", grouped))
    }
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            write_model(folder)
        sides = setup.sides("encoder", ["torch"])
        with closing(sides):
            sides = loaded(sides, setup, path=model or folder, dtype=dtype)
            result = measure(sides, setup, batches, rounds)
    show(dtype, result, GOAL)
    click.echo(f"    on PyTorch's batches ours takes {result['grouped_ms']:.2f} ms")
    results.add(dtype, {"steps": steps, "data": data is not None, **result})


if __name__ == "__main__":
    main()

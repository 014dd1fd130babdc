"""Time vectors of texts beside sentence-transformers: from texts to an array.

    python benchmarks/embeddings.py --model DIR --texts F.jsonl [--count N] [--batch-size 32]
        [--threads N] [--peer-python torch=PYTHON] [--rounds N] [--output F.json]

Ours is what `plainformer embed` computes, theirs `SentenceTransformer.encode`; both sort texts by
length, take as many at once, read one directory and have the same number of threads (PyTorch the
best of its ways to wait). Each library has its own process, and rounds alternate. The vectors are
compared before anything is timed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from running import Results, Setup, closing, loaded, measuring
from turns import Side, at_most, comparison, show, take_turns

GOAL = 0.5  # our time over theirs
TOLERANCE = 1e-5
SLOWEST = 120.0  # seconds after which a peer is out


def texts_of(path: str, count: int) -> list[str]:
    """The first texts of a JSONL file with a field text, or of lines."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()[:count]
    return [json.loads(line)["text"] if line.startswith("{") else line for line in lines]


def check_vectors(sides: Any, texts: list[str]) -> float:
    """The largest difference of a number from a peer's."""
    ours, *others = (
        np.array(child.ask("vectors", texts=texts)["vectors"]) for child in sides.values()
    )
    difference = max((float(np.abs(ours - other).max()) for other in others), default=0.0)
    if not difference <= TOLERANCE:
        raise click.ClickException(f"the vectors differ by {difference:.1e}")
    return difference


@click.command()
@click.option("--model", required=True, type=click.Path(exists=True, file_okay=False))
@click.option("--texts", "path", required=True, help="JSONL with a field text, or lines.")
@click.option("--count", type=click.IntRange(1), default=320, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@measuring
def main(model: str, path: str, count: int, batch_size: int, rounds: int, setup: Setup) -> None:
    """Time vectors of texts beside sentence-transformers."""
    texts, results = texts_of(path, count), Results("embeddings", setup)
    sides = setup.sides("embeddings", ["torch"])
    with closing(sides):
        sides = loaded(sides, setup, path=model, dtype="float32")
        difference = check_vectors(sides, texts[:64])

        def turn(side: Side, child: Any) -> Callable[[int], float]:
            def timed(number: int) -> float:
                limit = at_most(side, SLOWEST)
                asked = {"texts": texts, "batch_size": batch_size}
                return child.ask("time", timeout=limit, **asked)["seconds"]

            return timed

        quiet, busy = take_turns(setup, rounds, {s: turn(s, child) for s, child in sides.items()})
        name = f"{len(texts)} texts, {batch_size} at once"
        result = {"difference": difference, "limit": GOAL, **comparison(quiet, busy)}
        results.add(name, result)
        show(name, result, GOAL)


if __name__ == "__main__":
    main()

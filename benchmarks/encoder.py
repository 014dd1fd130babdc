"""Time a sentence encoder of MiniLM's size beside its peers: inference, and a training step.

    python benchmarks/encoder.py [--case NAME ...] [--dtype float32] [--level LEVEL]
        [--peers torch,ctranslate2,onnxruntime] [--peer-python [NAME=]PYTHON ...]
        [--rounds N] [--output F.json | --record]

All load one directory (random weights of MiniLM-L6's shape, or --model DIR) and see the same
padded batches; PyTorch runs transformers' model with scaled dot product attention under the best
of its thread settings. Each library has its own process, and rounds alternate. The outputs are
compared before anything is timed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from encoder_model import write_model
from running import OURS, Results, Setup, Sides, closing, loaded, measuring
from turns import Side, at_most, comparison, show, take_turns

SECONDS = 0.4  # a turn of one side
SLOWEST = 30.0  # seconds after which a peer is out
PEERS = "torch,ctranslate2,onnxruntime"


@dataclass(frozen=True)
class Case:
    """One batch shape. `lengths` are tokens a sentence; `limit`: our time over any peer's."""

    lengths: tuple[int, ...]
    limit: float
    trains: bool = False

    def batch(self, rng: np.random.Generator) -> dict[str, list[Any]]:
        """Padded ids, mask and, to train, labels."""
        longest = max(self.lengths)
        mask = (np.arange(longest) < np.array(self.lengths)[:, None]).astype(np.int64)
        ids = rng.integers(1000, 30000, mask.shape) * mask
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.trains:
            batch["labels"] = rng.integers(0, 2, len(self.lengths))
        return {name: array.tolist() for name, array in batch.items()}


MIXED = tuple(int(n) for n in np.random.default_rng(1).integers(8, 129, 32))
CASES = {
    "B1 T16": Case((16,), 0.5),
    "B1 T128": Case((128,), 0.8),
    "B32 T8-128": Case(MIXED, 0.6),
    "B32 T64": Case((64,) * 32, 0.85),
    "train B32 T64": Case((64,) * 32, 0.85, trains=True),
}


def check_outputs(sides: Sides, batch: dict[str, Any], dtype: str) -> float:
    """The largest difference of our sentence vectors from a peer's, over their scale."""
    outputs = {
        side: np.array(child.ask("output", batch=batch)["output"]) for side, child in sides.items()
    }
    ours, *others = outputs.values()
    differences = [float(np.abs(ours - y).max() / np.abs(y).max()) for y in others]
    difference = max(differences, default=0.0)
    if not difference < (1e-4 if dtype == "float32" else 0.1):
        raise click.ClickException(f"the outputs differ by {difference:.1e}")
    return difference


def measure(
    case: Case, sides: Sides, setup: Setup, rounds: int, dtype: str, seconds: float = SECONDS
) -> dict[str, Any]:
    """Milliseconds of each side in interleaved rounds, and the ratios of neighbors."""
    batch = case.batch(np.random.default_rng(0))
    able = {side: child for side, child in sides.items() if can(side[0], case)}
    difference = check_outputs(able, batch, dtype)

    def turn(side: Side, child: Any) -> Callable[[int], float]:
        def timed(number: int) -> float:
            request = {"batch": batch, "trains": case.trains, "seconds": seconds}
            return child.ask("time", timeout=at_most(side, SLOWEST), **request)["median"]

        return timed

    quiet, busy = take_turns(
        setup, rounds, {side: turn(side, child) for side, child in able.items()}
    )
    return {"difference": difference, "limit": case.limit, **comparison(quiet, busy)}


def can(peer: str, case: Case) -> bool:
    """Whether a peer has such a case: only PyTorch and ours train."""
    return not case.trains or peer in (OURS, "torch")


def peers_of(names: str, dtype: str) -> list[str]:
    """Those of `names` that compute in `dtype`: bfloat16 is PyTorch's alone."""
    return [name for name in names.split(",") if name and (dtype != "bfloat16" or name == "torch")]


@click.command()
@click.option("--case", "names", type=click.Choice([*CASES]), multiple=True, help="Default: all.")
@click.option("--dtype", "dtypes", type=click.Choice(["float32", "bfloat16"]), multiple=True)
@click.option("--model", type=click.Path(exists=True, file_okay=False), help="A BERT directory.")
@click.option("--peers", default=PEERS, show_default=True, help="Who to compare with.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@measuring
def main(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    model: str | None,
    peers: str,
    rounds: int,
    setup: Setup,
) -> None:
    """Time a sentence encoder of MiniLM's size beside its peers."""
    results = Results("encoder", setup)
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            write_model(folder)
        for dtype in dtypes or ("float32", "bfloat16"):
            sides = setup.sides("encoder", peers_of(peers, dtype))
            with closing(sides):
                sides = loaded(sides, setup, path=model or folder, dtype=dtype)
                for name in names or CASES:
                    result = measure(CASES[name], sides, setup, rounds, dtype)
                    results.add(f"{name} {dtype}", result)
                    show(f"{name} {dtype}", result, CASES[name].limit)


if __name__ == "__main__":
    main()

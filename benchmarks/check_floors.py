"""Which speed floors the results of `plainformer bench --output F.json` hold.

    plainformer bench gemm attention ... --peers numpy,torch,plainformer:avx2 --output F.json
    python benchmarks/check_floors.py F.json

A floor is the least ratio of a peer's time to ours, both measured in one run on the same inputs.
Exits 1 when one is missed; what was not measured is said and does not count.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import click


class Floor(NamedTuple):
    """`peer`'s time is at least `ratio` times ours in every cell whose name matches."""

    pattern: str
    peer: str
    ratio: float


class Measured(NamedTuple):
    """A floor that was measured: what came out, at least `wanted` or it is missed."""

    name: str
    value: float
    wanted: float

    @property
    def held(self) -> bool:
        """Whether the floor is held."""
        return self.value >= self.wanted


ATTENTION = "4x12x1024x64 causal"
FLOORS = (
    Floor("gemm.nn.float32.1024x[237]*", "numpy", 0.9),
    Floor(f"attention.*.float32.{ATTENTION}", "torch", 1.0),
    Floor("norm.layer_norm*.float32.8192x768", "torch", 1.0),
    Floor("softmax.*.float32.6144x1024", "torch", 1.0),
    Floor("activation.gelu*.float32.2048x3072", "torch", 1.0),
    Floor("cross_entropy.*.float32.1024x50257", "torch", 1.0),
    Floor("optimizer.adamw.float32.6x768", "torch", 1.0),
)
# A lower level may be this much slower than the best one on a processor that has both.
AVX2_OF_BEST = 0.6
AVX2_CELLS = ("gemm.nn.float32.1024x[237]*", f"attention.*.float32.{ATTENTION}")
BFLOAT16_OF_FLOAT32 = 1.5
BFLOAT16_CELLS = "gemm.nn.bfloat16.1024x[237]*"


def peer_floors(cells: list[dict[str, Any]]) -> Iterator[Measured]:
    """Ratios to NumPy and PyTorch."""
    for floor in FLOORS:
        for cell in _matching(cells, floor.pattern):
            for result in cell["results"]:
                if result["peer"] == floor.peer and result["times_ours"] is not None:
                    name = f"{cell['case']['name']} against {floor.peer}"
                    yield Measured(name, result["times_ours"], floor.ratio)


def level_floors(cells: list[dict[str, Any]]) -> Iterator[Measured]:
    """The avx2 level as a part of the best level's speed."""
    for pattern in AVX2_CELLS:
        for cell in _matching(cells, pattern):
            for result in cell["results"]:
                if result["peer"] == "plainformer:avx2" and result["times_ours"] is not None:
                    name = f"{cell['case']['name']}, avx2 of the best level"
                    yield Measured(name, 1 / result["times_ours"], AVX2_OF_BEST)


def bfloat16_floors(cells: list[dict[str, Any]]) -> Iterator[Measured]:
    """bfloat16 products as a multiple of float32's speed."""
    seconds = {cell["case"]["name"]: cell["results"][0]["seconds"] for cell in cells}
    for cell in _matching(cells, BFLOAT16_CELLS):
        name = cell["case"]["name"]
        own, float32 = seconds[name], seconds.get(name.replace("bfloat16", "float32"))
        if own and float32:
            ratio = float32["median"] / own["median"]
            yield Measured(f"{name} against float32", ratio, BFLOAT16_OF_FLOAT32)


def _matching(cells: list[dict[str, Any]], pattern: str) -> list[dict[str, Any]]:
    return [cell for cell in cells if fnmatchcase(cell["case"]["name"], pattern)]


@click.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False))
def main(results: str) -> None:
    """Say which speed floors are held."""
    cells = json.loads(Path(results).read_text(encoding="utf-8"))["cells"]
    measured = [*peer_floors(cells), *level_floors(cells), *bfloat16_floors(cells)]
    for floor in measured:
        word = "held  " if floor.held else "MISSED"
        click.echo(f"{word} {floor.value:5.2f} of {floor.wanted:.2f}  {floor.name}")
    for floor in FLOORS:
        if not _matching(cells, floor.pattern):
            click.echo(f"not measured: {floor.pattern}")
    missed = sum(not floor.held for floor in measured)
    click.echo(f"{len(measured)} floors, {missed} missed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

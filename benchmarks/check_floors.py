"""Which speed floors results hold: of `plainformer bench --output F.json` and of the scripts here.

    plainformer bench gemm attention ... --level avx2 --output F.json
    python benchmarks/check_floors.py F.json benchmarks/results/encoder-*.json ...

A floor is the least ratio of the fastest peer's time to ours, both measured in one run on the same
inputs at the same level of instructions, or of the ceiling, or of our own other dtype; for a whole
model it is the most that ours may take of the fastest peer's time. Each file says its level.
Exits 1 when one is missed; what was not measured is said and does not count.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import click


class Floor(NamedTuple):
    """In every cell whose name matches: the fastest peer's time over ours, and the least part of
    the ceiling in percent."""

    pattern: str
    ratio: float
    percent: float = 0.0


class Measured(NamedTuple):
    """A floor that was measured: what came out, at least `wanted` or it is missed."""

    name: str
    value: float
    wanted: float

    @property
    def held(self) -> bool:
        """Whether the floor is held."""
        return self.value >= self.wanted


MANY_ROWS = "gemm.*.float32.{}x[237]*x[37]*"
FEW_ROWS = tuple(f"gemm.*.float32.{M}x*" for M in (1, 4, 8, 16, 64))
CAUSAL = "*x[124]*x* causal"
# Larger than the last cache of most processors, and what fits it.
LARGE = (
    "softmax.*.float32.512x50257",
    "activation.*.float32.4096x3072",
    "norm.*.float32.4096x3072",
    "cross_entropy.*.float32.1024x50257",
)
SMALL = (
    "softmax.*.float32.6144x1024",
    "activation.*.float32.2048x3072",
    "norm.*.float32.8192x768",
    "optimizer.adamw.float32.*",
    "embedding.*.float32.8192x50257x768",
    "dropout.*.float32.8192x768",
)


def floors_of(many: tuple[float, float], forward: float, backward: float) -> tuple[Floor, ...]:
    """The floors of a level: of products of many rows (ratio, percent), and of attention."""
    return (
        *(Floor(MANY_ROWS.format(M), *many) for M in (256, 1024, 2048)),
        *(Floor(pattern, 1.0) for pattern in FEW_ROWS),
        Floor(f"attention.forward.float32.{CAUSAL}", forward),
        Floor(f"attention.backward.float32.{CAUSAL}", backward),
        *(Floor(pattern, 1.3) for pattern in LARGE),
        *(Floor(pattern, 1.0) for pattern in SMALL),
    )


FLOORS = {
    "avx2": floors_of((1.0, 85.0), 1.3, 1.3),
    "avx512": floors_of((1.05, 90.0), 1.7, 1.6),
}
BFLOAT16_OF_FLOAT32 = {"avx2": 0.95, "avx512": 1.0}
BFLOAT16_CELLS = "gemm.*.bfloat16.*"
BUSY = 2.5  # times as long beside one busy process, at most
# Of whole models: the most of the fastest peer's time at avx2 and at avx512.
MODELS = {
    "nano *": (0.65, 0.45),
    "small *": (0.75, 0.45),
    "gpt2-* float32": (0.75, 0.65),
    "gpt2-* bfloat16": (0.75, 0.62),
    "B1 T16 *": (0.35, 0.30),
    "B1 T128 *": (0.65, 0.40),
    "B32 T8-128 *": (0.45, 0.23),
    "B32 T64 float32": (0.75, 0.45),
    "B32 T64 bfloat16": (0.75, 0.75),
    "train B32 T64 *": (0.70, 0.42),
}
OF_READING = {"avx2": 0.80, "avx512": 0.85}  # a greedy token's part of the bound


def family(level: str) -> str:
    """The levels that share floors: avx512 and avx512bf16 do."""
    return "avx512" if level.startswith("avx512") else level


def bench_floors(results: Mapping[str, Any]) -> Iterator[Measured]:
    """Of the cells of `plainformer bench`."""
    level, cells = family(results["level"]), results["cells"]
    for floor in FLOORS.get(level, ()):
        for cell in _matching(cells, floor.pattern):
            yield from _of_cell(cell, floor)
    yield from bfloat16_floors(cells, level)


def _of_cell(cell: Mapping[str, Any], floor: Floor) -> Iterator[Measured]:
    ours, *others = cell["results"]
    name = cell["case"]["name"]
    ratios = {one["peer"]: one["times_ours"] for one in others if one["times_ours"] is not None}
    ratios = {peer: ratio for peer, ratio in ratios.items() if not peer.startswith("plainformer:")}
    if ratios:
        fastest = min(ratios, key=lambda peer: ratios[peer])
        yield Measured(f"{name} against {fastest}", ratios[fastest], floor.ratio)
    if floor.percent and ours["seconds"]:
        part = ours["percent_of_ceiling"]
        yield Measured(f"{name}, percent of the ceiling", part, floor.percent)


def bfloat16_floors(cells: Sequence[Mapping[str, Any]], level: str) -> Iterator[Measured]:
    """bfloat16 products as a multiple of float32's speed."""
    seconds = {cell["case"]["name"]: cell["results"][0]["seconds"] for cell in cells}
    for cell in _matching(cells, BFLOAT16_CELLS):
        name = cell["case"]["name"]
        own, float32 = seconds[name], seconds.get(name.replace("bfloat16", "float32"))
        if own and float32 and level in BFLOAT16_OF_FLOAT32:
            ratio = float32["median"] / own["median"]
            yield Measured(f"{name} against float32", ratio, BFLOAT16_OF_FLOAT32[level])


def _matching(cells: Sequence[Mapping[str, Any]], pattern: str) -> list[Mapping[str, Any]]:
    return [cell for cell in cells if fnmatchcase(cell["case"]["name"], pattern)]


def model_floors(results: Mapping[str, Any]) -> Iterator[Measured]:
    """Of the cells of a script, inverted so that more is better, as everywhere here."""
    level = family(results["level"])
    if level not in FLOORS:
        return
    for name, cell in results["cells"].items():
        limits = next((v for pattern, v in MODELS.items() if fnmatchcase(name, pattern)), None)
        if limits and "ratio" in cell:
            limit = limits[[*FLOORS].index(level)]
            title = f"{name}, {cell['fastest_peer']}'s time over ours"
            yield Measured(title, 1 / cell["ratio"], 1 / limit)
        if "of_bound" in cell:
            yield Measured(f"{name}, of reading the weights", cell["of_bound"], OF_READING[level])
        if "busy_ratio" in cell:
            yield Measured(f"{name}, of its speed when beside", 1 / cell["busy_ratio"], 1 / BUSY)


def floors(results: Mapping[str, Any]) -> list[Measured]:
    """All that a file says something about."""
    find = bench_floors if isinstance(results["cells"], list) else model_floors
    return [*find(results)]


@click.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False), nargs=-1, required=True)
def main(results: tuple[str, ...]) -> None:
    """Say which speed floors are held."""
    measured: list[Measured] = []
    for path in results:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        own = floors(values)
        click.echo(f"{path}, level {values['level']}")
        for floor in own:
            word = "held  " if floor.held else "MISSED"
            click.echo(f"{word} {floor.value:6.2f} of {floor.wanted:.2f}  {floor.name}")
        if isinstance(values["cells"], list):
            for pattern in (floor.pattern for floor in FLOORS.get(family(values["level"]), ())):
                if not _matching(values["cells"], pattern):
                    click.echo(f"not measured: {pattern}")
        measured += own
    missed = sum(not floor.held for floor in measured)
    click.echo(f"{len(measured)} floors, {missed} missed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

"""Cells as rows for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from . import roofline
from .case import Case
from .cases import operation
from .runner import Cell, Result

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def readable_seconds(seconds: float) -> str:
    """Three digits and a unit: `1.52 ms`."""
    scale, unit = next((s, u) for s, u in (*UNITS, (1e-9, "ns")) if seconds >= s or u == "ns")
    return f"{seconds / scale:.3g} {unit}"


def percent_of_ceiling(case: Case, seconds: float, ceilings: dict[str, float]) -> float:
    """How near the time is to the least possible on this machine."""
    work = operation(case.operation).work(case)
    return 100 * roofline.least_seconds(work, case.dtype, ceilings) / seconds


def heading(case: Case, peers: Sequence[str]) -> str:
    """The line above the rows of an operation, variant and dtype."""
    title = f"{case.operation} {case.variant} {case.dtype}"
    axes = operation(case.operation).axes
    columns = f"{'median':>9} {'p20':>9} {'p80':>9} {'rate':>11} {'ceiling':>8}"
    return f"{title} ({axes})\n{'':30}{columns}" + "".join(f"{peer:>18}" for peer in peers)


def row(cell: Cell, ceilings: dict[str, float]) -> str:
    """Our time, rate, percent of the ceiling, and each peer's time as a multiple of ours."""
    label = f"  {cell.case.label:<28}"
    if cell.ours.seconds is None:
        return f"{label}{cell.ours.note}"
    times = cell.ours.seconds
    value, unit = roofline.rate(operation(cell.case.operation).work(cell.case), times.median)
    percent = percent_of_ceiling(cell.case, times.median, ceilings)
    columns = "".join(f"{readable_seconds(t):>10}" for t in (times.median, times.p20, times.p80))
    peers = "".join(f"{_against(cell, other):>18}" for other in cell.others)
    return f"{label}{columns[1:]} {value:>6.1f} {unit} {percent:>6.0f} %{peers}"


def _against(cell: Cell, other: Result) -> str:
    """`1.31x`, `0.80x slower`, or a dash; `!` marks a peer whose own result is inexact."""
    ratio = cell.ratio(other)
    if ratio is None:
        words = {"no ": "-", "gave no answer": "too slow"}
        return next((w for note, w in words.items() if other.note.startswith(note)), "failed")
    mark = "!" if other.error is None or other.error > cell.allowed_error else ""
    return f"{ratio:.2f}x{' slower' if ratio < 1 else ''}{mark}"


def as_json(cell: Cell, ceilings: dict[str, float]) -> dict[str, Any]:
    """Everything about a cell; our percentage and the peers' ratios included."""
    work = operation(cell.case.operation).work(cell.case)
    return {
        "case": asdict(cell.case) | {"label": cell.case.label, "name": cell.case.name},
        "work": asdict(work),
        "allowed_error": cell.allowed_error,
        "results": [_result(cell, result, ceilings) for result in cell.results],
    }


def _result(cell: Cell, result: Result, ceilings: dict[str, float]) -> dict[str, Any]:
    values = asdict(result)
    if result.error is not None and not math.isfinite(result.error):
        values["error"] = None  # JSON has no infinity; the note has it
    if result.seconds is not None:
        value, unit = roofline.rate(
            operation(cell.case.operation).work(cell.case), result.seconds.median
        )
        percent = percent_of_ceiling(cell.case, result.seconds.median, ceilings)
        values |= {"rate": value, "unit": unit, "percent_of_ceiling": percent}
    return values | {"times_ours": cell.ratio(result)}


def summary(cells: Sequence[Cell]) -> dict[str, Any]:
    """Flat counts: cells, wrong ones, and against each peer how many are faster, and the mean.

    The mean is geometric: a cell twice as fast and one half as fast make 1.
    """
    ratios = [{other.peer: cell.ratio(other) for other in cell.others} for cell in cells]
    return _totals([cell.wrong for cell in cells], ratios)


def summary_of_json(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same of cells as `as_json` has them."""
    ratios = [{one["peer"]: one["times_ours"] for one in cell["results"][1:]} for cell in cells]
    return _totals([bool(cell["results"][0]["note"]) for cell in cells], ratios)


def _totals(wrong: Sequence[bool], ratios: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    totals: dict[str, Any] = {"cells": len(wrong), "wrong": sum(wrong)}
    for name in dict.fromkeys(name for own in ratios for name in own):
        found = [ratio for own in ratios if (ratio := own.get(name)) is not None]
        if found:
            totals[f"{name}_compared"] = len(found)
            totals[f"{name}_slower"] = sum(ratio < 1 for ratio in found)
            totals[f"{name}_mean_ratio"] = round(float(np.exp(np.mean(np.log(found)))), 3)
            totals[f"{name}_worst_ratio"] = round(min(found), 3)
    return totals

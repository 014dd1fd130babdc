"""The sum of two arrays: what a call costs, and memory traffic."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

SUMMARY = "sum of two arrays"
AXES = "rows x columns"
VARIANTS = ("forward",)
SHAPES = [{"rows": 8192, "columns": 768}, {"rows": 8, "columns": 16}]
MORE = {"forward": [{"rows": 128, "columns": 384}, {"rows": 2048, "columns": 768}]}


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x, residual (N, C)."""
    shape = case.sizes("rows", "columns")
    return {"x": normal(rng, *shape), "residual": normal(rng, *shape)}


def reference(case: Case, x: Any, residual: Any) -> tuple[Any, ...]:
    """x + residual."""
    return (x + residual,)


def work(case: Case) -> Work:
    """Two arrays in, one out."""
    N, C = case.sizes("rows", "columns")
    array = case.itemsize * N * C
    return Work(read=2 * array, write=array)

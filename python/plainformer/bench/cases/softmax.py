"""Softmax over the last axis: attention-sized rows, a vocabulary, short rows.

The first shape is past the caches, yet below the 32 MB from which C's allocator, and so PyTorch,
takes fresh pages at every call; the second shows what those cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "softmax over the last axis"
AXES = "rows x columns"

SHAPES = [
    {"rows": 6144, "columns": 1024},
    {"rows": 512, "columns": 50257},
    {"rows": 3072, "columns": 64},
]
TINY = {"rows": 8, "columns": 16}
MORE = [TINY, {"rows": 512, "columns": 512}]
CUDA_SHAPES = [
    {"rows": 65536, "columns": 1024},
    {"rows": 2048, "columns": 50257},
    {"rows": 1024, "columns": 131072},
]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x, grad_output (N, C)."""
    shape = case.sizes("rows", "columns")
    return {"x": normal(rng, *shape), "grad_output": normal(rng, *shape)}


def reference(case: Case, x: Any, grad_output: Any) -> tuple[Any, ...]:
    """y = softmax(x), or dx = y (dy - sum(dy y))."""
    y = _formulas.softmax(x)
    if case.variant == "forward":
        return (y,)
    return (y * (grad_output - (grad_output * y).sum(axis=-1, keepdims=True)),)


def work(case: Case) -> Work:
    """One array in, one out; backward reads two."""
    N, C = case.sizes("rows", "columns")
    arrays = 2 if case.variant == "backward" else 1
    return Work(read=arrays * case.itemsize * N * C, write=case.itemsize * N * C, terms=C)

"""Rows of a table by token id, and the gradient of the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

SUMMARY = "table lookup; backward gives the dense gradient"
AXES = "tokens x classes x width"

SHAPES = [
    {"tokens": 8192, "classes": 50257, "width": 768},
    {"tokens": 768, "classes": 65, "width": 128},
]
MORE = [{"tokens": 256, "classes": 50257, "width": 768}]
CUDA_SHAPES = [{"tokens": 32768, "classes": 50257, "width": 768}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """weight (V, C), ids (N) int64, grad_output (N, C)."""
    N, V, C = case.sizes("tokens", "classes", "width")
    return {
        "weight": normal(rng, V, C),
        "ids": rng.integers(0, V, N),
        "grad_output": normal(rng, N, C),
    }


def reference(case: Case, weight: Any, ids: Any, grad_output: Any) -> tuple[Any, ...]:
    """weight[ids], or the sum of the gradients of each id."""
    if case.variant == "forward":
        return (weight[ids],)
    dweight = np.zeros_like(weight)
    np.add.at(dweight, ids, grad_output)
    return (dweight,)


def work(case: Case) -> Work:
    """Forward: N rows in and out. Backward: N rows in, the whole dense gradient out."""
    N, V, C = case.sizes("tokens", "classes", "width")
    rows, table = case.itemsize * N * C, case.itemsize * V * C
    if case.variant == "forward":
        return Work(read=rows, write=rows)
    return Work(read=rows, write=table, terms=max(1, N // V))

"""Dropout, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

P = 0.125  # exact in 16 bits, to which ours rounds it, so that every peer scales alike
SUMMARY = f"dropout with p = {P}"
AXES = "rows x columns"
SHAPES = [{"rows": 8192, "columns": 768}, {"rows": 768, "columns": 128}]
MORE = {"forward": [{"rows": 8, "columns": 16}]}
CUDA_SHAPES = [{"rows": 65536, "columns": 768}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x, grad_output (N, C)."""
    shape = case.sizes("rows", "columns")
    return {"x": normal(rng, *shape), "grad_output": normal(rng, *shape)}


def reference(case: Case, x: Any, grad_output: Any) -> tuple[Any, ...]:
    """What `observe` shows of the right result: every number scaled, the right part kept."""
    source = grad_output if case.variant == "backward" else x
    return source / (1 - P), np.array(1 - P)


def observe(case: Case, outputs: tuple[Any, ...], x: Any, grad_output: Any) -> tuple[Any, ...]:
    """The masks differ from peer to peer: fill in what was dropped, and judge how much was kept.

    The part kept is reported as right when it is within 5 standard deviations.
    """
    y = outputs[0]
    source = grad_output if case.variant == "backward" else x
    kept = float((y != 0).mean())
    plausible = abs(kept - (1 - P)) <= 5 * (P * (1 - P) / y.size) ** 0.5
    return np.where(y == 0, source / (1 - P), y), np.array(1 - P if plausible else kept)


def work(case: Case) -> Work:
    """One array in, one out, both ways: the mask can be computed again."""
    N, C = case.sizes("rows", "columns")
    return Work(read=case.itemsize * N * C, write=case.itemsize * N * C)

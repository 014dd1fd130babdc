"""Cross entropy of logits against labels: mean loss, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "mean cross entropy of logits"
AXES = "tokens x classes"

SHAPES = [{"tokens": 1024, "classes": 50257}, {"tokens": 768, "classes": 65}]
MORE = [{"tokens": 8, "classes": 16}]
CUDA_SHAPES = [{"tokens": 4096, "classes": 50257}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """logits (N, V), target (N) int64."""
    N, V = case.sizes("tokens", "classes")
    return {"logits": normal(rng, N, V), "target": rng.integers(0, V, N)}


def reference(case: Case, logits: Any, target: Any) -> tuple[Any, ...]:
    """mean of -log p(target), or (p - onehot) / N; p is made in place, for it is large."""
    N = len(target)
    p = _formulas.softmax(logits)
    if case.variant == "forward":
        return (-np.log(p[np.arange(N), target]).mean(),)
    p[np.arange(N), target] -= 1
    p /= N
    return (p,)


def work(case: Case) -> Work:
    """The logits once; backward also writes their gradient."""
    N, V = case.sizes("tokens", "classes")
    logits = case.itemsize * N * V
    return Work(read=logits, write=logits if case.variant == "backward" else 0, terms=V)

"""The head of a language model: linear layer and cross entropy in one, with all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "linear head and mean cross entropy: the loss alone, or with all gradients"
AXES = "tokens x classes x width"
VARIANTS = ("train", "loss")

SHAPES = [
    {"tokens": 1024, "classes": 50257, "width": 768},
    {"tokens": 768, "classes": 65, "width": 128},
]
MORE = [{"tokens": tokens, "classes": 50257, "width": 768} for tokens in (64, 256)]
CUDA_SHAPES = [{"tokens": 4096, "classes": 50257, "width": 768}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x (N, C), weight (V, C), target (N) int64."""
    N, V, C = case.sizes("tokens", "classes", "width")
    return {
        "x": normal(rng, N, C),
        "weight": normal(rng, V, C) / np.float32(C**0.5),
        "target": rng.integers(0, V, N),
    }


def reference(case: Case, x: Any, weight: Any, target: Any) -> tuple[Any, ...]:
    """The mean loss; with `train` also dx and dweight."""
    N = len(target)
    p = _formulas.softmax(x @ weight.T)
    loss = -np.log(p[np.arange(N), target]).mean()
    if case.variant == "loss":
        return (loss,)
    p[np.arange(N), target] -= 1
    p /= N
    return loss, p @ weight, p.T @ x


def work(case: Case) -> Work:
    """One product for the loss, two more for the gradients."""
    N, V, C = case.sizes("tokens", "classes", "width")
    arrays = case.itemsize * (N * C + V * C)
    products = 3 if case.variant == "train" else 1
    written = arrays if case.variant == "train" else 0
    return Work(2.0 * products * N * V * C, read=arrays, write=written, terms=V)

"""Optimizer steps over the parameters of a GPT, and the global norm of their gradients.

Moments are float32 with ours; PyTorch keeps them in the parameters' dtype, so that in bfloat16 it
moves fewer bytes and remembers less.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

SUMMARY = "AdamW, SGD with momentum, global gradient norm"
AXES = "layers x width"
VARIANTS = ("adamw", "sgd", "norm")

LR, BETAS, EPS, WEIGHT_DECAY, MOMENTUM, MAX_NORM = 1e-3, (0.9, 0.99), 1e-8, 0.1, 0.9, 1.0
ADAMW: dict[str, Any] = {"lr": LR, "betas": BETAS, "eps": EPS, "weight_decay": WEIGHT_DECAY}
SGD: dict[str, Any] = {"lr": LR, "momentum": MOMENTUM}
SHAPES = [{"layers": 6, "width": 768}, {"layers": 4, "width": 128}]

MORE = [{"layers": 12, "width": 768}, {"layers": 6, "width": 384}]


def _parameter_shapes(layers: int, C: int) -> list[tuple[int, ...]]:
    """Matrices and vectors of `layers` GPT blocks of width C."""
    block = [(C,), (C, 3 * C), (C, C), (C,), (C, 4 * C), (4 * C, C)]
    return block * layers


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """params, grads: lists of arrays."""
    shapes = _parameter_shapes(*case.sizes("layers", "width"))
    return {
        "params": [normal(rng, *shape) for shape in shapes],
        "grads": [normal(rng, *shape) for shape in shapes],
    }


def reference(case: Case, params: Any, grads: Any) -> tuple[Any, ...]:
    """Parameters after a first step from empty state, or the gradients' norm."""
    if case.variant == "norm":
        return (np.sqrt(sum((g * g).sum() for g in grads)),)
    if case.variant == "sgd":
        return tuple(p - LR * g for p, g in zip(params, grads))
    return tuple(
        p * (1 - LR * WEIGHT_DECAY) - LR * g / (np.abs(g) + EPS) for p, g in zip(params, grads)
    )


def work(case: Case) -> Work:
    """AdamW reads parameter, gradient and two moments and writes all but the gradient."""
    shapes = _parameter_shapes(*case.sizes("layers", "width"))
    count = sum(int(np.prod(shape)) for shape in shapes)
    if case.variant == "norm":
        return Work(read=case.itemsize * count, terms=count)
    moments = 2 if case.variant == "adamw" else 1
    return Work(
        read=count * (2 * case.itemsize + 4 * moments), write=count * (case.itemsize + 4 * moments)
    )

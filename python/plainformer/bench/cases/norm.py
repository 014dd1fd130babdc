"""Layer norm and RMS norm over the last axis, alone and with the residual sum before them.

The first shape is past the caches, yet below the 32 MB from which C's allocator, and so PyTorch,
takes fresh pages at every call; the second shows what those cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

SUMMARY = "layer norm and RMS norm"
AXES = "rows x columns"
VARIANTS = (
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_residual",
    "layer_norm_residual_dropout",
    "rms_norm",
    "rms_norm_backward",
)

EPS, P = 1e-5, 0.125
LARGEST = 4.0  # about the largest of so many normal numbers: the scale of a normalized row's error
SHAPES = [
    {"rows": 8192, "columns": 768},
    {"rows": 4096, "columns": 3072},
    {"rows": 768, "columns": 128},
]
MORE = [{"rows": 8, "columns": 16}, {"rows": 2048, "columns": 384}]
CUDA_SHAPES = [{"rows": 65536, "columns": 768}, {"rows": 16384, "columns": 4096}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x, residual, grad_output (N, C); weight, bias (C)."""
    N, C = case.sizes("rows", "columns")
    return {
        "x": normal(rng, N, C),
        "weight": 1 + np.float32(0.1) * normal(rng, C),
        "bias": normal(rng, C),
        "residual": normal(rng, N, C),
        "grad_output": normal(rng, N, C),
    }


def _normalized(x: Any, centered: bool) -> tuple[Any, Any]:
    """x_hat and 1 / deviation."""
    x = x - x.mean(axis=-1, keepdims=True) if centered else x
    rstd = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS)
    return x * rstd, rstd


def reference(
    case: Case, x: Any, weight: Any, bias: Any, residual: Any, grad_output: Any
) -> tuple[Any, ...]:
    """y; y and x + residual; or dx, dweight and (layer norm) dbias. With dropout, what `observe`
    shows of the right result."""
    if case.variant.endswith("dropout"):
        return np.full_like(x, LARGEST), x / (1 - P) + residual, np.array(1 - P)
    if case.variant == "layer_norm_residual":
        total = x + residual
        return _normalized(total, True)[0] * weight + bias, total
    if case.variant.endswith("_backward"):
        return _gradients(x, weight, grad_output, case.variant.startswith("layer_norm"))
    if case.variant == "layer_norm":
        return (_normalized(x, True)[0] * weight + bias,)
    return (_normalized(x, False)[0] * weight,)


def observe(
    case: Case, outputs: tuple[Any, ...], x: Any, weight: Any, bias: Any, residual: Any, **_: Any
) -> tuple[Any, ...]:
    """With dropout masks differ from peer to peer. Shown are the error of y as the norm of the sum
    that comes with it, the sum with what was dropped filled in, and the part that was kept,
    reported as right when it is within 5 standard deviations."""
    if not case.variant.endswith("dropout"):
        return outputs
    y, total = (np.asarray(a, np.float64) for a in outputs)
    error = y - (_normalized(total, True)[0] * weight + bias)
    kept = float((total != residual).mean())
    plausible = abs(kept - (1 - P)) <= 5 * (P * (1 - P) / total.size) ** 0.5 + 1e-2
    filled = np.where(total == residual, x / (1 - P) + residual, total)
    return error + LARGEST, filled, np.array(1 - P if plausible else kept)


def _gradients(x: Any, weight: Any, dy: Any, centered: bool) -> tuple[Any, ...]:
    x_hat, rstd = _normalized(x, centered)
    d = dy * weight
    dx = d - x_hat * (d * x_hat).mean(axis=-1, keepdims=True)
    if centered:
        dx -= d.mean(axis=-1, keepdims=True)
    dweight = (dy * x_hat).sum(axis=0)
    return (dx * rstd, dweight, dy.sum(axis=0)) if centered else (dx * rstd, dweight)


def work(case: Case) -> Work:
    """One array in, one out; backward reads two; the residual sum is one more each way."""
    N, C = case.sizes("rows", "columns")
    array = case.itemsize * N * C
    residual, backward = "residual" in case.variant, case.variant.endswith("backward")
    return Work(
        read=array * (2 if residual or backward else 1),
        write=array * (2 if residual else 1),
        terms=max(N, C) if backward else C,
    )

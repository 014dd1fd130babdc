"""Activations: GELU exact and by tanh, SiLU, ReLU, and their gradients.

The first shape is past the caches, yet below the 32 MB from which C's allocator, and so PyTorch,
takes fresh pages at every call; the second shows what those cost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "GELU (erf and tanh), SiLU, ReLU"
AXES = "rows x columns"

SHAPES = [
    {"rows": 2048, "columns": 3072},
    {"rows": 4096, "columns": 3072},
    {"rows": 768, "columns": 512},
]
CUDA_SHAPES = [{"rows": 16384, "columns": 3072}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x, grad_output (N, C)."""
    shape = case.sizes("rows", "columns")
    return {"x": normal(rng, *shape), "grad_output": normal(rng, *shape)}


def _gelu_tanh(x: Any) -> tuple[Any, Any]:
    """0.5 x (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3), and its derivative."""
    scale = math.sqrt(2 / math.pi)
    t = np.tanh(scale * (x + 0.044715 * x**3))
    inner = scale * (1 + 3 * 0.044715 * x * x)
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner


def _silu(x: Any) -> tuple[Any, Any]:
    """x s, s = 1 / (1 + exp(-x)), and its derivative."""
    s = 1 / (1 + np.exp(-x))
    return x * s, s * (1 + x * (1 - s))


_FORMULAS = {
    "gelu": lambda x: (_formulas.gelu(x), _formulas.gelu_gradient(x)),
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "relu": lambda x: (np.maximum(x, 0), (x > 0).astype(x.dtype)),
}
VARIANTS = tuple(f"{name}{suffix}" for name in _FORMULAS for suffix in ("", "_backward"))


MORE = [{"rows": 8, "columns": 16}, {"rows": 256, "columns": 1536}]


def reference(case: Case, x: Any, grad_output: Any) -> tuple[Any, ...]:
    """f(x), or dy f'(x)."""
    value, slope = _FORMULAS[case.variant.removesuffix("_backward")](x)
    return (grad_output * slope if case.variant.endswith("_backward") else value,)


def work(case: Case) -> Work:
    """One array in, one out; backward reads two."""
    N, C = case.sizes("rows", "columns")
    arrays = 2 if case.variant.endswith("_backward") else 1
    return Work(read=arrays * case.itemsize * N * C, write=case.itemsize * N * C)

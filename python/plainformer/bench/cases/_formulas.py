"""Formulas in float64 that several references share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def softmax(x: Any) -> Any:
    """exp(x) / sum exp(x) over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e


def erf(x: Any) -> Any:
    """erf, which NumPy has not: 1 - erfc for |x| by a continued series good to 1e-15.

    Source: Abramowitz and Stegun, 7.1.5 (|x| < 2.5) and Lentz's evaluation of 7.1.14 beyond.
    """
    x = np.asarray(x, np.float64)
    return np.where(np.abs(x) < 2.5, _erf_series(np.clip(x, -2.5, 2.5)), _erf_tail(x))


def _erf_series(x: Any) -> Any:
    square, term, total = x * x, x.copy(), x.copy()
    for n in range(1, 48):
        term = term * (-square / n)
        total += term / (2 * n + 1)
    return total * (2 / math.sqrt(math.pi))


def _erf_tail(x: Any) -> Any:
    z = np.maximum(np.abs(x), 2.5)
    fraction = z
    for n in range(60, 0, -1):
        fraction = z + (n / 2) / fraction
    return np.sign(x) * (1 - np.exp(-z * z) / (fraction * math.sqrt(math.pi)))


def gelu(x: Any) -> Any:
    """x Phi(x)."""
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_gradient(x: Any) -> Any:
    """Phi(x) + x phi(x)."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + erf(x / math.sqrt(2))) + x * density

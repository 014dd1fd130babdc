"""Scaled dot product attention with a mask of padding, and with an additive bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "scaled dot product attention under a padding mask or with a bias on the scores"
AXES = "batch x heads x length x width"
VARIANTS = ("padding", "bias")
SHAPES = [{"B": 4, "H": 12, "L": 256, "D": 64}]
MORE = [{"B": 4, "H": 12, "L": 1024, "D": 64}]


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """query, key, value (B, H, L, D); mask (B, 1, 1, L) bool, or bias (B, H, L, L)."""
    B, H, L, D = case.sizes("B", "H", "L", "D")
    arrays = {name: normal(rng, B, H, L, D) for name in ("query", "key", "value")}
    if case.variant == "bias":
        return {**arrays, "mask": normal(rng, B, H, L, L)}
    lengths = np.linspace(L // 4, L, B).astype(np.int64)
    return {**arrays, "mask": (np.arange(L) < lengths[:, None])[:, None, None]}


def reference(case: Case, query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, ...]:
    """softmax(q k^T / sqrt(D) + mask) v, head by head."""
    y = np.zeros_like(query)
    bias = mask if case.variant == "bias" else np.where(mask, 0.0, -np.inf)
    bias = np.broadcast_to(bias, (*query.shape[:3], key.shape[2]))
    for b, h in np.ndindex(query.shape[:2]):
        scores = query[b, h] @ key[b, h].T / np.sqrt(case["D"]) + bias[b, h]
        y[b, h] = _formulas.softmax(scores) @ value[b, h]
    return (y,)


def work(case: Case) -> Work:
    """Two products a pair of positions, those behind the padding included."""
    B, H, L, D = case.sizes("B", "H", "L", "D")
    array, bias = case.itemsize * B * H * L * D, case.itemsize * B * H * L * L
    read = 3 * array + (bias if case.variant == "bias" else 0)
    return Work(4.0 * B * H * D * L * L, read=read, write=array, terms=L)

"""Rotary position embedding of the queries of a batch, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

SUMMARY = "rotary position embedding"
AXES = "tokens x heads x width"
VARIANTS = ("half_split", "interleaved")

SHAPES = [
    {"tokens": 2048, "H": 32, "D": 64},
    {"tokens": 128, "H": 32, "D": 64},
    {"tokens": 1, "H": 32, "D": 64},
]
BASE = 10000.0


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x (N, H, D), positions (N), angles (N, D / 2) of each position and pair."""
    N, H, D = case.sizes("tokens", "H", "D")
    frequencies = BASE ** (-np.arange(D // 2) / (D // 2))
    return {
        "x": normal(rng, N, H, D),
        "positions": rng.permutation(N),
        "angles": np.outer(np.arange(N), frequencies),
    }


def in_float32(angles: Any) -> np.ndarray:
    """The angles of a case whose dtype is narrower, for tables."""
    return np.asarray(angles).astype(np.float32)


def reference(case: Case, x: Any, positions: Any, angles: Any) -> tuple[Any, ...]:
    """Pairs (i, i + D / 2), or (2 i, 2 i + 1), turned by their angles."""
    angles = in_float32(angles)[positions][:, None].astype(np.float64)
    cos, sin = np.cos(angles), np.sin(angles)
    half = x.shape[-1] // 2
    if case.variant == "interleaved":
        a, b = x[..., ::2], x[..., 1::2]
        return (np.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(x.shape),)
    a, b = x[..., :half], x[..., half:]
    return (np.concatenate([a * cos - b * sin, b * cos + a * sin], -1),)


def work(case: Case) -> Work:
    """One array in, one out."""
    N, H, D = case.sizes("tokens", "H", "D")
    return Work(read=case.itemsize * N * H * D, write=case.itemsize * N * H * D, terms=2)

"""Attention of one new token a row to a cache: memory sets the pace."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas
from .attention import kv_heads

SUMMARY = "one query a row against a cache of keys and values"
AXES = "batch x heads x keys x width"
VARIANTS = ("forward",)


def _shape(B: int, H: int, L: int, D: int, *, groups: str = "") -> dict[str, Any]:
    return {"B": B, "H": H, "L": L, "D": D, "groups": groups}


SHAPES = [
    _shape(8, 12, 1024, 64),
    _shape(1, 12, 8192, 64),
    _shape(8, 32, 2048, 128, groups="kv8"),
    _shape(1, 12, 128, 64),
]
MORE = {
    "forward": [
        *(_shape(1, 12, L, 64) for L in (512, 1024, 2048, 4096, 8192, 16384)),
        _shape(1, 32, 16384, 128, groups="kv8"),
    ]
}


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """query (B, 1, H, D); key, value (B, L, KV, D), full caches; lengths (B) int32."""
    B, H, L, D = case.sizes("B", "H", "L", "D")
    KV = kv_heads(case)
    return {
        "query": normal(rng, B, 1, H, D),
        "key": normal(rng, B, L, KV, D),
        "value": normal(rng, B, L, KV, D),
        "lengths": np.full(B, L, np.int32),
    }


def reference(case: Case, query: Any, key: Any, value: Any, lengths: Any) -> tuple[Any, ...]:
    """softmax(q k^T / sqrt(D)) v for each row and head."""
    y, groups = np.zeros_like(query), case["H"] // kv_heads(case)
    for b, h in np.ndindex(len(query), case["H"]):
        k, v = key[b, :, h // groups], value[b, :, h // groups]
        y[b, 0, h] = _formulas.softmax(k @ query[b, 0, h] / np.sqrt(case["D"])) @ v
    return (y,)


def work(case: Case) -> Work:
    """Keys and values once."""
    B, H, L, D = case.sizes("B", "H", "L", "D")
    queries = case.itemsize * B * H * D
    return Work(
        read=queries + 2 * case.itemsize * B * L * kv_heads(case) * D, write=queries, terms=L
    )

"""Scaled dot product attention: full, causal, padded, grouped heads, one long sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "scaled dot product attention, fused"
AXES = "batch x heads x length x width"


def _shape(
    B: int, H: int, L: int, D: int, *, kv_heads: int | None = None, causal: bool = False
) -> dict[str, Any]:
    groups = "" if kv_heads is None else f"kv{kv_heads}"
    return {"B": B, "H": H, "L": L, "D": D, "groups": groups, "causal": causal}


SHAPES = [
    _shape(4, 12, 1024, 64, causal=True),
    _shape(4, 12, 1024, 64),
    _shape(12, 4, 64, 32, causal=True),
    _shape(16, 6, 256, 64, causal=True),
    _shape(32, 12, 128, 32),
    _shape(2, 16, 512, 128, kv_heads=4, causal=True),
]
ONLY = {"forward": [*SHAPES, _shape(1, 1, 16384, 64, causal=True)]}
MORE_SHAPES = [
    _shape(4, 12, 256, 64, causal=True),
    _shape(4, 12, 256, 64),
    _shape(1, 12, 1024, 64, causal=True),
    _shape(1, 12, 4096, 64, causal=True),
    _shape(1, 16, 2048, 128, causal=True),
    _shape(1, 32, 2048, 128, kv_heads=8, causal=True),
    _shape(1, 1, 8, 16),
]
MORE = MORE_SHAPES
CUDA_SHAPES = [
    _shape(8, 12, 1024, 64, causal=True),
    _shape(2, 16, 4096, 128, causal=True),
    _shape(2, 16, 4096, 128),
    _shape(2, 32, 2048, 128, kv_heads=8, causal=True),
]
CUDA_ONLY: dict[str, list] = {}


def kv_heads(case: Case) -> int:
    """Heads of key and value: fewer than those of the query when they are shared by groups."""
    return int(case["groups"].removeprefix("kv") or case["H"])


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """query, grad_output (B, H, L, D); key, value (B, KV, L, D)."""
    B, H, L, D = case.sizes("B", "H", "L", "D")
    KV = kv_heads(case)
    return {
        "query": normal(rng, B, H, L, D),
        "key": normal(rng, B, KV, L, D),
        "value": normal(rng, B, KV, L, D),
        "grad_output": normal(rng, B, H, L, D),
    }


def reference(case: Case, query: Any, key: Any, value: Any, grad_output: Any) -> tuple[Any, ...]:
    """y, or dquery, dkey, dvalue; head by head, so that the scores stay small."""
    groups = case["H"] // kv_heads(case)
    results = [np.zeros_like(query), np.zeros_like(key), np.zeros_like(value)]
    for b, h in np.ndindex(query.shape[:2]):
        head = query[b, h], key[b, h // groups], value[b, h // groups]
        if case.variant == "forward":
            results[0][b, h] = probabilities(case, *head[:2]) @ head[2]
        else:
            dq, dk, dv = head_gradients(case, *head, grad_output[b, h])
            results[0][b, h] = dq
            results[1][b, h // groups] += dk
            results[2][b, h // groups] += dv
    return tuple(results[:1] if case.variant == "forward" else results)


def probabilities(case: Case, q: Any, k: Any) -> Any:
    """softmax(q k^T / sqrt(D)), (L, L)."""
    scores = q @ k.T / np.sqrt(q.shape[-1])
    if case["causal"]:
        scores[np.triu_indices(len(scores), 1)] = -np.inf
    return _formulas.softmax(scores)


def head_gradients(case: Case, q: Any, k: Any, v: Any, dy: Any) -> tuple[Any, Any, Any]:
    """dS = P (dP - sum(dP P)), dP = dy v^T."""
    P = probabilities(case, q, k)
    dP = dy @ v.T
    dS = P * (dP - (dP * P).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return dS @ k, dS.T @ q, P.T @ dy


def work(case: Case) -> Work:
    """Two products a pair of positions forward, five backward; nothing above the diagonal."""
    B, H, L, D = case.sizes("B", "H", "L", "D")
    pairs = L * (L + 1) // 2 if case["causal"] else L * L
    products = 5 if case.variant == "backward" else 2
    queries, keys = case.itemsize * B * L * D * H, case.itemsize * B * L * D * kv_heads(case)
    flop = 2.0 * products * B * H * D * pairs
    if case.variant == "backward":
        return Work(flop, 3 * queries + 2 * keys, queries + 2 * keys, terms=L)
    return Work(flop, queries + 2 * keys, queries, terms=L)

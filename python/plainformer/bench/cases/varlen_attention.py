"""Attention of packed sequences of mixed lengths, and of one short sentence."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from .attention import head_gradients, probabilities

SUMMARY = "attention of packed sequences, lengths even, or one long among short"
AXES = "sequences x heads x shortest x longest x width"


def _shape(
    B: int,
    H: int,
    shortest: int,
    longest: int,
    D: int,
    *,
    causal: bool = False,
    skewed: bool = False,
) -> dict[str, Any]:
    return {
        "B": B, "H": H, "shortest": shortest, "longest": longest, "D": D,
        "skewed": skewed, "causal": causal,
    }  # fmt: skip


SHAPES = [
    _shape(32, 12, 8, 128, 32),
    _shape(1, 12, 16, 16, 32),
    _shape(8, 12, 64, 1024, 64, causal=True),
    _shape(16, 12, 16, 2048, 64, skewed=True),
]


def lengths(case: Case) -> np.ndarray:
    """Of the sequences: evenly between the shortest and the longest, in a fixed random order; or,
    skewed, one of the longest and all others the shortest."""
    B, shortest, longest = case.sizes("B", "shortest", "longest")
    if case["skewed"]:
        return np.array([shortest] * (B // 2) + [longest] + [shortest] * (B - B // 2 - 1))
    even = np.linspace(shortest, longest, B).round().astype(np.int64)
    return np.random.default_rng(0).permutation(even)


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """query, key, value, grad_output (total, H, D); starts (B + 1) int32."""
    H, D = case.sizes("H", "D")
    starts = np.concatenate([[0], np.cumsum(lengths(case))]).astype(np.int32)
    arrays = {name: normal(rng, int(starts[-1]), H, D)
              for name in ("query", "key", "value", "grad_output")}  # fmt: skip
    return {**arrays, "starts": starts}


def reference(
    case: Case, query: Any, key: Any, value: Any, grad_output: Any, starts: Any
) -> tuple[Any, ...]:
    """y, or dquery, dkey, dvalue; head by head of each sequence."""
    results = [np.zeros_like(query) for _ in range(1 if case.variant == "forward" else 3)]
    for begin, end in itertools.pairwise(starts):
        for h in range(case["H"]):
            at = (slice(begin, end), h)
            q, k, v = query[at], key[at], value[at]
            if case.variant == "forward":
                results[0][at] = probabilities(case, q, k) @ v
            else:
                grads = head_gradients(case, q, k, v, grad_output[at])
                for result, grad in zip(results, grads):
                    result[at] = grad
    return tuple(results)


def observe(case: Case, outputs: tuple[Any, ...], **inputs: Any) -> tuple[Any, ...]:
    """Outputs as packed rows: padded ones (B, H, longest, D) lose their padding."""
    return tuple(_packed(case, y) if y.ndim == 4 else y for y in outputs)


def _packed(case: Case, padded: Any) -> Any:
    rows = [y[:, :n].swapaxes(0, 1) for y, n in zip(padded, lengths(case))]
    return np.concatenate(rows)


def work(case: Case) -> Work:
    """Two products a pair of positions forward, five backward; no padding."""
    H, D = case.sizes("H", "D")
    n = lengths(case)
    pairs = int((n * (n + 1) // 2 if case["causal"] else n * n).sum())
    flop = 2.0 * (5 if case.variant == "backward" else 2) * H * D * pairs
    rows = case.itemsize * int(n.sum()) * H * D
    terms = case["longest"]
    if case.variant == "backward":
        return Work(flop, 5 * rows, 3 * rows, terms=terms)
    return Work(flop, 3 * rows, rows, terms=terms)

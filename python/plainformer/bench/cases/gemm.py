"""Matrix products in the three forms of a linear layer: `nn` a b, `nt` a b^T, `tn` a^T b."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal

SUMMARY = "matrix product, plain arrays packed at every call"
AXES = "M x N x K"
VARIANTS = ("nn", "nt", "tn")


def _shape(M: int, N: int, K: int) -> dict[str, int]:
    return {"M": M, "N": N, "K": K}


SHAPES = [
    *(_shape(1024, N, K) for K in (768, 3072) for N in (768, 2304, 3072)),
    _shape(1024, 50257, 768),
    _shape(768, 128, 512),
    _shape(256, 768, 768),
    _shape(64, 768, 768),
    _shape(8, 3072, 768),
    _shape(1, 3072, 768),
]
# The same kernel with other strides: enough shapes to see that they cost the same.
TRANSPOSED_SHAPES = [
    _shape(1024, 768, 768),
    _shape(1024, 768, 3072),
    _shape(1024, 3072, 768),
    _shape(768, 128, 512),
]
ONLY = {"nt": TRANSPOSED_SHAPES, "tn": TRANSPOSED_SHAPES}
# Rows from one token to many through every matrix of a Transformer and a vocabulary's head, and
# squares, in all forms.
ROWS = (1, 4, 8, 16, 64, 256, 1024, 2048)
WIDTHS = (384, 768, 1024)
HEAD = 50257
EVERY_SHAPE = [
    *(
        _shape(M, N, K)
        for C in WIDTHS
        for N, K in ((C, C), (3 * C, C), (4 * C, C), (C, 4 * C), (HEAD, C))
        for M in ROWS
    ),
    *(_shape(n, n, n) for n in (256, 512, 1024, 2048, 4096)),
]
MORE = EVERY_SHAPE
CUDA_SHAPES = [
    _shape(4096, 4096, 4096),
    _shape(8192, 8192, 8192),
    *(_shape(16384, N, K) for N, K in ((2304, 768), (3072, 768), (768, 3072))),
    _shape(1, 3072, 768),
    _shape(16, 4096, 4096),
]
CUDA_ONLY = {"nt": CUDA_SHAPES[:1], "tn": [_shape(768, 3072, 16384)]}


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """a (M, K), stored (K, M) for tn; b (K, N), stored (N, K) for nt."""
    M, N, K = case.sizes("M", "N", "K")
    a = normal(rng, K, M) if case.variant == "tn" else normal(rng, M, K)
    b = normal(rng, N, K) if case.variant == "nt" else normal(rng, K, N)
    return {"a": a, "b": b}


def reference(case: Case, a: Any, b: Any) -> tuple[Any, ...]:
    """The product in the dtype of the inputs."""
    return ((a.T if case.variant == "tn" else a) @ (b.T if case.variant == "nt" else b),)


def work(case: Case) -> Work:
    """2 M N K operations; each matrix once through memory."""
    M, N, K = case.sizes("M", "N", "K")
    size = case.itemsize
    return Work(2.0 * M * N * K, read=size * (M * K + K * N), write=size * M * N, terms=K)

"""Linear layers: x W^T + b, with GELU in the epilogue, and the three gradients.

`packed` is inference: ours packs the weight once, before it is timed; others hold it as they like.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Arrays, Case, Work, normal
from . import _formulas

SUMMARY = "x W^T + b with plain or packed weights; GELU (erf) as epilogue"
AXES = "tokens x outputs x inputs"
VARIANTS = ("forward", "gelu", "packed", "backward")


def _shape(tokens: int, outputs: int, inputs: int) -> dict[str, int]:
    return {"tokens": tokens, "out_features": outputs, "in_features": inputs}


SHAPES = [
    _shape(1024, 3072, 768),
    _shape(1024, 768, 3072),
    _shape(1024, 2304, 768),
    _shape(768, 512, 128),
    _shape(768, 128, 512),
    _shape(8, 3072, 768),
    _shape(1, 3072, 768),
]
# Rows of one token, a few, a short text and many; the head of a language model; MiniLM's layers.
PACKED_SHAPES = [
    *(_shape(tokens, 50257, 768) for tokens in (1, 4, 16, 64)),
    *(_shape(tokens, 3072, 768) for tokens in (1, 4, 16, 64, 1024)),
    *(_shape(16, *sizes) for sizes in ((384, 384), (1536, 384), (384, 1536))),
]
ONLY = {"packed": PACKED_SHAPES, "backward": SHAPES[:5]}
TINY = _shape(8, 16, 16)
MORE = {
    "forward": [TINY, *(_shape(tokens, 1536, 384) for tokens in (16, 128, 2048))],
    "gelu": [TINY, _shape(2048, 1536, 384)],
    "packed": [TINY],
    "backward": [TINY, _shape(2048, 1536, 384)],
}
CUDA_SHAPES = [_shape(16384, 3072, 768), _shape(16384, 768, 3072)]
CUDA_ONLY: dict[str, list] = {"packed": []}


def inputs(case: Case, rng: np.random.Generator) -> Arrays:
    """x (M, K), weight (N, K), bias (N), grad_output (M, N)."""
    M, N, K = case.sizes("tokens", "out_features", "in_features")
    return {
        "x": normal(rng, M, K),
        "weight": normal(rng, N, K) / np.float32(K**0.5),
        "bias": normal(rng, N),
        "grad_output": normal(rng, M, N),
    }


def reference(case: Case, x: Any, weight: Any, bias: Any, grad_output: Any) -> tuple[Any, ...]:
    """y, or dx, dweight, dbias."""
    if case.variant == "backward":
        return grad_output @ weight, grad_output.T @ x, grad_output.sum(axis=0)
    y = x @ weight.T + bias
    return (_formulas.gelu(y) if case.variant == "gelu" else y,)


def work(case: Case) -> Work:
    """2 M N K operations forward, twice that backward."""
    M, N, K = case.sizes("tokens", "out_features", "in_features")
    size = case.itemsize
    matrices = size * (M * K + N * K)
    if case.variant == "backward":
        return Work(4.0 * M * N * K, matrices + size * M * N, matrices, terms=max(M, N))
    return Work(2.0 * M * N * K, read=matrices, write=size * M * N, terms=K)

"""Semantic search: the nearest of many vectors, exactly, a block of a mapped file at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..checkpoints.mapped import release_pages
from ..errors import DTypeError, ShapeError
from ..options import COUNT
from .task import Array

_BLOCK = 8192  # rows of the corpus in one matrix product


def semantic_search(queries: Any, corpus: Any, top_k: int = 10) -> list[list[dict[str, Any]]]:
    """The nearest vectors of a corpus, by cosine, as sentence-transformers' function of this name.

    Parameters
    ----------
    queries : array (Q, C) or (C,) of floats
    corpus : array (N, C) of floats, memory-mapped or not
    top_k : int, so many at most

    Returns
    -------
    for each query a list of {"corpus_id": row of the corpus, "score": cosine}, nearest first; rows
    of zeros, which have no direction, are left out

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    scores, rows = nearest(queries, corpus, top_k)
    return [
        [
            {"corpus_id": int(row), "score": float(score)}
            for row, score in zip(own, found)
            if score > -np.inf
        ]
        for own, found in zip(rows, scores)
    ]


def nearest(queries: Any, corpus: Any, top_k: int) -> tuple[Array, Array]:
    """Cosines (Q, k) of the k nearest rows of `corpus`, largest first, and their numbers, int64.

    Equal cosines rank by row. k is `top_k` or the rows that there are. A row of zeros has -inf.
    """
    COUNT.check("top_k", top_k)
    asked = _matrix("queries", np.atleast_2d(queries))
    known = _matrix("corpus", corpus)
    if known.shape[1] != asked.shape[1]:
        raise ShapeError(
            f"queries: got shape {asked.shape}, expected (Q, {known.shape[1]}) as the corpus has"
        )
    unit, _ = _directions(asked)
    scores = np.empty((len(unit), 0), np.float32)
    rows = np.empty((len(unit), 0), np.int64)
    for start in range(0, len(known), _BLOCK):
        part = known[start : start + _BLOCK]
        found = _cosines(unit, part)
        numbers = np.broadcast_to(np.arange(start, start + len(part)), found.shape)
        release_pages(part)
        scores, rows = _best(
            np.hstack([scores, found]), np.hstack([rows, numbers]), top_k
        )  # those from before come first, so that equals rank by row
    return scores, rows


def cosines(a: Array, b: Array) -> Array:
    """Cosines (A, B) of vectors (A, C) and (B, C), float32."""
    return kernels.matmul(_directions(a)[0], _directions(b)[0], transpose_b=True)


def _cosines(unit: Array, part: Array) -> Array:
    """Cosines of unit vectors with a block of rows; -inf where a row has no direction."""
    directions, is_zero = _directions(part)
    found = kernels.matmul(unit, directions, transpose_b=True)
    found[:, is_zero] = -np.inf
    return found


def _directions(vectors: Array) -> tuple[Array, Array]:
    """Rows as float32 of length 1, and which of them are 0."""
    wide = np.ascontiguousarray(vectors, np.float32)
    lengths = np.sqrt(np.square(wide).sum(axis=1))
    is_zero = lengths == 0
    return wide / np.where(is_zero, 1, lengths)[:, None].astype(np.float32), is_zero


def _best(scores: Array, rows: Array, top_k: int) -> tuple[Array, Array]:
    values, places = kernels.topk(np.ascontiguousarray(scores), min(top_k, scores.shape[1]))
    return values, np.take_along_axis(rows, places, axis=1)


def _matrix(name: str, values: Any) -> Array:
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise DTypeError(f"{name}: got {array.dtype}, expected floats")
    if array.ndim != 2 or not array.shape[1]:
        raise ShapeError(f"{name}: got shape {array.shape}, expected vectors (N, C)")
    return array

"""How rows of tokens divide into sequences.

Models compute on rows (N, C): the tokens of all sequences of a batch, one after another. Padding
has no rows, so it costs nothing and no sequence can see it. `Sequences` remembers where each
sequence starts, and where its rows stand in a padded batch (B, L) if they came from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import functional, kernels
from ..errors import DTypeError, ShapeError
from ..kernels._arrays import largest
from ..kernels._backend import frozen
from ..tensor import Array, Tensor


class RaggedRows:
    """A batch (B, L) of rows of several lengths, kept one after another without padding.

    What a task hands to a model. `np.asarray` gives the padded batch.

    Parameters
    ----------
    rows : arrays (length,) of one dtype
    fill : what padding would hold
    group : rows of each example, where it has several
    """

    ndim = 2

    def __init__(self, rows: Sequence[Array], fill: int = 0, group: int = 1):
        arrays = [kernels.array_of(row) for row in rows]
        self.values = kernels.xp(arrays[0]).concatenate(arrays)
        self.sequences = Sequences.of_rows([len(row) for row in rows])
        self.fill, self.group = fill, group

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and the length of the longest."""
        return self.sequences.shape

    @property
    def dtype(self) -> Any:
        """Element type of the values."""
        return self.values.dtype

    @property
    def size(self) -> int:
        """Number of values, N."""
        return self.values.size

    def __len__(self) -> int:
        return self.shape[0]

    def like(self, values: Array) -> RaggedRows:
        """Rows of the same lengths with other values (N,)."""
        other = copy(self)
        other.values = values
        return other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        padded = kernels.xp(self.values).full(self.shape, self.fill, dtype or self.dtype)
        padded.reshape(-1)[kernels.asarray(self.sequences.places(), padded)] = self.values
        return kernels.asnumpy(padded)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Borders of S sequences in N rows, which every layer reads: arrays that are made here are
    `frozen`, so that a device gets one copy of each.

    cu_seqlens : int32 (S + 1), sequence s is rows [cu_seqlens[s], cu_seqlens[s + 1])
    max_length : int, at least the longest sequence
    shape : the (B, L) of the batch that the rows came from
    index : int64 (N,), where the rows stand in B L flattened positions; None: they are all of them
    """

    cu_seqlens: Array
    max_length: int
    shape: tuple[int, int]
    index: Array | None = None

    @classmethod
    def uniform(cls, count: int, length: int) -> Sequences:
        """`count` sequences of one length."""
        borders = np.arange(count + 1, dtype=np.int32) * np.int32(length)
        return cls(frozen(borders), length, (count, length))

    @classmethod
    def from_lengths(cls, lengths: Any) -> Sequences:
        """Sequences of these lengths, one after another; their batch is (1, N)."""
        lengths = kernels.array_of(lengths)
        borders = kernels.xp(lengths).zeros(len(lengths) + 1, np.int64)
        borders[1:] = lengths.astype(np.int64).cumsum()
        shape = 1, int(borders[-1])
        return cls(frozen(borders.astype(np.int32)), largest(lengths), shape)

    @classmethod
    def of_rows(cls, lengths: Any) -> Sequences:
        """One sequence a row of a batch (B, L), each from the first column on."""
        found = cls.from_lengths(lengths)
        count, longest = found.count, found.max_length
        if found.is_uniform:
            return cls.uniform(count, longest)
        xp = kernels.xp(found.cu_seqlens)
        behind = xp.arange(count) * longest - found.cu_seqlens[:-1]  # gaps before each sequence
        places = xp.arange(found.num_rows) + found.for_rows(behind)
        return cls(found.cu_seqlens, longest, (count, longest), frozen(places))

    @classmethod
    def from_mask(cls, attention_mask: Any, shape: tuple[int, int]) -> Sequences:
        """One sequence a row of a batch: the tokens where the mask is not 0.

        Raises
        ------
        ShapeError : the mask has not the shape of the ids
        """
        mask = kernels.array_of(attention_mask)
        if mask.shape != shape:
            raise ShapeError(f"attention_mask: got shape {mask.shape}, expected {shape}")
        mask = mask != 0
        if mask.all():
            return cls.uniform(*shape)
        found = cls.from_lengths(mask.sum(axis=1))
        index = frozen(kernels.xp(mask).flatnonzero(mask))
        return cls(found.cu_seqlens, found.max_length, shape, index)

    @classmethod
    def packed(cls, cu_seqlens: Any, shape: tuple[int, int]) -> Sequences:
        """Documents one after another in a batch (1, N).

        Raises
        ------
        DTypeError, ShapeError : cu_seqlens is no ascending list of integers from 0 to N
        """
        borders = kernels.array_of(cu_seqlens)
        if borders.dtype.kind not in "iu":
            raise DTypeError(f"cu_seqlens: got dtype {borders.dtype}, expected int32")
        if borders.ndim != 1 or borders.size < 1:
            raise ShapeError(f"cu_seqlens: got shape {borders.shape}, expected (documents + 1,)")
        if shape[0] != 1:
            raise ShapeError(f"input_ids: got shape {shape}, expected (1, N) with cu_seqlens")
        lengths = kernels.xp(borders).diff(borders.astype(np.int64))
        if borders[0] != 0 or borders[-1] != shape[1] or (lengths < 0).any():
            raise ShapeError(
                f"cu_seqlens: got {borders[0]} to {borders[-1]}, expected ascending borders from "
                f"0 to the {shape[1]} tokens"
            )
        return cls(frozen(borders.astype(np.int32)), largest(lengths), shape)

    @property
    def count(self) -> int:
        """Number of sequences, S."""
        return len(self.cu_seqlens) - 1

    @property
    def num_rows(self) -> int:
        """Number of rows, N."""
        return int(self.cu_seqlens[-1])

    @cached_property
    def lengths(self) -> Array:
        """Length of each sequence, int32 (S,)."""
        return frozen(self.cu_seqlens[1:] - self.cu_seqlens[:-1])

    @property
    def is_uniform(self) -> bool:
        """Whether all sequences have max_length rows."""
        return self.num_rows == self.count * self.max_length

    def positions(self) -> Array:
        """Each row's distance from the first token of its sequence, int32 (N,)."""
        xp = kernels.xp(self.cu_seqlens)
        places = xp.arange(self.num_rows, dtype=np.int32)
        if not self.num_rows:
            return places
        if self.index is not None:  # a hole in a mask keeps its place
            places = (self.index % self.shape[1]).astype(np.int32)
        starts = places[xp.minimum(self.cu_seqlens[:-1], self.num_rows - 1)]
        return places - self.for_rows(starts)

    @cached_property
    def has_holes(self) -> bool:
        """Whether a mask hid a token between two others of its sequence."""
        if self.index is None:
            return False
        full = self.lengths > 0
        first, last = self.cu_seqlens[:-1][full], self.cu_seqlens[1:][full] - 1
        return bool((self.index[last] - self.index[first] != last - first).any())

    def without_holes(self) -> Sequences:
        """The same sequences with all tokens between their first and their last."""
        mask = kernels.xp(self.cu_seqlens).zeros(self.shape, np.int32)
        mask.reshape(-1)[self.places()] = 1
        begun, left = mask.cumsum(axis=1), mask[:, ::-1].cumsum(axis=1)[:, ::-1]
        return Sequences.from_mask((begun > 0) & (left > 0), self.shape)

    def padded_positions(self) -> Array:
        """The positions of each sequence's rows, int32 (S, max_length), 0 behind the last."""
        xp = kernels.xp(self.cu_seqlens)
        result = xp.zeros((self.count, self.max_length), np.int32)
        result[xp.arange(self.max_length) < self.lengths[:, None]] = self.positions()
        return result

    def tail(self, count: int) -> tuple[Array, Sequences]:
        """The rows in the last `count` columns of the batch, and how they divide."""
        B, L = self.shape
        places = self.places()
        xp = kernels.xp(places)
        kept = xp.flatnonzero(places % L >= L - count)
        width = min(count, L)
        own = places[kept]
        lengths = xp.bincount(own // L, minlength=B)
        found = Sequences.from_lengths(lengths)
        index = own // L * width + own % L - (L - width)
        return kept, Sequences(found.cu_seqlens, found.max_length, (B, width), index)

    def places(self) -> Array:
        """Where each row stands in the B L flattened positions of its batch, int64 (N,)."""
        if self.index is not None:
            return self.index
        return kernels.xp(self.cu_seqlens).arange(self.num_rows)

    def for_rows(self, values: Array) -> Array:
        """One value of each sequence (S, ...) for each of its rows: (N, ...)."""
        return kernels.xp(values).repeat(values, self.lengths.tolist(), axis=0)

    def owners(self) -> Array:
        """The sequence of each row, int32 (N,)."""
        return self.for_rows(kernels.xp(self.cu_seqlens).arange(self.count, dtype=np.int32))

    def first_rows(self) -> Array:
        """The row of each sequence's first token, int64 (S,)."""
        self._check_none_empty()
        return self.cu_seqlens[:-1].astype(np.int64)

    def last_rows(self) -> Array:
        """The row of each sequence's last token, int64 (S,)."""
        self._check_none_empty()
        return self.cu_seqlens[1:].astype(np.int64) - 1

    def _check_none_empty(self) -> None:
        if (self.lengths == 0).any():
            empty = int(self.lengths.argmin())
            raise ShapeError(f"attention_mask: row {empty} has no token, expected at least one")

    def rows_of(self, batch: Array | RaggedRows) -> Array:
        """The rows (N, ...) of an array (B, L, ...), or of rows of just these lengths."""
        if isinstance(batch, RaggedRows):
            own = kernels.asarray(batch.sequences.cu_seqlens, self.cu_seqlens)
            if own.shape != self.cu_seqlens.shape or (own != self.cu_seqlens).any():
                raise ShapeError("batch: got rows of other lengths than input_ids")
            return batch.values
        rows = batch.reshape(-1, *batch.shape[2:])
        return rows if self.index is None else rows[kernels.asarray(self.index, rows)]

    def batch_of(self, x: Tensor) -> Tensor:
        """Rows (N, C) back in their batch (B, L, C), zeros where there was padding."""
        B, L = self.shape
        if self.index is not None:
            x = functional.put_rows(x, self.index, B * L)
        return functional.reshape(x, (B, L, *x.shape[1:]))


def join(rows: Sequence[Any]) -> tuple[Array, Sequences]:
    """Token ids (N,) int64 of several sequences one after another, and their borders."""
    arrays = [kernels.array_of(row).astype(np.int64).reshape(-1) for row in rows]
    if not arrays:
        return kernels.array_of([]).astype(np.int64), Sequences.from_lengths([])
    ids = kernels.xp(arrays[0]).concatenate(arrays)
    return ids, Sequences.from_lengths([len(a) for a in arrays])

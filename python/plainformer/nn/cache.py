"""What decoding remembers: keys and values of the tokens seen, and of an encoder's output."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..errors import ShapeError
from ..kernels._arrays import largest
from ..kernels._backend import frozen
from ..tensor import Array
from .sequences import Sequences


class KeyValueCache:
    """Keys and values of B sequences, each with a length of its own: arrays (B, capacity, KV, D).

    Every sequence starts at 0 of its own row; padding is never stored. A model appends in each
    layer, attends, and calls `advance` once when it is done with all layers. `lengths` are kept on
    the host, for shapes follow from them; keys and values are where those of the model are.

    Parameters
    ----------
    num_layers, batch : int
    capacity : int, tokens that a sequence can hold
    """

    def __init__(self, num_layers: int, batch: int, capacity: int):
        self.lengths = frozen(np.zeros(batch, np.int32))  # replaced, never written: all layers read
        self.is_empty = True  # whether nothing was cached yet
        self.capacity = capacity
        self._layers: list[tuple[Array, Array] | None] = [None] * num_layers

    @property
    def batch(self) -> int:
        """Number of sequences, B."""
        return len(self.lengths)

    def check_room(self, rows: Sequences) -> None:
        """Raise unless these rows are one sequence for each of ours and fit behind them."""
        if rows.count != self.batch:
            raise ShapeError(f"input_ids: got {rows.count} sequences, the cache has {self.batch}")
        longest = largest(self.lengths + kernels.asnumpy(rows.lengths))
        if longest > self.capacity:
            raise ShapeError(
                f"input_ids: {longest} tokens do not fit a cache with capacity {self.capacity}"
            )

    def attend(
        self, layer: int, q: Array, k: Array, v: Array, rows: Sequences, **options: Any
    ) -> Array:
        """Append k and v (N, KV, D) of new rows, and attend from q (N, H, D) to all that is cached.

        options : softmax_scale, window_size, softcap, attn_bias; attention is causal. A bias
            broadcasts to (B, H, longest new length, keys), keys at least those of each sequence.
        """
        if self.is_empty:
            self._append(layer, k, v, rows)
            starts = kernels.asarray(rows.cu_seqlens, q)
            borders = (starts, starts, rows.max_length, rows.max_length)
            return kernels.flash_attn_varlen_func(q, k, v, *borders, causal=True, **options)
        keys, values = self._layer(layer, k, v)
        lengths = kernels.asarray(self.lengths, q)
        if rows.is_uniform:
            B, n = rows.count, rows.max_length
            q, k, v = (x.reshape(B, n, *x.shape[1:]) for x in (q, k, v))
            y = kernels.flash_attn_with_kvcache(
                q, keys, values, k, v, cache_seqlens=lengths, causal=True, **options
            )
            return y.reshape(B * n, *y.shape[2:])
        y = kernels.xp(q).empty((*q.shape[:2], v.shape[-1]), q.dtype)
        bias = options.pop("attn_bias", None)
        for s in range(rows.count):  # continued by different numbers of tokens: one by one
            own, one = slice(rows.cu_seqlens[s], rows.cu_seqlens[s + 1]), slice(s, s + 1)
            y[own] = kernels.flash_attn_with_kvcache(
                q[None, own], keys[one], values[one], k[None, own], v[None, own],
                cache_seqlens=lengths[one], causal=True,
                attn_bias=_of_sequence(bias, s, rows), **options,
            )[0]  # fmt: skip
        return y

    def advance(self, rows: Sequences) -> None:
        """Count the tokens that all layers have appended."""
        self.lengths = frozen(self.lengths + kernels.asnumpy(rows.lengths))
        self.is_empty = not self.lengths.any()

    def forget(self, sequences: Array) -> None:
        """Start these sequences (indices or a mask) anew."""
        lengths = self.lengths.copy()
        lengths[sequences] = 0
        self.lengths = frozen(lengths)
        self.is_empty = not self.lengths.any()

    def crop(self, max_length: int) -> None:
        """Forget what stands behind the first `max_length` tokens of each sequence."""
        self.lengths = frozen(self.lengths.clip(None, max_length).astype(np.int32))
        self.is_empty = not self.lengths.any()

    def grow(self, capacity: int) -> None:
        """Let sequences hold more tokens; what they hold stays."""
        used = largest(self.lengths)
        for layer, pair in enumerate(self._layers):
            if pair is not None:
                self._layers[layer] = (
                    _widened(pair[0], capacity, used),
                    _widened(pair[1], capacity, used),
                )
        self.capacity = capacity

    def reorder(self, index: Array) -> None:
        """Let row i continue what row index[i] has seen; the batch may grow or shrink."""
        index = kernels.asnumpy(kernels.array_of(index))
        used = largest(self.lengths)
        moves = _moves(index, self.batch)
        for layer, pair in enumerate(self._layers):
            if pair is not None:
                self._layers[layer] = (
                    _reordered(pair[0], moves, used),
                    _reordered(pair[1], moves, used),
                )
        self.lengths = frozen(self.lengths[index])

    def _append(self, layer: int, k: Array, v: Array, rows: Sequences) -> None:
        keys, values = self._layer(layer, k, v)
        for s in range(rows.count):
            first, last = rows.cu_seqlens[s], rows.cu_seqlens[s + 1]
            keys[s, : last - first] = k[first:last]
            values[s, : last - first] = v[first:last]

    def _layer(self, layer: int, k: Array, v: Array) -> tuple[Array, Array]:
        if self._layers[layer] is None:
            xp = kernels.xp(k)
            self._layers[layer] = (
                xp.empty((self.batch, self.capacity, *k.shape[1:]), k.dtype),
                xp.empty((self.batch, self.capacity, *v.shape[1:]), v.dtype),
            )
        return self._layers[layer]  # type: ignore[return-value]


def _of_sequence(bias: Array | None, s: int, rows: Sequences) -> Array | None:
    """The part of a bias (B or 1, H, longest, keys) that adds to one sequence's scores."""
    if bias is None:
        return None
    own = bias[s : s + 1] if len(bias) > 1 else bias
    return own[:, :, : rows.lengths[s]]


def _widened(cached: Array, capacity: int, used: int) -> Array:
    result = kernels.xp(cached).empty((len(cached), capacity, *cached.shape[2:]), cached.dtype)
    result[:, :used] = cached[:, :used]
    return result


def _moves(index: Array, batch: int) -> tuple[Array | None, Array]:
    """Which rows take what other rows hold; None where there are more or fewer than before."""
    if len(index) != batch:
        return None, frozen(index.copy())
    moved = np.flatnonzero(index != np.arange(len(index)))
    return frozen(moved), frozen(index[moved])


def _reordered(cached: Array, moves: tuple[Array | None, Array], used: int) -> Array:
    """The chosen rows; moved in place where few change, because beams mostly go on as they are."""
    rows, sources = moves
    sources = kernels.asarray(sources, cached)
    if rows is None:
        shape = (len(sources), *cached.shape[1:])
        result = kernels.xp(cached).empty(shape, cached.dtype)
        result[:, :used] = cached[sources, :used]
        return result
    if len(rows):
        cached[kernels.asarray(rows, cached), :used] = cached[sources, :used]
    return cached


class CrossCache:
    """Keys and values of an encoder's output, computed once a layer and shared by all beams.

    The beams of a source are neighbors in the batch of the decoder: sequences s beams ..
    (s + 1) beams - 1 read source s.
    """

    def __init__(self, num_layers: int, sources: Sequences, beams: int):
        self.sources = sources
        self.beams = beams
        self._layers: list[tuple[Array, Array] | None] = [None] * num_layers

    def has(self, layer: int) -> bool:
        """Whether this layer's keys and values are there."""
        return self._layers[layer] is not None

    def set(self, layer: int, k: Array, v: Array) -> None:
        """Take k and v (N, KV, D) of all source rows as arrays (sources, longest, KV, D)."""
        self._layers[layer] = self._by_source(k), self._by_source(v)

    def attend(self, layer: int, q: Array, rows: Sequences, **options: Any) -> Array:
        """Attend from q (N, H, D), rows of the decoder's sequences, to their sources."""
        keys, values = self._layers[layer]  # type: ignore[misc]
        lengths = kernels.asarray(self.sources.lengths, q)
        if rows.is_uniform and rows.max_length:  # all beams of a source are queries of one call
            shape = (self.sources.count, self.beams * rows.max_length, *q.shape[1:])
            y = kernels.flash_attn_with_kvcache(
                q.reshape(shape), keys, values, cache_seqlens=lengths, **options
            )
            return y.reshape(len(q), *y.shape[2:])
        queries = rows.lengths.reshape(self.sources.count, self.beams).sum(axis=1)
        y = kernels.xp(q).empty((*q.shape[:2], values.shape[-1]), q.dtype)
        for s, (count, end) in enumerate(zip(queries, queries.cumsum())):
            own, one = slice(end - count, end), slice(s, s + 1)
            y[own] = kernels.flash_attn_with_kvcache(
                q[None, own], keys[one], values[one],
                cache_seqlens=lengths[one], **options,
            )[0]  # fmt: skip
        return y

    def _by_source(self, x: Array) -> Array:
        S, longest = self.sources.count, self.sources.max_length
        if self.sources.is_uniform:
            return x.reshape(S, longest, *x.shape[1:])
        result = kernels.xp(x).empty((S, longest, *x.shape[1:]), x.dtype)
        for s in range(S):
            first, last = self.sources.cu_seqlens[s], self.sources.cu_seqlens[s + 1]
            result[s, : last - first] = x[first:last]
        return result


class Seq2SeqCache:
    """What the decoder of an encoder-decoder remembers: its own tokens, and the encoder's output.

    `encoder_states` are rows (N, C) of `sources`; each layer's keys are computed at its first use.
    """

    def __init__(
        self, num_layers: int, batch: int, capacity: int, encoder_states: Any, sources: Sequences
    ):
        if sources.count == 0 or batch % sources.count:
            raise ShapeError(
                f"batch: got {batch} sequences, expected a multiple of the {sources.count} sources"
            )
        self.encoder_states = encoder_states
        self.own = KeyValueCache(num_layers, batch, capacity)
        self.cross = CrossCache(num_layers, sources, batch // sources.count)

    @property
    def lengths(self) -> Array:
        """Tokens of each sequence so far, int32 (B,)."""
        return self.own.lengths

    @property
    def batch(self) -> int:
        """Number of sequences, B."""
        return self.own.batch

    @property
    def capacity(self) -> int:
        """Tokens that a sequence can hold."""
        return self.own.capacity

    @property
    def is_empty(self) -> bool:
        """Whether no token was cached yet."""
        return self.own.is_empty

    def check_room(self, rows: Sequences) -> None:
        """Raise unless these rows fit behind what is there."""
        self.own.check_room(rows)

    def advance(self, rows: Sequences) -> None:
        """Count the tokens that all layers have appended."""
        self.own.advance(rows)

    def grow(self, capacity: int) -> None:
        """Let targets hold more tokens."""
        self.own.grow(capacity)

    def reorder(self, index: Array) -> None:
        """Let row i continue row index[i], a beam of the same source."""
        index = kernels.array_of(index)
        own = kernels.xp(index).arange(self.batch)
        beams = self.cross.beams
        if len(index) != self.batch or (index // beams != own // beams).any():
            raise ShapeError("index: expected each beam to continue a beam of its own source")
        self.own.reorder(index)

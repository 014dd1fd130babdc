"""Multi-head attention between the projections, which each family names its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import functional, kernels
from ..errors import ConfigError
from ..functional import Borders
from ..functional.random import take
from ..kinds import checked
from ..tensor import Array, Tensor
from .cache import CrossCache, KeyValueCache
from .capture import refuse_cache, report_attention
from .layers import Dropout
from .module import Module
from .sequences import Sequences


class Attention(Module):
    """Split rows into heads, attend within each sequence, join the heads. It has no parameters.

    Parameters
    ----------
    num_heads : int
    num_kv_heads : int, heads of keys and values that groups of query heads share; None: num_heads
    scale : float, what scores are multiplied with; None means 1 / sqrt(head width)
    dropout : float, on the attention weights, inside the kernel
    causal : bool, no row sees a later one
    window_size : (left, right), how far back and ahead a row sees; -1 means all the way
    softcap : float, c > 0 replaces scores s by c tanh(s / c) before anything is added; 0: no cap
    """

    @checked
    def __init__(
        self,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        scale: float | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        window_size: tuple[int, int] = (-1, -1),
        softcap: float = 0.0,
    ):
        kv_heads = num_kv_heads or num_heads
        if num_heads < 1 or num_heads % kv_heads:
            raise ConfigError(f"num_heads: got {num_heads}, expected a multiple of {kv_heads}")
        self.num_heads, self.num_kv_heads = num_heads, kv_heads
        self.causal = causal
        self.dropout = Dropout(dropout)
        self._options: dict[str, Any] = {
            "softmax_scale": scale, "window_size": window_size, "softcap": softcap,
        }  # fmt: skip

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        rows: Sequences,
        kv_rows: Sequences | None = None,
        *,
        bias: Tensor | None = None,
    ) -> Tensor:
        """q (N, H D), k and v (M, KV D) to (N, H D); kv_rows are the keys' sequences, if others."""
        keys = kv_rows or rows
        borders = Borders(rows.cu_seqlens, keys.cu_seqlens, rows.max_length, keys.max_length)
        options = self._recorded()
        if rows.has_holes and kv_rows is None and self.has_window:
            bias, options["window_size"] = self._window_bias(rows, q.data), (-1, -1)
        report_attention(rows, kv_rows, lambda: self._weights(q.data, k.data, borders, bias))
        return functional.attention(
            q, k, v, borders, self.num_heads, self.num_kv_heads, bias=bias, **options
        )

    @property
    def has_window(self) -> bool:
        """Whether a row sees less than all of its sequence, or all before it."""
        return self._options["window_size"] != (-1, -1)

    def _window_bias(self, rows: Sequences, like: Array) -> Tensor:
        """The window as a bias (S, 1, L, L): kernels count rows, and a hole has none."""
        places = kernels.asarray(rows.padded_positions(), like)
        ahead = places[:, None, None, :] - places[:, None, :, None]
        left, right = self._options["window_size"]
        hidden = ((left >= 0) & (-ahead > left)) | ((right >= 0) & (ahead > right))
        return Tensor(kernels.xp(like).where(hidden, -np.inf, 0).astype(like.dtype))

    def packed(self, qkv: Tensor, rows: Sequences) -> Tensor:
        """The same from projections side by side, (N, 3 C) to (N, C), which are not copied."""
        borders = Borders(rows.cu_seqlens, rows.cu_seqlens, rows.max_length, rows.max_length)
        width = qkv.shape[1] // 3
        report_attention(
            rows,
            None,
            lambda: self._weights(
                qkv.data[:, :width], qkv.data[:, width : 2 * width], borders, None
            ),
        )
        return functional.self_attention(
            qkv, rows.cu_seqlens, rows.max_length, self.num_heads, **self._recorded()
        )

    def cached(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        rows: Sequences,
        cache: KeyValueCache,
        layer: int,
        *,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Attention of new rows to themselves and to what the cache holds, which they join."""
        heads = q.data.reshape(len(q), self.num_heads, q.shape[1] // self.num_heads)
        return self._join_cache(
            heads, self._kv_heads(k), self._kv_heads(v), rows, cache, layer, bias
        )

    def packed_cached(
        self, qkv: Tensor, rows: Sequences, cache: KeyValueCache, layer: int
    ) -> Tensor:
        """The same from projections side by side, (N, 3 C)."""
        heads = functional.split_heads(qkv.data, self.num_heads)
        return self._join_cache(*heads, rows, cache, layer, None)

    def _join_cache(
        self,
        q: Array,
        k: Array,
        v: Array,
        rows: Sequences,
        cache: KeyValueCache,
        layer: int,
        bias: Tensor | None,
    ) -> Tensor:
        refuse_cache()
        y = cache.attend(layer, q, k, v, rows, **self._unrecorded(bias))
        return Tensor(y.reshape(len(q), self.num_heads * y.shape[-1]))

    def cross(
        self,
        q: Tensor,
        rows: Sequences,
        project: Callable[[], Sequence[Tensor]],
        sources: Sequences,
        cache: CrossCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attention of a decoder's rows q (N, H D) to those of an encoder, sequence s to source s.

        `project` makes keys and values (M, KV D) of the encoder's states; with a cache it runs at
        the first call only, and beams of a source share what it made.
        """
        if cache is None:
            return self(q, *project(), rows, sources)
        refuse_cache()
        if not cache.has(layer):
            cache.set(layer, *(self._kv_heads(x) for x in project()))
        heads = q.data.reshape(len(q), self.num_heads, q.shape[1] // self.num_heads)
        y = cache.attend(layer, heads, rows, **self._unrecorded(None))
        return Tensor(y.reshape(len(q), self.num_heads * y.shape[-1]))

    def _kv_heads(self, x: Tensor) -> Array:
        return x.data.reshape(len(x), self.num_kv_heads, x.shape[1] // self.num_kv_heads)

    def _weights(self, q: Array, k: Array, borders: Borders, bias: Tensor | None) -> list[Array]:
        """Attention weights (H, Lq, Lk) of each sequence."""
        return functional.attention_weights(
            q, k, borders, self.num_heads, self.num_kv_heads,
            causal=self.causal, **self._unrecorded(bias),
        )  # fmt: skip

    def _recorded(self) -> dict[str, Any]:
        options: dict[str, Any] = {"causal": self.causal, **self._options}
        if self.training and self.dropout.p:
            seed, offset = take()
            options |= {"dropout_p": self.dropout.p, "seed": seed, "offset": offset}
        return options

    def _unrecorded(self, bias: Tensor | None) -> dict[str, Any]:
        return {**self._options, "attn_bias": None if bias is None else bias.data}

"""Multi-head self-attention with one packed projection, under GPT-2's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional, kernels
from ..errors import ConfigError
from ..tensor import Array, Tensor
from .linear import Conv1D
from .module import Module
from .random import Dropout, take


class KeyValueCache:
    """Keys and values of the tokens seen so far, one pair of arrays (B, max_length, H, D) a layer.

    The arrays are allocated once; a step writes its own positions and attends to views of them.
    """

    def __init__(self, num_layers: int, max_length: int):
        self.length = 0
        self.max_length = max_length
        self._layers: list[tuple[Array, Array] | None] = [None] * num_layers

    def append(self, layer: int, keys: Array, values: Array) -> tuple[Array, Array]:
        """Write (B, L, H, D) keys and values after the first `length`; return all of them.

        `length` moves on when the model is done with all layers, not here.
        """
        B, L, H, D = keys.shape
        end = self.length + L
        if self._layers[layer] is None:
            shape = (B, self.max_length, H, D)
            self._layers[layer] = (np.empty(shape, keys.dtype), np.empty(shape, keys.dtype))
        cached_keys, cached_values = self._layers[layer]  # type: ignore[misc]
        cached_keys[:, self.length : end] = keys
        cached_values[:, self.length : end] = values
        return cached_keys[:, :end], cached_values[:, :end]


class SelfAttention(Module):
    """Causal self-attention: project to q, k, v side by side, attend, project back.

    Parameters
    ----------
    width, num_heads : int; a head is width / num_heads wide
    scale : float, what scores are multiplied with; None means 1 / sqrt(head width)
    bias : bool, in both projections
    attention_dropout, dropout : float, on the attention weights and on the output
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        scale: float | None = None,
        bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        if num_heads < 1 or width % num_heads:
            raise ConfigError(f"num_heads: got {num_heads}, expected a divisor of width {width}")
        self.num_heads = num_heads
        self.scale = scale
        self.attn_dropout = Dropout(attention_dropout)  # applied inside the kernel
        self.c_attn = Conv1D(width, 3 * width, bias)
        self.c_proj = Conv1D(width, width, bias)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        attn_mask: Array | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """x (B, L, C) to the same shape. With a cache, x continues what the cache has seen."""
        qkv = self.c_attn(x)
        if cache is None:
            y = self._attend(qkv, attn_mask)
        else:
            y = self._attend_cached(qkv.data, attn_mask, cache, layer)
        return self.dropout(self.c_proj(y))

    def _attend(self, qkv: Tensor, attn_mask: Array | None) -> Tensor:
        options: dict[str, Any] = {"is_causal": True, "scale": self.scale}
        if self.training and self.attn_dropout.p:
            seed, offset = take()
            options |= {"dropout_p": self.attn_dropout.p, "seed": seed, "offset": offset}
        return functional.self_attention(qkv, self.num_heads, attn_mask, **options)

    def _attend_cached(
        self, qkv: Array, attn_mask: Array | None, cache: KeyValueCache, layer: int
    ) -> Tensor:
        B, L, _ = qkv.shape
        q, k, v = functional.split_heads(qkv, self.num_heads)
        k, v = cache.append(layer, k, v)
        first = cache.length == 0
        if not first and L > 1:  # causal is top-left in the kernel, these queries are the last rows
            seen = np.tri(L, k.shape[1], cache.length, dtype=bool)
            attn_mask = seen if attn_mask is None else seen & attn_mask
        y = kernels.scaled_dot_product_attention(
            q, k, v, attn_mask, is_causal=first, scale=self.scale, layout="blhd"
        )
        return Tensor(y.reshape(B, L, -1))

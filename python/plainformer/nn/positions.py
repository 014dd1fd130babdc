"""Absolute positions: tables looked up by the place of a row in its sequence."""

from __future__ import annotations

import functools

import numpy as np

from .. import functional, kernels
from ..kernels._arrays import largest
from ..kinds import checked
from ..parameter import Parameter
from ..tensor import Array, Tensor
from .empty import normal
from .module import Module


class LearnedPositions(Module):
    """A trained vector for each place; weight is (num_positions + offset, width).

    offset : int, rows before the first position, which some families (BART) leave unused
    """

    @checked
    def __init__(self, num_positions: int, width: int, offset: int = 0):
        self.offset = offset
        self.weight = Parameter(normal((num_positions + offset, width)))

    def forward(self, positions: Array, like: Tensor) -> Tensor:
        """Positions (N,) to vectors (N, width); `like` has the weights' dtype."""
        return functional.embedding(positions + np.int32(self.offset), self.weight)


class SinusoidalPositions(Module):
    """Sines and cosines of positions / 10000^(2 i / width); computed, never saved.

    Column 2 i holds the sine and 2 i + 1 the cosine, or, unless `interleaved`, all sines come first
    (Tensor2Tensor and Marian).

    References
    ----------
    Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 3.5.
    """

    @checked
    def __init__(self, num_positions: int, width: int, *, interleaved: bool = True):
        self._size = num_positions, width, interleaved

    def forward(self, positions: Array, like: Tensor) -> Tensor:
        """Positions (N,) to constant vectors (N, width) of the kind and dtype of `like`."""
        num_positions, *rest = self._size
        # Computed as far as they are used: no array of a checkpoint vouches for their number.
        rows = min(num_positions, 1 << largest(positions, 63).bit_length())
        table = kernels.asarray(sinusoids(rows, *rest, np.dtype(like.dtype)), like.data)
        return functional.embedding(positions, Tensor(table))


@functools.lru_cache(maxsize=8)
def sinusoids(num_positions: int, width: int, interleaved: bool, dtype: np.dtype) -> Array:
    """The table (num_positions, width) of `SinusoidalPositions`, read-only, one for all users."""
    half = (width + 1) // 2
    frequencies = np.power(10000.0, 2 * np.arange(half) / width)
    angles = np.arange(num_positions)[:, None] / frequencies
    sines, cosines = np.sin(angles), np.cos(angles[:, : width - half])
    table = np.concatenate([sines, cosines], axis=1)
    if interleaved:
        table[:, 0::2], table[:, 1::2] = sines, cosines
    table = table.astype(dtype)
    table.flags.writeable = False
    return table

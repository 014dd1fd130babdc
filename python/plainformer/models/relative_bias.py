"""A bias of attention scores by distance, in buckets that widen with it: T5's and MPNet's.

Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
2019, arXiv:1910.10683, section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import functional, kernels, nn
from ..tensor import Array, Tensor


def relative_buckets(
    distances: Array, *, bidirectional: bool, num_buckets: int, max_distance: int
) -> Array:
    """The bucket of each distance from query to key: exact when small, then logarithmic.

    Half of the buckets are for later keys if `bidirectional`; else those share bucket 0. Computed
    in float32 as transformers does, because rounding decides at the borders of buckets.
    """
    xp = kernels.xp(distances)
    result = xp.zeros(distances.shape, np.int64)
    if bidirectional:
        num_buckets //= 2
        result += num_buckets * (distances > 0)
        distances = xp.abs(distances)
    else:
        distances = xp.maximum(-distances, 0)
    exact = num_buckets // 2
    ratio = xp.maximum(distances, exact).astype(np.float32) / np.float32(exact)
    log = xp.log(ratio.astype(np.float64)).astype(np.float32)  # correctly rounded everywhere
    scaled = log / np.float32(math.log(max_distance / exact)) * np.float32(num_buckets - exact)
    large = xp.minimum(exact + scaled.astype(np.int64), num_buckets - 1)
    return result + xp.where(distances < exact, distances, large)


def relative_position_bias(
    weight: Tensor, rows: nn.Sequences, buckets: Callable[[Array], Array]
) -> Tensor:
    """What is added to the scores of sequences with themselves: (1, H, L, L), L the longest.

    With holes in a mask it is (S, H, L, L): a hidden token keeps its place, so distances differ by
    sequence.

    weight : Tensor (num_buckets, H)
    buckets : from distances from query to key, of any shape, to the rows of weight
    """
    L = rows.max_length
    if rows.has_holes:
        places = rows.padded_positions()
        return functional.bucket_bias(weight, buckets(places[:, None, :] - places[:, :, None]))
    if not L:
        return Tensor(kernels.xp(weight.data).empty((1, weight.shape[1], 0, 0), weight.dtype))
    distances = kernels.xp(rows.cu_seqlens).arange(1 - L, L)
    return functional.relative_bias(weight, buckets(distances), L)

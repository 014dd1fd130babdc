"""What all operations share."""

from __future__ import annotations

from ..tensor import Array, Tensor


def data_of(x: Tensor | None) -> Array | None:
    """The array of a Tensor that may be absent."""
    return None if x is None else x.data

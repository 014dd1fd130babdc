"""Rotary position embedding of queries and keys."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ._arrays import (
    Array,
    check_array,
    check_flag,
    check_ids,
    check_ndim,
    check_same_device,
    check_shape,
    computed,
    contiguous,
    unit_last_axis,
)
from ._backend import backend
from ._devices import float32


def rotary_embedding(
    x: Array, positions: Any, cos: Any, sin: Any, *, interleaved: bool = False
) -> Array:
    """Turn pairs of elements of each head by angles that grow with the row's position.

    y_a = x_a cos[p, i] - x_b sin[p, i]        y_b = x_b cos[p, i] + x_a sin[p, i]

    where p = positions[...] and pair i is elements (a, b) = (i, i + R / 2) of a head, as in
    GPT-NeoX and Llama, or, interleaved, (2 i, 2 i + 1), as in GPT-J. Elements from R on are
    copied. bfloat16 is computed in float32 and rounded once.

    Parameters
    ----------
    x : array (..., H, D), float32, bfloat16 or float64; any strides of all axes but the last are
        read in place, so x may be the queries or keys of packed projections
    positions : array (...), int32 or int64, each in [0, max_positions)
    cos, sin : array (max_positions, R / 2), float32, R <= D; cosines and sines of the angles
    interleaved : bool, which elements make a pair

    Returns
    -------
    y : array (..., H, D), dtype of x, contiguous

    Raises
    ------
    ShapeError : shapes do not fit, or a position is out of range (its place is named)
    DTypeError : an argument has the wrong type

    References
    ----------
    Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: Enhanced Transformer with Rotary Position
    Embedding", 2021, arXiv:2104.09864.
    """
    return _rotary("x", x, positions, cos, sin, interleaved, False)


def rotary_embedding_backward(
    grad_output: Array, positions: Any, cos: Any, sin: Any, *, interleaved: bool = False
) -> Array:
    """Gradient of `rotary_embedding` for x: the same turn by the negative angles.

    Parameters
    ----------
    grad_output : array (..., H, D), float32, bfloat16 or float64
    positions, cos, sin, interleaved : as given to `rotary_embedding`

    Returns
    -------
    grad_x : array (..., H, D), dtype of grad_output, contiguous

    Raises
    ------
    ShapeError, DTypeError : as for `rotary_embedding`
    """
    return _rotary("grad_output", grad_output, positions, cos, sin, interleaved, True)


def _rotary(
    name: str, x: Any, positions: Any, cos: Any, sin: Any, interleaved: bool, inverse: bool
) -> Any:
    module = backend(name, x)
    try:
        y = module.rotary(x, positions, cos, sin, interleaved, inverse)
    except TypeError:
        y = None
    if y is None:  # not the canonical case: explain, or copy strided arrays
        interleaved = check_flag("interleaved", interleaved)
        _check_rotary(name, x, positions, cos, sin)
        arrays = unit_last_axis(x), contiguous(positions), unit_last_axis(cos), unit_last_axis(sin)
        y = computed(module.rotary(*arrays, interleaved, inverse))
    return y


def _check_rotary(name: str, x: Any, positions: Any, cos: Any, sin: Any) -> None:
    check_array(name, x)
    check_ndim(name, x, 2)
    check_array("cos", cos, (float32,))
    check_array("sin", sin, (float32,))
    if cos.ndim != 2 or 2 * cos.shape[1] > x.shape[-1]:
        raise ShapeError(
            f"cos: got shape {cos.shape}, expected (max_positions, R / 2) with R at most "
            f"{x.shape[-1]}, the width of a head of {name} {x.shape}"
        )
    check_shape(cos.shape, sin=sin)
    check_ids("positions", positions, cos.shape[0])
    check_same_device(**{name: x}, positions=positions, cos=cos, sin=sin)
    check_shape(x.shape[:-2], positions=positions)

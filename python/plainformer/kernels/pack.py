"""Weights packed once for many products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._cpu import PackedWeight
from ..errors import ShapeError
from ._arrays import check_array, check_same_dtype, computed, readable
from ._backend import backend, xp

__all__ = ["PackedWeight", "pack_weight"]


def pack_weight(weight: Any) -> Any:
    """Copy a weight into the order in which `linear` reads it.

    `linear(x, pack_weight(weight), ...)` gives the same bytes as `linear(x, weight, ...)` without
    packing the weight again at every call; a few rows of x then take as long as reading the packed
    weight once. Several weights side by side become one: the product with
    `pack_weight([wq, wk, wv])` has the columns of the three products, in this order.

    Parameters
    ----------
    weight : array (out, in), float32, bfloat16 or float64, any strides (a weight stored (in, out)
        is passed as `stored.T`), or a sequence of such arrays with one dtype and one `in`

    Returns
    -------
    packed : PackedWeight with shape (out, in) (the sum of the outs), dtype, nbytes, level. It
        holds a copy: later changes of the array do not reach it. It belongs to the ISA level
        that packed it (`level`; float64 has one): `linear` refuses it at another one. On a GPU,
        where kernels read weights as they lie, the array itself, or several in one array.

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    weights = list(weight) if isinstance(weight, (list, tuple)) else [weight]
    if not weights:
        raise ShapeError("weight: got an empty sequence, expected at least one array")
    module = backend("weight", weights[0])
    if not hasattr(module, "pack_weight"):
        arrays = _checked(weights)
        return arrays[0] if len(arrays) == 1 else xp(arrays[0]).concatenate(arrays)
    packed = module.pack_weight(weights)
    if packed is None:
        packed = computed(module.pack_weight(_checked(weights)))
    return packed


def _checked(weights: Sequence[Any]) -> list[Any]:
    """The arrays as the kernel can read them, after all checks."""
    names = ["weight"] if len(weights) == 1 else [f"weight[{i}]" for i in range(len(weights))]
    for name, array in zip(names, weights):
        check_array(name, array)
        if array.ndim != 2 or array.shape[1] != weights[0].shape[-1]:
            wanted = "in" if array is weights[0] else weights[0].shape[-1]
            raise ShapeError(f"{name}: got shape {array.shape}, expected (out, {wanted})")
    check_same_dtype(**dict(zip(names, weights)))
    return [readable(array) for array in weights]

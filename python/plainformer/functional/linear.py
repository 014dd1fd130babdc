"""Linear layers in both layouts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from numpy import ndarray

from .. import kernels
from ..errors import ConfigError, ShapeError
from ..kernels._backend import backend
from ..packing import packed_together, packs_weights
from ..parameter import Parameter
from ..quantized import NOT_TRAINED, QuantizedParameter
from ..tensor import Array, Tensor, needs_grad, record
from ._data import all_data, data_of, data_or_none
from .elementwise import add, dropout
from .random import dropped, next_mask


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    activation: str | None = None,
    residual: Tensor | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    """y = activation(x weight^T + bias); weight is (out, in).

    With a residual (..., out) y = residual + dropout(activation(x weight^T + bias)), in the same
    pass; the mask is the next of `dropout_state`.
    """
    return _linear(x, weight, bias, activation, residual, dropout_p, is_in_out=False)


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    activation: str | None = None,
    residual: Tensor | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    """y = activation(x weight + bias); weight is (in, out), as GPT-2 stores it, read in place.

    `residual` and `dropout_p` are those of `linear`.
    """
    return _linear(x, weight, bias, activation, residual, dropout_p, is_in_out=True)


def linear_together(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None = None,
    *,
    is_in_out: bool = False,
) -> list[Tensor]:
    """Several linear layers of the same rows: queries, keys and values, or gate and up.

    y_i = x weight_i^T + bias_i, or x weight_i + bias_i with `is_in_out`. When nothing is recorded
    and the weights are parameters, this is one product with all weights packed side by side
    (`packing.packed_together`), and the results are views of its columns; otherwise one product
    each. The bytes are the same.

    Parameters
    ----------
    x : Tensor (..., in)
    weights : sequence of Tensor (out_i, in), or (in, out_i) with `is_in_out`; dtype of x
    biases : sequence of Tensor (out_i) or None, one a weight; None means no biases
    is_in_out : bool, how the weights are stored

    Returns
    -------
    ys : list of Tensor (..., out_i)
    """
    x_data = data_of("x", x)
    all_data("weights", weights)
    biases = [None] * len(weights) if biases is None else biases
    if len(biases) != len(weights):
        raise ShapeError(
            f"biases: got {len(biases)}, expected {len(weights)}, one a weight or None"
        )
    for i, bias in enumerate(biases):
        data_or_none(f"biases[{i}]", bias)
    first = weights[0] if weights else None
    if isinstance(first, QuantizedParameter):
        return _quantized_together(x, first, weights, biases, is_in_out)
    parameters = [w for w in weights if isinstance(w, Parameter)]
    recorded = needs_grad(x, *weights, *biases)
    if recorded or len(parameters) < len(weights) or not _packs(x_data):
        layer = conv1d if is_in_out else linear
        return [layer(x, w, b) for w, b in zip(weights, biases)]
    packed = packed_together(parameters, transposed=is_in_out)
    widths = [w.shape[is_in_out] for w in weights]
    return _columns(kernels.linear(x_data, packed, _biases_together(biases, widths)), widths)


def _columns(y: Array, widths: Sequence[int]) -> list[Tensor]:
    """Views of so many columns each."""
    ends = itertools.accumulate(widths)
    return [Tensor(y[..., end - width : end]) for end, width in zip(ends, widths)]


def _quantized_together(
    x: Tensor,
    first: QuantizedParameter,
    weights: Sequence[Any],
    biases: Sequence[Tensor | None],
    is_in_out: bool,
) -> list[Tensor]:
    """One product with all weights, if they are quantized alike."""
    if not all(first.is_like(w) for w in weights):
        layer = conv1d if is_in_out else linear
        return [layer(x, w, b) for w, b in zip(weights, biases)]
    check_not_recorded(x, *biases)
    widths = [w.shape[is_in_out] for w in weights]
    y = kernels.linear_int8(
        x.data,
        packed_together(weights, transposed=is_in_out),
        _biases_together(biases, widths),
        dynamic=first.dynamic,
    )
    return _columns(y, widths)


def check_not_recorded(*tensors: Tensor | None) -> None:
    """Raise where a gradient would have to pass an int8 weight."""
    if needs_grad(*tensors):
        raise ConfigError(f"a gradient is wanted: {NOT_TRAINED}, or compute under no_grad")


def _biases_together(biases: Sequence[Tensor | None], widths: Sequence[int]) -> Array | None:
    """Biases end to end; where some are missing, -0.0, to which any number adds up unchanged."""
    given = [b for b in biases if b is not None]
    if not given:
        return None
    xp = kernels.xp(given[0].data)
    parts = [
        xp.full(width, -0.0, given[0].dtype) if b is None else b.data
        for b, width in zip(biases, widths)
    ]
    return xp.concatenate(parts)


def _packs(x: Array) -> bool:
    """Whether products with `x` that are not recorded read packed weights; not on a device."""
    is_host = type(x) is ndarray or hasattr(backend("x", x), "pack_weight")
    return is_host and packs_weights()


def weight_to_read(x: Array, weight: Tensor, is_in_out: bool = False) -> Any:
    """The weight (out, in) as what is not recorded reads it best: packed, if it can be kept."""
    if isinstance(weight, Parameter) and _packs(x):
        return weight.packed(is_in_out)
    return weight.data.T if is_in_out else weight.data


def _linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    activation: str | None,
    residual: Tensor | None,
    dropout_p: float,
    *,
    is_in_out: bool,
) -> Tensor:
    x_data, b = data_of("x", x), data_or_none("bias", bias)
    data_of("weight", weight)
    if isinstance(weight, QuantizedParameter):
        y = _quantized(x, weight, bias, activation, is_in_out)
        return y if residual is None else add(dropout(y, dropout_p, dropout_p > 0), residual)
    drop = next_mask(dropout_p)
    after: dict[str, Any] = {} if activation is None else {"activation": activation}
    if residual is not None or drop:
        after |= {"residual": data_or_none("residual", residual), **drop}
    if not needs_grad(x, weight, bias, residual):
        w = weight_to_read(x_data, weight, is_in_out)
        return Tensor(kernels.linear(x_data, w, b, **after))
    w = weight.data.T if is_in_out else weight.data
    needs = (x.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad)
    if activation is None:
        y, z = kernels.linear(x_data, w, b, **after), None
    else:  # the backward starts from the input of the activation
        y, z = kernels.linear(x_data, w, b, return_preactivation=True, **after)

    def backward(grad: Array) -> Sequence[Any]:
        if not any(needs):  # only the residual is trained
            return None, None, None, grad
        dx, dw, db = kernels.linear_backward(
            dropped(grad, drop), x_data, w, b, z, activation=activation, needs=needs
        )
        return dx, dw.T if is_in_out and dw is not None else dw, db, grad

    # Of the gradients only that of the residual is the caller's own array.
    is_fresh = residual is None or not _is_leaf(residual)
    return record(y, (x, weight, bias, residual), backward, is_fresh=is_fresh)


def _quantized(
    x: Tensor,
    weight: QuantizedParameter,
    bias: Tensor | None,
    activation: str | None,
    is_in_out: bool,
) -> Tensor:
    """A product with int8 weights, which is never recorded."""
    check_not_recorded(x, bias)
    b = None if bias is None else bias.data
    packed = weight.packed(is_in_out)
    return Tensor(
        kernels.linear_int8(x.data, packed, b, activation=activation, dynamic=weight.dynamic)
    )


def _is_leaf(x: Tensor) -> bool:
    """Whether gradients end at x, which then may keep the array."""
    return x.requires_grad and x._node is None

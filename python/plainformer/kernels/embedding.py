"""Embedding lookup and its gradient."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError, DTypeError, ShapeError
from ._arrays import (
    MOST_AXES,
    check_array,
    check_flag,
    check_ids,
    check_ndim,
    check_out,
    check_same_device,
    check_shape,
    check_size,
    computed,
    contiguous,
    unit_last_axis,
)
from ._backend import backend
from ._devices import float32


def embedding(input_ids: Any, weight: Any) -> Any:
    """Rows of a table: y[..., :] = weight[input_ids[...]].

    Parameters
    ----------
    input_ids : array (...), int32 or int64, each in [0, num_embeddings)
    weight : array (num_embeddings, C), float32, bfloat16 or float64

    Returns
    -------
    y : array (..., C), dtype of weight

    Raises
    ------
    ShapeError : an id is out of range (its position is named), or weight is not a matrix
    DTypeError : an argument has the wrong type
    """
    y = backend("weight", weight).embedding(input_ids, weight)
    if y is None:  # not the canonical case: explain, or copy a strided array
        check_array("weight", weight)
        if weight.ndim != 2:
            raise ShapeError(f"weight: got shape {weight.shape}, expected (num_embeddings, C)")
        check_ids("input_ids", input_ids, weight.shape[0])
        check_same_device(weight=weight, input_ids=input_ids)
        _check_gathered(input_ids)
        arrays = contiguous(input_ids), unit_last_axis(weight)
        y = computed(backend("weight", weight).embedding(*arrays))
    return y


def embedding_backward(
    grad_output: Any,
    input_ids: Any,
    num_embeddings: int,
    *,
    out: Any = None,
    accumulate: bool = False,
) -> Any:
    """Gradient of `embedding` for its weight: dweight[v] = sum of grad_output where the id is v.

    Parameters
    ----------
    grad_output : array (..., C), float32, bfloat16 or float64
    input_ids : array (...), int32 or int64, as in the forward
    num_embeddings : int, rows of the weight
    out : array (num_embeddings, C), dtype of grad_output or float32; written and returned
    accumulate : bool, add to what `out` holds (a tied head's gradient, say) instead of overwriting

    Returns
    -------
    dweight : array (num_embeddings, C), `out` if given

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    module = backend("grad_output", grad_output)
    V = check_size("num_embeddings", num_embeddings)
    if check_flag("accumulate", accumulate) and out is None:
        raise ConfigError("accumulate: got True without out, expected out to hold a gradient")
    dweight = module.embedding_backward(grad_output, input_ids, V, out, bool(accumulate))
    if dweight is None:  # not the canonical case: explain, or copy strided arrays
        check_array("grad_output", grad_output)
        check_ndim("grad_output", grad_output, 1)
        check_ids("input_ids", input_ids, V)
        check_same_device(grad_output=grad_output, input_ids=input_ids)
        C = grad_output.shape[-1]
        check_shape((*input_ids.shape, C), grad_output=grad_output)
        if out is not None:
            check_array("out", out)
            if out.dtype not in (grad_output.dtype, float32):
                raise DTypeError(
                    f"out: got dtype {out.dtype}, expected {grad_output.dtype} or float32"
                )
            check_out(out, (V, C), out.dtype, grad_output=grad_output, input_ids=input_ids)
        arrays = contiguous(grad_output), contiguous(input_ids)
        dweight = computed(module.embedding_backward(*arrays, V, out, bool(accumulate)))
    return dweight


def _check_gathered(input_ids: Any) -> None:
    """Raise unless the rows that ids name have axes to spare for their elements."""
    if input_ids.ndim >= MOST_AXES:
        raise ShapeError(
            f"input_ids: got {input_ids.ndim} axes, expected at most {MOST_AXES - 1}; reshape them"
        )

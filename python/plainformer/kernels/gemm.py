"""Matrix products: `matmul` for any two arrays, `linear` for a layer with its activation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _cpu
from .._cpu import PackedWeight
from ..errors import ConfigError, DTypeError, ShapeError, shown
from ._arrays import (
    check_array,
    check_choice,
    check_flag,
    check_ndim,
    check_out,
    check_same_dtype,
    check_shape,
    computed,
    contiguous,
    readable,
    unit_last_axis,
)
from ._attention import checked_dropout
from ._backend import backend
from .activation import GELU, GELU_TANH, RELU, SILU, TANH
from .add import add
from .dropout import dropout

ACTIVATIONS = {
    None: 0,
    "relu": RELU,
    "gelu": GELU,
    "gelu_tanh": GELU_TANH,
    "gelu_new": GELU_TANH,
    "gelu_pytorch_tanh": GELU_TANH,
    "silu": SILU,
    "swish": SILU,
    "tanh": TANH,
}
"""Names of the activations that `linear` fuses, those of Hugging Face configs among them."""


def matmul(
    a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False, out: Any = None
) -> Any:
    """Matrix product over the last two axes; leading axes are broadcast as in NumPy.

    y[..., m, n] = sum_k a[..., m, k] b[..., k, n]

    Any strides are read in place. The sum runs in ascending k, in float32 for bfloat16.

    Parameters
    ----------
    a : array (..., M, K), or (..., K, M) with transpose_a; float32, bfloat16 or float64
    b : array (..., K, N), or (..., N, K) with transpose_b; dtype of a
    out : array (..., M, N), contiguous, written and returned; None means a new one

    Returns
    -------
    y : array (..., M, N), dtype of a

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    module = backend("a", a)
    try:
        y = module.matmul(a, b, transpose_a, transpose_b, out, False)
    except TypeError:
        y = None
    if y is None:  # explain, or copy arrays that no kernel can read
        transpose_a = check_flag("transpose_a", transpose_a)
        transpose_b = check_flag("transpose_b", transpose_b)
        a, b = _checked_pair(a, b, transpose_a, transpose_b, out)
        y = computed(module.matmul(a, b, transpose_a, transpose_b, out, False))
    return y


def matmul_backward(
    grad_output: Any, a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False
) -> tuple[Any, Any]:
    """Gradients of `matmul`; what was broadcast is summed, in float32 for bfloat16.

    grad_a = grad_output b^T        grad_b = a^T grad_output        (transposed like a and b)

    Parameters
    ----------
    grad_output : array (..., M, N), dtype of a
    a, b, transpose_a, transpose_b : as given to `matmul`

    Returns
    -------
    grad_a, grad_b : arrays like a and b

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    transpose_a = check_flag("transpose_a", transpose_a)
    transpose_b = check_flag("transpose_b", transpose_b)
    a, b = _checked_pair(a, b, transpose_a, transpose_b, None)
    check_array("grad_output", grad_output)
    check_same_dtype(a=a, grad_output=grad_output)
    check_shape(_product_shape(a, b, transpose_a, transpose_b), grad_output=grad_output)
    grad_output = readable(grad_output)
    if transpose_a:
        grad_a = _product_for(a, b, grad_output, transpose_b, True)
    else:
        grad_a = _product_for(a, grad_output, b, False, not transpose_b)
    if transpose_b:
        grad_b = _product_for(b, grad_output, a, True, transpose_a)
    else:
        grad_b = _product_for(b, a, grad_output, not transpose_a, False)
    return grad_a, grad_b


def linear(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    activation: str | None = None,
    residual: Any = None,
    dropout_p: float = 0.0,
    seed: int | None = None,
    offset: int = 0,
    return_preactivation: bool = False,
) -> Any:
    """Affine map of the last axis, with the activation applied to the sums in registers.

    y = activation(x weight^T + bias), or residual + dropout(activation(x weight^T + bias))

    A weight stored (in, out), as in GPT-2's Conv1D, is passed as `stored.T` and read in place. A
    weight that serves many calls is packed once (`pack_weight`): the result has the same bytes.

    Parameters
    ----------
    x : array (..., in), float32, bfloat16 or float64
    weight : array (out, in), dtype of x, any strides; or a PackedWeight
    bias : array (out), dtype of x; None means 0
    activation : None, "relu", "gelu" (erf), "gelu_tanh" (also as "gelu_new" and
        "gelu_pytorch_tanh"), "silu" (also as "swish") or "tanh"
    residual : array (..., out), dtype of x, added to the result, with the bytes of `add`; on the
        CPU while the result is in cache
    dropout_p, seed, offset : what `dropout` does to the result before the residual is added to it,
        with the same mask and bytes; seed is required with dropout_p > 0
    return_preactivation : bool, also return z = x weight^T + bias, which `linear_backward` needs
        if there is an activation

    Returns
    -------
    y : array (..., out), dtype of x; with return_preactivation also z : array like y

    Notes
    -----
    The gradient of residual is grad_output; `linear_backward` takes what `dropout_backward` makes
    of grad_output.

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    if residual is not None or dropout_p:
        drop = _checked_drop(dropout_p, seed, offset, residual)
        return _linear_onto(residual, x, weight, bias, activation, drop, return_preactivation)
    code = activation_code(activation)
    module = backend("x", x)
    try:
        y = module.linear(x, weight, bias, code, return_preactivation)
    except TypeError:
        y = None
    if y is None:
        return_preactivation = check_flag("return_preactivation", return_preactivation)
        x, weight, bias = _checked_linear(x, weight, bias, takes_packed=True)
        y = computed(module.linear(x, weight, bias, code, return_preactivation))
    return y


def _checked_drop(
    dropout_p: float, seed: int | None, offset: int, residual: Any
) -> tuple[float, int, int]:
    """Nothing is gained by dropping without the add."""
    drop = checked_dropout(dropout_p, seed, offset)
    if drop[0] and residual is None:
        raise ConfigError(
            f"dropout_p: got {dropout_p} without a residual, expected 0; apply `dropout` to y"
        )
    return drop


def _linear_onto(
    residual: Any,
    x: Any,
    weight: Any,
    bias: Any,
    activation: str | None,
    drop: tuple[float, int, int],
    return_preactivation: bool,
) -> Any:
    """`linear` onto a residual: in one pass on the CPU, by three kernels on a device."""
    module = backend("x", x)
    if not hasattr(module, "linear_onto"):
        kept = linear(x, weight, bias, activation=activation, return_preactivation=True)
        _check_residual(residual, x, kept[0].shape)
        y = dropout(kept[0], *drop) if drop[0] else kept[0]
        y = add(y, residual)
        return (y, kept[1]) if return_preactivation else y
    code = activation_code(activation)
    try:
        y = module.linear_onto(residual, x, weight, bias, code, *drop, return_preactivation)
    except TypeError:
        y = None
    if y is None:
        return_preactivation = check_flag("return_preactivation", return_preactivation)
        x, weight, bias = _checked_linear(x, weight, bias, takes_packed=True)
        shape = (*x.shape[:-1], weight.shape[0])
        _check_residual(residual, x, shape)
        rows, added = contiguous(flat_rows(x)), contiguous(flat_rows(residual))
        y = computed(
            module.linear_onto(added, rows, weight, bias, code, *drop, return_preactivation)
        )
        y = tuple(a.reshape(shape) for a in y) if return_preactivation else y.reshape(shape)
    return y


def _check_residual(residual: Any, x: Any, shape: tuple[int, ...]) -> None:
    check_array("residual", residual)
    check_same_dtype(x=x, residual=residual)
    check_shape(shape, residual=residual)


def linear_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    bias: Any = None,
    preactivation: Any = None,
    *,
    activation: str | None = None,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Any, Any, Any]:
    """Gradients of `linear`.

    grad_z = grad_output activation'(z)
    grad_x = grad_z weight        grad_weight = grad_z^T x        grad_bias = sum of grad_z's rows

    Parameters
    ----------
    grad_output : array (..., out), dtype of x
    x, weight, bias, activation : as given to `linear`
    preactivation : array (..., out), the z that `linear` returned; required with an activation
    needs : which of the three gradients to compute

    Returns
    -------
    grad_x, grad_weight, grad_bias : arrays like x, weight and bias; None where not needed or, for
        grad_bias, without bias. grad_weight has weight's memory order: `stored.T` gets the
        transpose of a contiguous (in, out) array.

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    code = activation_code(activation)
    if not isinstance(needs, (list, tuple)) or len(needs) != 3:
        raise DTypeError(f"needs: got {shown(needs)}, expected three of True and False")
    for i, flag in enumerate(needs):
        check_flag(f"needs[{i}]", flag)
    z = None if activation is None else preactivation
    gradients = _linear_gradients(grad_output, x, weight, bias, z, code, needs)
    if gradients is None:
        x, weight, bias = _checked_linear(x, weight, bias)
        grad_rows, z = _checked_gradient(grad_output, x, weight, z, activation)
        gradients = computed(
            _linear_gradients(grad_rows, flat_rows(x), weight, bias, z, code, needs)
        )
        if needs[0]:
            gradients = gradients[0].reshape(x.shape), *gradients[1:]
    return gradients


def _linear_gradients(
    grad_output: Any, x: Any, weight: Any, bias: Any, z: Any, code: int, needs: Any
) -> Any:
    """The gradients of `linear`; None where the arrays are not as the kernels read them."""
    module = backend("x", x)
    needs_x, needs_weight, needs_bias = needs
    needs_bias = needs_bias and bias is not None
    elementwise = module.linear_grad(grad_output, x, weight, bias, z, code, needs_bias)
    if elementwise is None:
        return None
    grad_z, grad_bias = elementwise
    grad_x = None
    if needs_x:
        rows = grad_z if grad_z.ndim > 1 else grad_z.reshape(1, -1)
        grad_x = module.matmul(rows, weight, False, False, None, False).reshape(x.shape)
    grad_weight = _weight_gradient(module, grad_z, x, weight) if needs_weight else None
    return grad_x, grad_weight, grad_bias


def _weight_gradient(module: Any, grad_z: Any, x: Any, weight: Any) -> Any:
    """grad_z^T x, stored as weight is."""
    if weight.strides[0] < weight.strides[1]:  # (in, out) in memory
        return module.matmul_of_rows(x, grad_z).T
    return module.matmul_of_rows(grad_z, x)


def flat_rows(x: Any) -> Any:
    """(M, N): the leading axes as one, copied only where their strides do not allow it."""
    return unit_last_axis(x).reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _product_for(target: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    """matmul(a, b) summed over the axes along which `target` was broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    missing = len(batch) - (target.ndim - 2)
    axes = tuple(
        i for i, n in enumerate(batch) if i < missing or (n != 1 and target.shape[i - missing] == 1)
    )
    if not axes:
        return matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b).reshape(target.shape)
    stacks = transpose_a and not transpose_b and a.shape[:-2] == b.shape[:-2]
    if stacks and len(axes) == len(batch):  # sum_i a_i^T b_i is one product of all their rows
        return backend("a", a).matmul_of_rows(flat_rows(a), flat_rows(b)).reshape(target.shape)
    sums = backend("a", a).matmul(a, b, transpose_a, transpose_b, None, True)
    return sums.sum(axis=axes).reshape(target.shape).astype(target.dtype, copy=False)


def _product_shape(a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> tuple[int, ...]:
    """Shape of matmul(a, b); a ShapeError where a and b do not fit."""
    m, k = a.shape[-2:] if not transpose_a else a.shape[:-3:-1]
    k_b, n = b.shape[-2:] if not transpose_b else b.shape[:-3:-1]
    if k != k_b:
        axis = -1 if transpose_b else -2
        raise ShapeError(
            f"b: got shape {b.shape}, expected {k} on axis {axis} to match a {a.shape}"
        )
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"b: got shape {b.shape}, expected leading axes that broadcast with a {a.shape}"
        ) from None
    return (*batch, m, n)


def _checked_pair(a: Any, b: Any, transpose_a: bool, transpose_b: bool, out: Any) -> Any:
    """a and b as arrays the kernel can read, after all checks of `matmul`."""
    check_array("a", a)
    check_array("b", b)
    check_same_dtype(a=a, b=b)
    check_ndim("a", a, 2)
    check_ndim("b", b, 2)
    shape = _product_shape(a, b, transpose_a, transpose_b)
    if out is not None:
        check_out(out, shape, a.dtype, a=a, b=b)
    return readable(a), readable(b)


def activation_code(activation: str | None) -> int:
    if not isinstance(activation, (str, type(None))) or activation not in ACTIVATIONS:
        check_choice("activation", activation, tuple(ACTIVATIONS))
    return ACTIVATIONS[activation]


def _checked_linear(
    x: Any, weight: Any, bias: Any, *, takes_packed: bool = False
) -> tuple[Any, Any, Any]:
    """The arrays of a linear layer as the kernel can read them, after all checks of `linear`."""
    check_array("x", x)
    is_packed = isinstance(weight, PackedWeight)
    if is_packed and takes_packed:
        check_level(weight)
    elif is_packed:
        raise DTypeError("weight: got a PackedWeight, expected the array that it was packed from")
    else:
        check_array("weight", weight)
    if bias is not None:
        check_array("bias", bias)
    check_same_dtype(x=x, weight=weight, bias=bias)
    check_ndim("x", x, 1)
    if len(weight.shape) != 2 or weight.shape[1] != x.shape[-1]:
        raise ShapeError(
            f"weight: got shape {weight.shape}, expected (out, {x.shape[-1]}) for x {x.shape}; "
            "a weight stored (in, out) is passed as weight.T"
        )
    check_shape(weight.shape[:1], bias=bias)
    return readable(x), weight if is_packed else readable(weight), contiguous(bias)


def check_level(weight: PackedWeight) -> None:
    if not weight.is_current:
        raise ConfigError(
            f"weight: was packed for level {weight.level}, but level {_cpu.current_level()} is in "
            "use; pack it again with kernels.pack_weight"
        )


def _checked_gradient(
    grad_output: Any, x: Any, weight: Any, preactivation: Any, activation: str | None
) -> tuple[Any, Any]:
    """grad_output and z (None without activation) as (M, out), after all checks."""
    check_array("grad_output", grad_output)
    if preactivation is not None:
        check_array("preactivation", preactivation)
    check_same_dtype(x=x, grad_output=grad_output, preactivation=preactivation)
    shape = (*x.shape[:-1], weight.shape[0])
    check_shape(shape, grad_output=grad_output)
    if activation is None:
        return flat_rows(grad_output), None
    if preactivation is None:
        raise ShapeError(
            f"preactivation: got None, expected shape {shape}; "
            "linear(..., return_preactivation=True) returns it"
        )
    check_shape(shape, preactivation=preactivation)
    return flat_rows(grad_output), contiguous(flat_rows(preactivation))

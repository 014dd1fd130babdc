"""Activations, elementwise and gated, and their gradients."""

from __future__ import annotations

from typing import Any

from ._arrays import Array, check_alike, check_array, check_choice, check_out, computed, contiguous
from ._backend import backend

# The numbers of `enum class Activation` in csrc/include/plainformer/activation.h.
RELU, GELU, GELU_TANH, SILU, TANH = 1, 2, 3, 4, 5
_APPROXIMATIONS = {"none": GELU, "tanh": GELU_TANH}


def relu(x: Array, *, out: Any = None) -> Array:
    """y = max(x, 0); NaN stays NaN.

    Parameters
    ----------
    x : array, float32, bfloat16 or float64
    out : array like x that receives y

    Returns
    -------
    y : array like x

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _activation(x, RELU, out)


def relu_backward(grad_output: Array, x: Any) -> Array:
    """Gradient of `relu`: grad_output where x > 0 (or NaN), else 0.

    Parameters
    ----------
    grad_output, x : array of one shape and dtype, x as in the forward

    Returns
    -------
    dx : array like x

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    return _activation_backward(grad_output, x, RELU)


def gelu(x: Array, approximate: str = "none", *, out: Any = None) -> Array:
    """y = x Phi(x), Phi the cumulative distribution of the standard normal.

    Parameters
    ----------
    x : array, float32, bfloat16 or float64
    approximate : "none" for the exact x (1 + erf(x / sqrt 2)) / 2, "tanh" for
        x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hugging Face: gelu_new)
    out : array like x that receives y

    Returns
    -------
    y : array like x

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Hendrycks, Gimpel, "Gaussian Error Linear Units", 2016, arXiv:1606.08415.
    """
    return _activation(x, _gelu_kind(approximate), out)


def gelu_backward(grad_output: Array, x: Any, approximate: str = "none") -> Array:
    """Gradient of `gelu`: grad_output (Phi(x) + x phi(x)), or that of the tanh form.

    Parameters
    ----------
    grad_output, x : array of one shape and dtype, x as in the forward
    approximate : "none" or "tanh", as in the forward

    Returns
    -------
    dx : array like x

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _activation_backward(grad_output, x, _gelu_kind(approximate))


def silu(x: Array, *, out: Any = None) -> Array:
    """y = x sigmoid(x), also called swish.

    Parameters
    ----------
    x : array, float32, bfloat16 or float64
    out : array like x that receives y

    Returns
    -------
    y : array like x

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _activation(x, SILU, out)


def silu_backward(grad_output: Array, x: Any) -> Array:
    """Gradient of `silu`: grad_output s (1 + x (1 - s)), s = sigmoid(x).

    Parameters
    ----------
    grad_output, x : array of one shape and dtype, x as in the forward

    Returns
    -------
    dx : array like x

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    return _activation_backward(grad_output, x, SILU)


def tanh(x: Array, *, out: Any = None) -> Array:
    """y = tanh(x): BERT's pooler and the classification heads of RoBERTa and BART.

    Parameters
    ----------
    x : array, float32, bfloat16 or float64
    out : array like x that receives y

    Returns
    -------
    y : array like x

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _activation(x, TANH, out)


def tanh_backward(grad_output: Array, x: Any) -> Array:
    """Gradient of `tanh`: grad_output (1 - tanh(x)^2).

    Parameters
    ----------
    grad_output, x : array of one shape and dtype, x as in the forward

    Returns
    -------
    dx : array like x

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    return _activation_backward(grad_output, x, TANH)


def geglu(gate: Array, up: Any, approximate: str = "none") -> Array:
    """y = gelu(gate) up.

    Parameters
    ----------
    gate, up : array (..., C) of one shape and dtype, float32, bfloat16 or float64; the halves of
        one projection are read in place
    approximate : "none" or "tanh", as for `gelu`

    Returns
    -------
    y : array like gate

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202.
    """
    return _gated(gate, up, _gelu_kind(approximate))


def geglu_backward(
    grad_output: Array, gate: Any, up: Any, approximate: str = "none"
) -> tuple[Array, Array]:
    """Gradients of `geglu`: dgate = grad_output up gelu'(gate), dup = grad_output gelu(gate).

    Parameters
    ----------
    grad_output, gate, up : array (..., C) of one shape and dtype, as in the forward
    approximate : "none" or "tanh", as in the forward

    Returns
    -------
    dgate, dup : array like gate

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _gated_backward(grad_output, gate, up, _gelu_kind(approximate))


def swiglu(gate: Array, up: Any) -> Array:
    """y = silu(gate) up.

    Parameters
    ----------
    gate, up : array (..., C) of one shape and dtype, float32, bfloat16 or float64; the halves of
        one projection are read in place

    Returns
    -------
    y : array like gate

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted

    References
    ----------
    Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202.
    """
    return _gated(gate, up, SILU)


def swiglu_backward(grad_output: Array, gate: Any, up: Any) -> tuple[Array, Array]:
    """Gradients of `swiglu`: dgate = grad_output up silu'(gate), dup = grad_output silu(gate).

    Parameters
    ----------
    grad_output, gate, up : array (..., C) of one shape and dtype, as in the forward

    Returns
    -------
    dgate, dup : array like gate

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    return _gated_backward(grad_output, gate, up, SILU)


def _gelu_kind(approximate: str) -> int:
    if type(approximate) is not str or approximate not in _APPROXIMATIONS:
        check_choice("approximate", approximate, tuple(_APPROXIMATIONS))
    return _APPROXIMATIONS[approximate]


def _activation(x: Any, kind: int, out: Any) -> Any:
    module = backend("x", x)
    y = module.activation(x, kind, out)
    if y is None:  # not the canonical case: explain, or copy a strided array
        check_array("x", x)
        if out is not None:
            check_out(out, x.shape, x.dtype, x=x)
        y = computed(module.activation(contiguous(x), kind, out))
    return y


def _activation_backward(grad_output: Any, x: Any, kind: int) -> Any:
    module = backend("x", x)
    dx = module.activation_backward(grad_output, x, kind)
    if dx is None:  # not the canonical case: explain, or copy strided arrays
        check_alike(x=x, grad_output=grad_output)
        arrays = contiguous(grad_output), contiguous(x)
        dx = computed(module.activation_backward(*arrays, kind))
    return dx


def _gated(gate: Any, up: Any, kind: int) -> Any:
    module = backend("gate", gate)
    y = module.gated_activation(gate, up, kind)
    if y is None:  # not the canonical case: explain, or copy strided arrays
        check_alike(gate=gate, up=up)
        y = computed(module.gated_activation(contiguous(gate), contiguous(up), kind))
    return y


def _gated_backward(grad_output: Any, gate: Any, up: Any, kind: int) -> Any:
    module = backend("gate", gate)
    grads = module.gated_activation_backward(grad_output, gate, up, kind)
    if grads is None:  # not the canonical case: explain, or copy strided arrays
        check_alike(gate=gate, grad_output=grad_output, up=up)
        arrays = map(contiguous, (grad_output, gate, up))
        grads = computed(module.gated_activation_backward(*arrays, kind))
    return grads

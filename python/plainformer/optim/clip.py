"""Clipping gradients by their global norm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .. import kernels
from ..errors import DTypeError, NonFiniteError, shown
from ..functional import scale
from ..parameter import Parameter
from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    *,
    error_if_nonfinite: bool = True,
) -> float:
    """Scale all gradients so that their global 2-norm is at most `max_norm`; returns the norm.

    As `torch.nn.utils.clip_grad_norm_`, but what is not finite is an error by default: a step
    with it would destroy the weights. Parameters without a gradient are passed over.

    Raises
    ------
    NonFiniteError : a gradient is NaN or infinite; none was changed. Without
        `error_if_nonfinite` none is changed either and the norm says it
    ConfigError : max_norm is not above 0

    References
    ----------
    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
    """
    given = [parameters] if isinstance(parameters, Parameter) else parameters
    if not isinstance(given, Iterable) or isinstance(given, (str, Mapping)):
        raise DTypeError(f"parameters: got {shown(given)}, expected an iterable of Parameters")
    given = list(given)
    if not all(isinstance(one, Parameter) for one in given):
        raise DTypeError(f"parameters: got {shown(given)}, expected nn.Parameters")
    found = [parameter for parameter in given if parameter.grad is not None]
    norm, factor = kernels.clip_grad_norm([parameter.grad for parameter in found], max_norm)
    if not math.isfinite(norm):
        if error_if_nonfinite:
            raise NonFiniteError("norm of all gradients: not finite; lower the learning rate")
    elif factor < 1.0:
        for parameter in found:
            parameter.grad = scale(Tensor(parameter.grad), factor).data
    return norm

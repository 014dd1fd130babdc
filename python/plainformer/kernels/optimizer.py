"""Optimizer steps in place, and the global norm of gradients; each takes lists of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import ConfigError, DTypeError, ShapeError, shown
from ._arrays import (
    accumulator_dtype,
    check_aligned,
    check_apart,
    check_array,
    check_flag,
    check_number,
    check_same_device,
    check_shape,
    check_size,
    check_writable,
    computed,
    contiguous,
)
from ._backend import backend


def adamw_step(
    params: Sequence[Any],
    grads: Sequence[Any],
    exp_avgs: Sequence[Any],
    exp_avg_sqs: Sequence[Any],
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    grad_scale: float = 1.0,
    masters: Sequence[Any] | None = None,
) -> None:
    """One AdamW step on every parameter, in place; the arithmetic of torch.optim.AdamW.

    p <- p (1 - lr weight_decay); m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2;
    p <- p - lr / (1 - b1^step) m / (sqrt(v) / sqrt(1 - b2^step) + eps), with g = grad_scale grad.

    Parameters
    ----------
    params : list of arrays, all float32, all bfloat16 or all float64; written
    grads : list of arrays shaped like params, each in their dtype or float32
    exp_avgs, exp_avg_sqs : list of float32 arrays (float64 for float64 params); m and v, written
    step : int, 1 for the first step
    lr, eps, weight_decay : float
    grad_scale : float, multiplies every gradient (what `clip_grad_norm` returned)
    masters : list of float32 arrays or None; if given, the step is taken on them and params are
        their rounded copies

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted;
        nothing has been written then

    References
    ----------
    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", 2019, arXiv:1711.05101.
    """
    check_size("step", step, 1)
    lr = check_number("lr", lr, 0.0)
    if not isinstance(betas, (list, tuple)) or len(betas) != 2:
        raise DTypeError(f"betas: got {shown(betas)}, expected two numbers")
    beta1, beta2 = (check_number(f"betas[{i}]", b, 0.0, 1.0) for i, b in enumerate(betas))
    if beta1 == 1.0 or beta2 == 1.0:
        raise ConfigError(f"betas: got {shown(betas)}, expected numbers below 1")
    options = (lr, beta1, beta2, check_number("eps", eps, 0.0), _decay(weight_decay))
    corrections = (1.0 - beta1**step, 1.0 - beta2**step)
    scale = check_number("grad_scale", grad_scale)
    lists = {"exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs, "masters": masters}
    _check_lists(params, grads, lists)
    if not params:
        return
    module = backend("params[0]", params[0])
    done = module.adamw_step(
        params, grads, exp_avgs, exp_avg_sqs, masters, *options, scale, *corrections
    )
    if done is None:
        _explain(params, grads, lists)


def sgd_step(
    params: Sequence[Any],
    grads: Sequence[Any],
    momentum_buffers: Sequence[Any] | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    grad_scale: float = 1.0,
    masters: Sequence[Any] | None = None,
) -> None:
    """One step of stochastic gradient descent on every parameter, in place; as torch.optim.SGD.

    g <- grad_scale grad + weight_decay p; buf <- momentum buf + g;
    p <- p - lr (g + momentum buf if nesterov else buf). Without buffers p <- p - lr g.

    Parameters
    ----------
    params, grads, grad_scale, masters : as in `adamw_step`
    momentum_buffers : list of float32 arrays (float64 for float64 params), zero before the first
        step; written. Needed when momentum is not 0
    lr, momentum, weight_decay : float
    nesterov : bool

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted;
        nothing has been written then

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """
    lr = check_number("lr", lr, 0.0)
    momentum = check_number("momentum", momentum, 0.0, 1.0)
    if momentum and momentum_buffers is None:
        raise ConfigError("momentum_buffers: got None, expected one buffer a parameter")
    if check_flag("nesterov", nesterov) and not momentum:
        raise ConfigError("nesterov: got True without momentum, expected momentum above 0")
    options = (lr, momentum, _decay(weight_decay), check_number("grad_scale", grad_scale))
    lists = {"momentum_buffers": momentum_buffers, "masters": masters}
    _check_lists(params, grads, lists)
    if not params:
        return
    module = backend("params[0]", params[0])
    done = module.sgd_step(params, grads, momentum_buffers, masters, *options, bool(nesterov))
    if done is None:
        _explain(params, grads, lists)


def clip_grad_norm(grads: Sequence[Any], max_norm: float | None) -> tuple[float, float]:
    """The global 2-norm of all gradients and the factor that brings it to at most `max_norm`.

    norm = sqrt(sum of all g^2), summed in double in a fixed order;
    scale = min(1, max_norm / (norm + 1e-6)). Nothing is written: pass `scale` to the step.

    Parameters
    ----------
    grads : list of arrays, float32, bfloat16 or float64
    max_norm : float above 0, or None (or inf) for no clipping: scale is 1

    Returns
    -------
    norm, scale : float; both are NaN (norm may be inf) when a gradient is not finite

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
    """
    limit = math.inf if max_norm is None else check_number("max_norm", max_norm, 0.0)
    if limit == 0.0:
        raise ConfigError("max_norm: got 0.0, expected a number above 0, or None not to clip")
    if not isinstance(grads, Iterable):
        raise DTypeError(f"grads: got {type(grads).__name__}, expected a list of arrays")
    grads = list(grads)
    if not grads:
        return 0.0, 1.0
    total = backend("grads[0]", grads[0]).squared_norm(grads)
    if total is None:
        for i, grad in enumerate(grads):
            check_array(f"grads[{i}]", grad)
        check_same_device(**{f"grads[{i}]": grad for i, grad in enumerate(grads)})
        contiguous_grads = [contiguous(g) for g in grads]
        total = computed(backend("grads[0]", grads[0]).squared_norm(contiguous_grads))
    norm = math.sqrt(total)
    if not math.isfinite(norm):
        return norm, math.nan
    return norm, min(1.0, limit / (norm + 1e-6))


def _decay(weight_decay: float) -> float:
    return check_number("weight_decay", weight_decay, 0.0)


def _check_lists(params: Any, grads: Any, lists: dict[str, Any]) -> None:
    """Raise unless all are lists, one entry a parameter."""
    for name, values in {"params": params, "grads": grads, **lists}.items():
        if values is None and name in lists:
            continue
        if not isinstance(values, list):
            raise DTypeError(f"{name}: got {type(values).__name__}, expected a list of arrays")
        if len(values) != len(params):
            raise ShapeError(
                f"{name}: got {len(values)} arrays, expected {len(params)} like params"
            )


def _explain(params: Sequence[Any], grads: Sequence[Any], lists: dict[str, Any]) -> None:
    """Raise the error of the first array that a step cannot take."""
    written: dict[str, Any] = {}
    for i, param in enumerate(params):
        check_array(f"params[{i}]", param)
        if param.dtype != params[0].dtype:
            raise DTypeError(
                f"params[{i}]: got dtype {param.dtype}, expected {params[0].dtype} like params[0]; "
                "call the step once a dtype"
            )
        acc = accumulator_dtype(param.dtype)
        check_writable(f"params[{i}]", param, param.shape, param.dtype)
        check_array(f"grads[{i}]", grads[i], (param.dtype, acc))
        check_same_device(
            **{"params[0]": params[0], f"params[{i}]": param, f"grads[{i}]": grads[i]}
        )
        check_shape(param.shape, **{f"grads[{i}]": grads[i]})
        if not grads[i].flags.c_contiguous:
            raise ShapeError(f"grads[{i}]: got a strided array, expected a contiguous one")
        check_aligned(f"grads[{i}]", grads[i])
        written[f"params[{i}]"] = param
        for name, values in lists.items():
            if values is not None:
                check_writable(f"{name}[{i}]", values[i], param.shape, acc)
                written[f"{name}[{i}]"] = values[i]
    read = {f"grads[{i}]": grad for i, grad in enumerate(grads)}
    check_apart(written, read)
    computed(None)

"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import kernels
from ..errors import ConfigError
from .optimizer import Optimizer, OptimizerArrays, Params


class SGD(Optimizer):
    """buffer = momentum buffer + g;  w -= lr buffer, with g including decay w.

    With `nesterov` w -= lr (g + momentum buffer), and without momentum there is no buffer. Words,
    defaults and rule are `torch.optim.SGD`'s without dampening; see `Optimizer` for `params`.

    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        self.slots = ("momentum_buffer",) if momentum else ()
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay},
        )

    def _update(
        self, arrays: OptimizerArrays, group: Mapping[str, Any], step: int, grad_scale: float
    ) -> None:
        if group["momentum"] and not self.slots:
            raise ConfigError(
                f"momentum: got {group['momentum']} for a group of an SGD without, expected it of "
                "the optimizer as well; other groups may have 0"
            )
        kernels.sgd_step(
            arrays.params,
            arrays.grads,
            arrays.slots.get("momentum_buffer"),
            lr=self._rate(group),
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            weight_decay=group["weight_decay"],
            grad_scale=grad_scale,
            masters=arrays.masters,
        )

"""AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import kernels
from .optimizer import Optimizer, OptimizerArrays, Params


class AdamW(Optimizer):
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr (m^ / (sqrt(v^) + eps) + decay w).

    m^ and v^ are m / (1 - b1^step) and v / (1 - b2^step). Words and defaults are
    `torch.optim.AdamW`'s; see `Optimizer` for `params`.

    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", 2019, arXiv:1711.05101.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def _update(
        self, arrays: OptimizerArrays, group: Mapping[str, Any], step: int, grad_scale: float
    ) -> None:
        kernels.adamw_step(
            arrays.params,
            arrays.grads,
            arrays.slots["exp_avg"],
            arrays.slots["exp_avg_sq"],
            step=step,
            lr=self._rate(group),
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            grad_scale=grad_scale,
            masters=arrays.masters,
        )

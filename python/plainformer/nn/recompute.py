"""Recomputation: trade a second forward pass for the memory of the first one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..packing import plain_weights
from ..tensor import (
    Array,
    Tensor,
    enable_grad,
    is_grad_enabled,
    no_grad,
    record_all,
    run_backward,
)
from . import random


def recompute(
    function: Callable[..., Sequence[Any]], *inputs: Tensor | None, **options: Any
) -> Sequence[Any]:
    """`function(*inputs, **options)`, keeping only its inputs; backward runs it again, on the tape.

    `function` returns Tensors, or None in the places of some. Dropout draws the same masks both
    times. Parameters that `function` uses get their gradients from the second run.

    References
    ----------
    Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016,
    arXiv:1604.06174.
    """
    if not is_grad_enabled():
        return function(*inputs, **options)
    state = random.current()
    with no_grad(), plain_weights():
        outputs = function(*inputs, **options)

    def backward(*grads: Array | None) -> Sequence[Array | None]:
        leaves = [None if x is None else Tensor(x.data, x.requires_grad) for x in inputs]
        with enable_grad(), random.dropout_state(*state):
            again = [y for y in function(*leaves, **options) if y is not None]
        run_backward(again, grads)
        return [None if leaf is None else leaf.grad for leaf in leaves]

    made = record_all([y.data for y in outputs if y is not None], inputs, backward)
    return [y if y is None else made.pop(0) for y in outputs]

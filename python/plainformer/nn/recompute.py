"""Recomputation: trade a second forward pass for the memory of the first one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..functional import random
from ..packing import plain_weights
from ..tape import Gradients, enable_grad, is_grad_enabled, no_grad, run_backward
from ..tensor import Array, Collector, Tensor, record_all
from .module import Module


def recompute(
    function: Callable[..., Sequence[Any]], *inputs: Tensor | None, **options: Any
) -> Sequence[Any]:
    """`function(*inputs, **options)`, keeping only its inputs; backward runs it again, on the tape.

    `function` returns Tensors, or None in the places of some. Dropout draws the same masks both
    times. Parameters that `function` uses get their gradients from the second run, and all
    gradients are the bytes that they are without recomputation.

    References
    ----------
    Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016,
    arXiv:1604.06174.
    """
    if not is_grad_enabled() or not _trains(function, inputs):
        return function(*inputs, **options)
    once = list({id(x): x for x in inputs}.values())  # an input given twice is one leaf
    places = [next(i for i, x in enumerate(once) if x is given) for given in inputs]
    state = random.current()
    with no_grad(), plain_weights():
        outputs = function(*inputs, **options)

    def backward(*grads: Array | None) -> Sequence[Gradients | None]:
        leaves = [None if x is None else Collector(x.data, x.requires_grad) for x in once]
        with enable_grad(), random.dropout_state(*state):
            found = function(*[leaves[place] for place in places], **options)
            again = [y for y in found if y is not None]
        run_backward(again, [grad if y.requires_grad else None for y, grad in zip(again, grads)])
        return [None if leaf is None else leaf.grads for leaf in leaves]

    made = record_all([y.data for y in outputs if y is not None], once, backward)
    return [y if y is None else made.pop(0) for y in outputs]


def _trains(function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> bool:
    """Whether something here gets a gradient; of a function that is no module nobody knows."""
    if not isinstance(function, Module):
        return True
    tensors = (*inputs, *function.parameters())
    return any(x is not None and x.requires_grad for x in tensors)

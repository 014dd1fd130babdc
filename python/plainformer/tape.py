"""The tape: operations in the order in which they ran, and how a loss goes back through them.

An operation that sees an input requiring a gradient records a `Node`: where each gradient goes, and
a function from output to input gradients. `run_backward` visits the nodes from the newest to the
oldest (the order of creation is a topological order) and frees what each one saved as soon as it
has run. What is on the tape is `plainformer.tensor.Tensor`; here only its edges matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import kernels
from .errors import PlainformerError
from .modes import Block, Mode

Array = Any  # an array of a kind that `plainformer.kernels` takes
Leaf = Any  # a Tensor that no operation made
Backward = Callable[..., Sequence[Any]]

_creation = itertools.count()


_recording = Mode("recording", True)


def no_grad() -> Block[bool]:
    """Context manager or decorator inside which nothing is recorded in this thread.

    Of a decorated generator the steps are inside, and what happens between them is not.
    """
    return _recording.set(False)


def enable_grad() -> Block[bool]:
    """Context manager or decorator that undoes an enclosing `no_grad`."""
    return _recording.set(True)


def is_grad_enabled() -> bool:
    """True where operations of this thread are recorded."""
    return _recording.get()


class Node:
    """One recorded operation.

    `backward(*grads)` takes a gradient (or None) for each output and returns one (or None, or
    several `Gradients`) for each input. An edge is where an input's gradient goes: a leaf Tensor,
    `(node, output index)`, or None. Edges instead of Tensors, so that an output nobody saved is
    freed at once. `is_fresh` promises that nobody else holds the arrays that `backward` returns.
    `versions` are those of the parameters read: backward reads them again, and must find what the
    forward pass found.
    """

    __slots__ = ("backward", "edges", "grads", "is_fresh", "order", "versions")

    def __init__(self, edges: tuple, backward: Backward, num_outputs: int, is_fresh: bool):
        self.order = next(_creation)
        self.is_fresh = is_fresh
        self.edges = edges
        self.backward: Backward | None = backward
        self.grads: list[Array | None] = [None] * num_outputs
        self.versions: list[tuple[Leaf, int]] = []

    def run(self) -> tuple[tuple, Sequence[Array | None]]:
        """Differentiate this operation once, then forget everything that it saved."""
        if self.backward is None:
            raise PlainformerError(
                "backward: this part of the tape was used before and its arrays are freed; "
                "run the forward pass again, or sum the losses and call backward once"
            )
        edges, backward, grads = self.edges, self.backward, self.grads
        versions, self.versions = self.versions, []
        self.edges, self.backward, self.grads = (), None, [None] * len(grads)
        for parameter, version in versions:
            if parameter.version != version:
                raise PlainformerError(
                    "backward: a parameter was written after the forward pass that read it; "
                    "write parameters after backward"
                )
        for grad in grads:
            if grad is not None:
                return edges, backward(*grads)
        return edges, [None] * len(edges)


class Gradients(list[Array]):
    """Gradients of one input from several uses: added where they go, in this order."""


def run_backward(outputs: Sequence[Any], grads: Sequence[Array | None]) -> None:
    """Differentiate several Tensors at once. An output whose gradient is None takes no part."""
    started = [(x, grad) for x, grad in zip(outputs, grads) if grad is not None]
    nodes, uses = _reach([edge_of(x) for x, _ in started])
    for x, grad in started:
        _deliver(edge_of(x), grad, uses, is_fresh=False)
    for node in nodes:
        for edge, grad in zip(*node.run()):
            if edge is not None:
                _deliver(edge, grad, uses, node.is_fresh)


def edge_of(x: Any) -> Any:
    """Where the gradient of a Tensor goes: a leaf, (node, output index), or None: nowhere."""
    if x is None or not x.requires_grad:
        return None
    return x if x._node is None else (x._node, x._index)


def _reach(edges: Iterable[Any]) -> tuple[list[Node], dict[Leaf, int]]:
    """All nodes behind these edges, newest first, and how many gradients each leaf will get."""
    found: set[Node] = set()
    uses: dict[Leaf, int] = {}
    waiting = list(edges)
    while waiting:
        edge = waiting.pop()
        if isinstance(edge, tuple):
            if edge[0] not in found:
                found.add(edge[0])
                waiting.extend(edge[0].edges)
        elif edge is not None:
            uses[edge] = uses.get(edge, 0) + 1
    return sorted(found, key=lambda node: node.order, reverse=True), uses


def _deliver(edge: Any, grad: Array | None, uses: dict[Leaf, int], is_fresh: bool) -> None:
    """Take a gradient to its node, or to its leaf, whose hooks run after the last one."""
    several = grad if isinstance(grad, Gradients) else () if grad is None else (grad,)
    if isinstance(edge, tuple):
        node, index = edge
        for grad in several:
            held = node.grads[index]
            node.grads[index] = grad if held is None else kernels.add(held, grad)
        return
    uses[edge] -= 1
    for grad in several:
        edge.accumulate_grad(grad, is_fresh)
    if edge._hooks and not uses[edge]:
        for hook in tuple(edge._hooks):
            hook(edge)

"""The tape: arrays that remember how they were made, so that a loss can be differentiated.

`Tensor` wraps an array. An operation of `plainformer.functional` that sees an input requiring a
gradient records a `Node`: where each gradient goes, and a function from output to input
gradients. `Tensor.backward` visits the nodes from the newest to the oldest (the order of creation
is a topological order) and frees what each one saved as soon as it has run.

This is no general automatic differentiation: fused operations are the vocabulary, and gradients
of gradients are not recorded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import kernels
from .errors import DTypeError, PlainformerError, ShapeError
from .modes import Block, Mode
from .packing import Pack, packed_together

Array = Any  # NumPy here; any array that `plainformer.kernels` takes
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
        self.versions: list[tuple[Parameter, int]] = []

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
        if any(parameter.version != version for parameter, version in versions):
            raise PlainformerError(
                "backward: a parameter was written after the forward pass that read it; "
                "write parameters after backward"
            )
        if all(grad is None for grad in grads):
            return edges, [None] * len(edges)
        return edges, backward(*grads)


class Tensor:
    """An array on the tape.

    Parameters
    ----------
    data : array; lists are refused, as in `plainformer.kernels`
    requires_grad : bool, collect the gradient of this leaf in `.grad`
    """

    __slots__ = ("__weakref__", "_hooks", "_index", "_node", "_owns_grad", "data", "grad",
                 "requires_grad")  # fmt: skip

    def __init__(self, data: Array, requires_grad: bool = False):
        if not hasattr(data, "dtype") or isinstance(data, Tensor):
            raise DTypeError(f"data: got {type(data).__name__}, expected an array")
        # Not by _set_up: every operation makes a Tensor, and a call costs as much as all of this.
        self.data = data
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self._owns_grad = False
        self._node: Node | None = None
        self._index = 0
        self._hooks: list[Callable[[Tensor], None]] | None = None

    def _set_up(self, requires_grad: bool) -> None:
        self.requires_grad = requires_grad
        self.grad = None
        self._owns_grad = False
        self._node = None
        self._index = 0
        self._hooks = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.data.shape

    @property
    def dtype(self) -> Any:
        """Element type of the array."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    def __len__(self) -> int:
        return len(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.data if dtype is None else self.data.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions take a Tensor without a gradient as its array, and no other."""
        call = getattr(ufunc, method)
        return call(*_arrays(ufunc, inputs), **_arrays(ufunc, options))

    def __array_function__(self, func: Any, types: Any, inputs: Any, options: Any) -> Any:
        return func(*_arrays(func, inputs), **_arrays(func, options))

    def __repr__(self) -> str:
        suffix = ", requires_grad=True" if self.requires_grad else ""
        return f"{type(self).__name__}({self.data!r}{suffix})"

    def item(self) -> float:
        """The value of a Tensor of one element."""
        return self.data.item()

    def detach(self) -> Tensor:
        """The same array, off the tape."""
        return Tensor(self.data)

    def register_hook(self, hook: Callable[[Tensor], None]) -> Callable[[], None]:
        """Call `hook(self)` in each `backward` once this leaf's `.grad` is complete.

        Data parallelism starts to reduce a bucket of gradients from here while the rest of the
        backward pass runs. Returns a function that removes the hook.
        """
        if self._node is not None:
            raise PlainformerError("register_hook: got the output of an operation, expected a leaf")
        self._hooks = [*(self._hooks or ()), hook]
        return lambda: self._hooks.remove(hook) if self._hooks else None

    def backward(self, grad: Array | None = None) -> None:
        """Add the gradient of this Tensor to `.grad` of every leaf that it was made from.

        `grad` is the gradient that flows into this Tensor; a Tensor of one element takes 1.
        """
        if not self.requires_grad:
            raise PlainformerError(
                "backward: this Tensor needs no gradient; it was made under no_grad, in eval mode "
                "without labels, or from frozen parameters only"
            )
        if grad is None:
            if self.size != 1:
                raise ShapeError(f"grad: missing; only one element gets 1, got shape {self.shape}")
            grad = np.ones_like(self.data)
        elif grad.shape != self.shape:
            raise ShapeError(f"grad: got shape {grad.shape}, expected {self.shape}")
        run_backward((self,), (grad,))

    @property
    def sum_in_place(self) -> Array | None:
        """`.grad` if more may be added to it in place: it is ours alone and wide enough."""
        wide = self._owns_grad and self.grad is not None and self.grad.dtype.itemsize > 2
        return self.grad if wide else None

    def accumulate_grad(self, grad: Array, is_fresh: bool = False) -> None:
        """Add to `.grad`. A second bfloat16 gradient makes the sum float32.

        The first gradient is kept as it came; unless `is_fresh`, it may be shared with others and
        is copied before more is added.
        """
        if self.grad is None:
            self.grad, self._owns_grad = grad, is_fresh
            return
        if self.sum_in_place is None:
            wide = "float32" if self.grad.dtype.itemsize == 2 else self.grad.dtype
            self.grad, self._owns_grad = self.grad.astype(wide, order="C"), True
        kernels.accumulate(self.grad, grad)


def _arrays(function: Any, values: Any) -> Any:
    """Arguments of a function of NumPy with the arrays of Tensors, which the tape will not see.

    Raises
    ------
    DTypeError : one needs a gradient, which would be lost without a word
    """
    if isinstance(values, Tensor):
        if values.requires_grad:
            raise DTypeError(
                f"numpy.{function.__name__}: got a Tensor that needs a gradient, which NumPy would "
                "lose; use plainformer.functional, or numpy.asarray(tensor) where none is needed"
            )
        return values.data
    if isinstance(values, (list, tuple)):
        return type(values)([_arrays(function, value) for value in values])
    if isinstance(values, dict):
        return {name: _arrays(function, value) for name, value in values.items()}
    return values


class Gradients(list[Array]):
    """Gradients of one input from several uses: added where they go, in this order."""


class Collector(Tensor):
    """A leaf that keeps the gradients of its uses apart, for sums have an order and a dtype, and
    both belong to the tape on which they are added."""

    __slots__ = ("grads",)

    def __init__(self, data: Array, requires_grad: bool):
        super().__init__(data, requires_grad)
        self.grads = Gradients()

    def accumulate_grad(self, grad: Array, is_fresh: bool = False) -> None:
        """Note the gradient of one use."""
        self.grads.append(grad)


class Parameter(Tensor):
    """A leaf that a module owns: trained, named, saved.

    `data` lends a read-only view; writers go through `writable` or `assign`, which count
    `version`, so that whatever is derived from a weight knows when it is stale, and drop the
    packed copy.
    """

    __slots__ = ("_array", "_view", "pack", "version")

    def __init__(self, data: Array, requires_grad: bool = True):
        self._set_up(requires_grad)
        self.version = -1
        self.pack: Pack | None = None
        self.assign(data)

    @property
    def data(self) -> Array:
        """A read-only view of the weights."""
        return self._view

    def assign(self, array: Array) -> None:
        """Hold this array from now on; it is not copied and may change shape and dtype."""
        self._array = array
        self._view = array.view()
        self._view.flags.writeable = False
        self._count_write()

    def __reduce__(self) -> tuple:
        """Copies get an array and a view of it, not two arrays."""
        return Parameter, (self._array, self.requires_grad)

    def writable(self) -> Array:
        """The array itself, to write now; ask again before every later write."""
        if self._array.flags.writeable:
            self._count_write()
        else:  # a mapped file, or an array that its owner protected
            self.assign(self._array.copy())
        return self._array

    def _count_write(self) -> None:
        self.version += 1
        self.drop_pack()

    def packed(self, transposed: bool = False) -> kernels.PackedWeight:
        """This weight (out, in), or stored (in, out) and `transposed`, as `kernels.linear` reads
        it fastest; made when first asked for, see `packing.packed_together`."""
        pack = self.pack
        if pack is not None and pack.only_version == self.version:  # the short way
            weight = pack.weight
            if weight is not None and weight.is_current and pack.transposed == transposed:
                return weight
        return packed_together((self,), transposed=transposed)

    def drop_pack(self) -> None:
        """Free the packed copy, also that of others with which it is packed side by side."""
        pack, self.pack = self.pack, None
        if pack is not None:
            pack.weight = None


class Buffer(Parameter):
    """An array that a module owns and saves, but never trains: it gets no gradient."""

    __slots__ = ()

    def __init__(self, data: Array):
        super().__init__(data, requires_grad=False)

    def __reduce__(self) -> tuple:
        return Buffer, (self._array,)


def needs_grad(*inputs: Tensor | None) -> bool:
    """True if an operation on these inputs has to be recorded."""
    if not _recording.get():
        return False
    return any(x is not None and x.requires_grad for x in inputs)


def record(
    data: Array, inputs: Sequence[Tensor | None], backward: Backward, *, is_fresh: bool = False
) -> Tensor:
    """The output of an operation, put on the tape. See `Node` for `backward` and `is_fresh`."""
    return record_all((data,), inputs, backward, is_fresh=is_fresh)[0]


def record_all(
    datas: Sequence[Array],
    inputs: Sequence[Tensor | None],
    backward: Backward,
    *,
    is_fresh: bool = False,
) -> list[Tensor]:
    """The outputs of one operation that has several."""
    node = Node(tuple([_edge(x) for x in inputs]), backward, len(datas), is_fresh)
    node.versions = [(x, x.version) for x in inputs if isinstance(x, Parameter)]
    outputs = [Tensor(data, requires_grad=True) for data in datas]
    for index, output in enumerate(outputs):
        output._node, output._index = node, index
    return outputs


def run_backward(outputs: Sequence[Tensor], grads: Sequence[Array | None]) -> None:
    """Differentiate several Tensors at once. An output whose gradient is None takes no part."""
    started = [(x, grad) for x, grad in zip(outputs, grads) if grad is not None]
    nodes, uses = _reach([_edge(x) for x, _ in started])
    for x, grad in started:
        _deliver(_edge(x), grad, uses, is_fresh=False)
    for node in nodes:
        for edge, grad in zip(*node.run()):
            if edge is not None:
                _deliver(edge, grad, uses, node.is_fresh)


def _edge(x: Tensor | None) -> Tensor | tuple[Node, int] | None:
    if x is None or not x.requires_grad:
        return None
    return x if x._node is None else (x._node, x._index)


def _reach(edges: Iterable[Any]) -> tuple[list[Node], dict[Tensor, int]]:
    """All nodes behind these edges, newest first, and how many gradients each leaf will get."""
    found: set[Node] = set()
    uses: dict[Tensor, int] = {}
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


def _deliver(edge: Any, grad: Array | None, uses: dict[Tensor, int], is_fresh: bool) -> None:
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

"""Tensors: arrays that remember how they were made, so that a loss can be differentiated.

`Tensor` wraps an array and stands on the tape (`plainformer.tape`). The operations that models are
made of are fused and live in `plainformer.functional`; a Tensor itself has the dozen that put a
loss or a head together. This is no general automatic differentiation: those are the vocabulary, and
gradients of gradients are not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy import ndarray

from . import arithmetic, kernels
from .errors import ConfigError, DeviceError, DTypeError, PlainformerError, ShapeError
from .kernels._arrays import check_array, check_shape
from .kernels._devices import Device
from .kernels.devices import as_device, device_of
from .tape import Array as Array
from .tape import Backward, Gradients, Node, edge_of, is_grad_enabled, run_backward

Operand = Any  # a Tensor, a number, or an array, which gets no gradient


class Tensor:
    """An array on the tape.

    Parameters
    ----------
    data : array; lists are refused, as in `plainformer.kernels`
    requires_grad : bool, collect the gradient of this leaf in `.grad`
    """

    version: int | None = None  # a Parameter counts how often it was written

    __slots__ = ("__weakref__", "_hooks", "_index", "_node", "data", "grad", "requires_grad")

    def __init__(self, data: Array, requires_grad: bool = False):
        # Not by _set_up: every operation makes a Tensor, and a call costs as much as all of this.
        self.data: Array = data if type(data) is ndarray else _array(data)
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self._node: Node | None = None
        self._index = 0
        self._hooks: list[Callable[[Tensor], None]] | None = None

    def _set_up(self, requires_grad: bool) -> None:
        self.requires_grad = requires_grad
        self.grad = None
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

    def __repr__(self) -> str:
        suffix = ", requires_grad=True" if self.requires_grad else ""
        return f"{type(self).__name__}({self.data!r}{suffix})"

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def item(self) -> float:
        """The value of a Tensor of one element."""
        if self.size != 1:
            raise ShapeError(f"item: got shape {self.shape}, expected one element; see tolist")
        return self.numpy().item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    @property
    def device(self) -> Device:
        """Where the array lives; `str(x.device)` is "cpu" or "cuda:0"."""
        return device_of(self.data)

    def to(self, device: Any) -> Tensor:
        """The same numbers on another device, "cpu", "cuda" or "cuda:1"; itself where it is there
        already. Its gradient goes back to where this Tensor lives.

        Raises
        ------
        ConfigError, DeviceError : no such device, or what it needs is missing
        """
        place = as_device(device)
        return self if place == self.device else _apply(arithmetic.to_device, self, place)

    def cpu(self) -> Tensor:
        """The same as `to("cpu")`."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> Tensor:
        """The same as `to("cuda")`, or `to("cuda:1")` with an index."""
        return self.to("cuda" if index is None else index)

    def numpy(self) -> ndarray:
        """The array itself, on the host; what is done with it is not recorded."""
        return kernels.asnumpy(self.data)

    def tolist(self) -> Any:
        """The numbers as lists of lists."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy() if dtype is None else self.numpy().astype(dtype, copy=False)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions take a Tensor without a gradient as its array, and no other; but an
        array + - * / @ a Tensor is what a Tensor makes of it."""
        rule = _OF_NUMPY.get(ufunc.__name__)
        if rule is not None and method == "__call__" and not options:
            return _apply(rule, *inputs)
        call = getattr(ufunc, method)
        return call(*_arrays(ufunc, inputs), **_arrays(ufunc, options))

    def __array_function__(self, func: Any, types: Any, inputs: Any, options: Any) -> Any:
        return func(*_arrays(func, inputs), **_arrays(func, options))

    def __add__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.add, self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.add, other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.subtract, self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.subtract, other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.multiply, self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.multiply, other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.divide, self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.divide, other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.matmul, self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return _apply(arithmetic.matmul, other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return _apply(arithmetic.power, self, exponent)

    def __neg__(self) -> Tensor:
        return _apply(arithmetic.negative, self)

    def __getitem__(self, where: Any) -> Tensor:
        if isinstance(where, tuple):
            where = tuple([part.data if isinstance(part, Tensor) else part for part in where])
        return _apply(arithmetic.index, self, where)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def sum(
        self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False
    ) -> Tensor:
        """The sum over an axis, several, or all; bfloat16 is added up in float32.

        `dim` and `keepdim` are PyTorch's words; both `axis` and `dim` are an error.
        """
        return _apply(arithmetic.reduce, self, _one_of(axis, dim), keepdims or keepdim, False)

    def mean(
        self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False
    ) -> Tensor:
        """The mean over an axis, several, or all; bfloat16 is added up in float32.

        `dim` and `keepdim` are PyTorch's words; both `axis` and `dim` are an error.
        """
        return _apply(arithmetic.reduce, self, _one_of(axis, dim), keepdims or keepdim, True)

    def astype(self, dtype: Any) -> Tensor:
        """The same numbers as float32, bfloat16 or float64, to meet others of that type."""
        return _apply(arithmetic.astype, self, dtype)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, `reshape(2, -1)` or `reshape((2, -1))`."""
        return _apply(arithmetic.reshape, self, _unpacked(shape))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """A view in which two axes have changed places, as in torch; `permute` orders all."""
        return _apply(arithmetic.transpose, self, dim0, dim1)

    def permute(self, *axes: Any) -> Tensor:
        """A view with its axes in another order, `permute(2, 0, 1)` or `permute((2, 0, 1))`."""
        return _apply(arithmetic.permute, self, _unpacked(axes))

    @property
    def T(self) -> Tensor:  # noqa: N802, the name in NumPy and torch
        """A view with its axes in reverse."""
        return self.permute(*range(self.ndim)[::-1])

    def __eq__(self, other: object) -> bool:
        if self is other or other is None:
            return self is other
        raise _no_comparison("==")

    __hash__ = object.__hash__

    def __lt__(self, other: Operand) -> bool:
        raise _no_comparison("<")

    def __gt__(self, other: Operand) -> bool:
        raise _no_comparison(">")

    __le__, __ge__ = __lt__, __gt__

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._node is not None:
            raise PlainformerError(
                "copy: got the output of an operation, which the tape holds, expected a leaf; "
                "copy tensor.detach()"
            )
        return super().__reduce_ex__(protocol)

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

    def backward(self, grad: Array | Tensor | None = None) -> None:
        """Add the gradient of this Tensor to `.grad` of every leaf that it was made from.

        `grad` is the gradient that flows into this Tensor, of its shape and dtype; a Tensor of one
        element takes 1.
        """
        if not self.requires_grad:
            raise PlainformerError(
                "backward: this Tensor needs no gradient; it was made under no_grad, in eval mode "
                "without labels, or from frozen parameters only"
            )
        if grad is None:
            if self.size != 1:
                raise ShapeError(f"grad: missing; only one element gets 1, got shape {self.shape}")
            grad = kernels.xp(self.data).ones_like(self.data)
        else:
            grad = grad.data if isinstance(grad, Tensor) else grad
            grad = kernels.asarray(grad, self.data, name="grad")
            check_array("grad", grad, (self.dtype,))
            check_shape(self.shape, grad=grad)
        run_backward((self,), (grad,))

    @property
    def sum_in_place(self) -> Array | None:
        """`.grad` if more may be added to it in place: it is there and wide enough."""
        return self.grad if self.grad is not None and self.grad.dtype.itemsize > 2 else None

    def accumulate_grad(self, grad: Array, is_fresh: bool = False) -> None:
        """Add to `.grad`. A second bfloat16 gradient makes the sum float32.

        `.grad` is contiguous, as optimizers need it, and this leaf's alone, so that whoever scales
        it in place changes no other: unless `is_fresh`, the first gradient is copied.
        """
        if self.grad is None:
            self.grad = grad if is_fresh and grad.flags.c_contiguous else grad.copy(order="C")
            return
        if self.grad.dtype.itemsize == 2:
            self.grad = self.grad.astype("float32", order="C")
        kernels.accumulate(self.grad, grad)


def _array(data: Any) -> Array:
    """What a Tensor is made of; a number of NumPy's is an array without axes."""
    if not hasattr(data, "dtype") or isinstance(data, Tensor):
        raise DTypeError(f"data: got {type(data).__name__}, expected an array")
    return data if hasattr(data, "__setitem__") else kernels.array_of(data)


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


def needs_grad(*inputs: Tensor | None) -> bool:
    """True if an operation on these inputs has to be recorded."""
    if is_grad_enabled():
        for x in inputs:
            if x is not None and x.requires_grad:
                return True
    return False


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
    node = Node(tuple([edge_of(x) for x in inputs]), backward, len(datas), is_fresh)
    node.versions = [(x, x.version) for x in inputs if x is not None and x.version is not None]
    outputs = [Tensor(data, requires_grad=True) for data in datas]
    for index, output in enumerate(outputs):
        output._node, output._index = node, index
    return outputs


def _apply(rule: Callable[..., Any], *operands: Any) -> Tensor:
    """The Tensor that a rule of `arithmetic` makes of Tensors, arrays and options."""
    tensors = [x if isinstance(x, Tensor) else None for x in operands]
    _check_one_device(rule.__name__, *tensors)
    y, backward = rule(
        *[x if tensor is None else tensor.data for x, tensor in zip(operands, tensors)]
    )
    return record(y, tensors, backward) if needs_grad(*tensors) else Tensor(y)


def _check_one_device(name: str, *tensors: Tensor | None) -> None:
    """A gradient goes where its Tensor lives: only arrays, which have none, are copied beside."""
    kinds = {type(x.data) for x in tensors if x is not None}
    if kinds == {ndarray}:  # most often
        return
    places = sorted({str(x.device) for x in tensors if x is not None})
    if len(places) > 1:
        raise DeviceError(
            f"{name}: got Tensors on {' and '.join(places)}, expected one device; "
            "move one with to(...)"
        )


def _unpacked(sizes: tuple[Any, ...]) -> Any:
    return sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _one_of(axis: Any, dim: Any) -> Any:
    if axis is not None and dim is not None:
        raise ConfigError(f"axis, dim: got {axis} and {dim}, expected only one of the two")
    return dim if axis is None else axis


def _no_comparison(symbol: str) -> DTypeError:
    return DTypeError(
        f"{symbol}: Tensors are not compared, for that has no gradient; compare tensor.numpy()"
    )


# What `array OP tensor` calls.
_OF_NUMPY = {
    "add": arithmetic.add,
    "divide": arithmetic.divide,
    "matmul": arithmetic.matmul,
    "multiply": arithmetic.multiply,
    "subtract": arithmetic.subtract,
}

"""The tape: order, freeing, leaves, hooks, recording on and off."""

import copy
import operator
import pickle
import weakref

import ml_dtypes
import numpy as np
import pytest

from plainformer import functional
from plainformer.errors import DTypeError, PlainformerError, ShapeError
from plainformer.optim import SGD
from plainformer.parameter import Parameter
from plainformer.tape import enable_grad, is_grad_enabled, no_grad, run_backward
from plainformer.tensor import Tensor, needs_grad, record, record_all


def leaf(*values, dtype=np.float32):
    return Tensor(np.array(values, dtype), requires_grad=True)


def times(x, factor):
    """factor * x, recorded by hand."""
    return record(x.data * factor, (x,), lambda grad: (grad * factor,))


def plus(a, b):
    return record(a.data + b.data, (a, b), lambda grad: (grad, grad))


def test_gradients_of_all_paths_add_up():
    x = leaf(1.0, 2.0)
    y = plus(times(x, 3), plus(x, times(times(x, 2), 5)))
    y.backward(np.array([1.0, 10.0], np.float32))
    np.testing.assert_array_equal(x.grad, [14.0, 140.0])


def test_an_operation_runs_after_all_that_use_it():
    x, runs = leaf(1.0), []

    def step(inputs, name):
        def backward(grad):
            runs.append(name)
            return (grad,) * len(inputs)

        return record(inputs[0].data, inputs, backward)

    first = step((x,), "first")
    short = step((first,), "short")
    long = step((step((first,), "long 1"),), "long 2")
    step((long, short), "last").backward()
    assert runs[0] == "last"
    assert runs[-1] == "first"
    assert sorted(runs) == ["first", "last", "long 1", "long 2", "short"]
    assert x.grad == [2.0]


def test_outputs_without_a_gradient_hand_none_to_the_backward():
    x, seen = leaf(1.0), []

    def backward(first, second):
        seen.append((first, second))
        return (second,)

    _, second = record_all([x.data, x.data * 2], (x,), backward)
    second.backward()
    assert seen[0][0] is None
    assert x.grad == [1.0]


def test_saved_arrays_are_freed_as_backward_goes():
    class Saved(np.ndarray):
        """An array that can be referenced weakly."""

    x = leaf(1.0)
    saved = np.ones(1, np.float32).view(Saved)
    alive = weakref.ref(saved)
    y = record(x.data, (x,), lambda grad, held=saved: (grad * np.asarray(held),))
    del saved
    assert alive() is not None
    y.backward()
    assert alive() is None


def test_a_used_tape_says_so():
    y = times(leaf(1.0), 2)
    y.backward()
    with pytest.raises(PlainformerError, match="used before"):
        y.backward()


def test_gradients_accumulate_over_backwards_without_touching_the_first_one():
    x = leaf(1.0)
    given = np.array([5.0], np.float32)
    for _ in range(3):
        times(x, 1).backward(given)
    np.testing.assert_array_equal(x.grad, [15.0])
    np.testing.assert_array_equal(given, [5.0])


def test_fresh_gradients_are_added_to_in_place():
    x, fresh = leaf(1.0), np.array([5.0], np.float32)
    record(x.data, (x,), lambda grad: (fresh,), is_fresh=True).backward()
    assert x.sum_in_place is x.grad is fresh
    times(x, 1).backward()
    assert x.grad is fresh
    assert fresh[0] == 6


def test_bfloat16_gradients_accumulate_in_float32():
    x = leaf(1.0, dtype=ml_dtypes.bfloat16)
    small = np.array([1.0], ml_dtypes.bfloat16)
    times(x, 256).backward(small)
    assert x.grad.dtype == ml_dtypes.bfloat16
    times(x, 1).backward(small)
    assert x.grad.dtype == np.float32
    assert x.grad[0] == 257  # bfloat16 would round it back to 256


def test_float64_gradients_stay_float64():
    x = leaf(1.0, dtype=np.float64)
    for _ in range(2):
        times(x, 2).backward()
    assert x.grad.dtype == np.float64


def test_frozen_inputs_get_no_gradient():
    x, frozen = leaf(1.0), Tensor(np.ones(1, np.float32))
    plus(x, frozen).backward()
    assert x.grad is not None
    assert frozen.grad is None


def test_backward_wants_a_recorded_scalar_or_a_gradient_of_its_shape():
    with pytest.raises(PlainformerError, match="needs no gradient"):
        Tensor(np.ones(1, np.float32)).backward()
    y = times(leaf(1.0, 2.0), 2)
    with pytest.raises(ShapeError, match=r"grad: missing.*\(2,\)"):
        y.backward()
    with pytest.raises(ShapeError, match=r"grad: got shape \(3,\), expected \(2,\)"):
        y.backward(np.ones(3, np.float32))


def test_several_outputs_are_differentiated_at_once():
    x = leaf(1.0)
    a, b = times(x, 2), times(x, 3)
    run_backward((a, b, times(x, 100)), (a.data, b.data, None))
    assert x.grad == [13.0]


def test_recording_is_switched_in_this_thread_only_and_comes_back():
    x = leaf(1.0)
    with no_grad():
        assert not needs_grad(x)
        with enable_grad():
            assert is_grad_enabled()
        assert not is_grad_enabled()
    assert needs_grad(x)

    @no_grad()
    def decorated():
        return is_grad_enabled()

    assert not decorated()
    assert is_grad_enabled()


def test_detach_cuts_the_tape():
    x = leaf(1.0)
    y = times(x, 2).detach()
    assert not y.requires_grad
    plus(x, y).backward()
    assert x.grad == [1.0]


def test_hooks_run_once_after_the_last_gradient():
    x, seen = leaf(1.0), []
    remove = x.register_hook(lambda p: seen.append(float(p.grad[0])))
    plus(times(x, 2), times(x, 3)).backward()
    assert seen == [5.0]
    remove()
    times(x, 1).backward()
    assert seen == [5.0]


def test_hooks_run_when_no_gradient_reaches_the_leaf():
    x, seen = leaf(1.0), []
    x.register_hook(lambda p: seen.append(p.grad))
    unused = record(x.data, (x,), lambda grad: (None,))
    unused.backward()
    assert seen == [None]


def test_hooks_belong_to_leaves():
    with pytest.raises(PlainformerError, match="expected a leaf"):
        times(leaf(1.0), 2).register_hook(print)


def test_lists_are_refused():
    with pytest.raises(DTypeError, match="data: got list, expected an array"):
        Tensor([1.0, 2.0])


def test_a_tensor_converts_to_an_array():
    x = Tensor(np.arange(3, dtype=np.float32))
    assert np.asarray(x) is x.data
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    copied = np.array(x)
    copied[0] = 9
    assert x.data[0] == 0
    assert (len(x), x.size, x.ndim, x.shape) == (3, 3, 1, (3,))
    assert Tensor(np.float32(2.5)).item() == 2.5
    assert "requires_grad" in repr(leaf(1.0))


class TestParameter:
    def test_its_data_is_read_only(self):
        weight = Parameter(np.ones(2, np.float32))
        with pytest.raises(ValueError, match="read-only"):
            weight.data[0] = 5

    def test_every_way_to_write_counts_the_version(self):
        weight = Parameter(np.ones(2, np.float32))
        assert weight.version == 0
        weight.writable()[0] = 5
        assert weight.version == 1
        assert weight.data[0] == 5
        weight.assign(np.zeros(3, np.float32))
        assert weight.version == 2
        assert weight.shape == (3,)

    def test_writing_between_forward_and_backward_is_an_error(self):
        weight = Parameter(np.ones(2, np.float32))
        y = times(weight, 2)
        weight.writable()
        with pytest.raises(PlainformerError, match="written after the forward pass"):
            y.backward(y.data)
        assert weight.grad is None

    def test_a_protected_array_is_copied_before_it_is_written(self):
        mapped = np.ones(2, np.float32)
        mapped.flags.writeable = False
        weight = Parameter(mapped)
        weight.writable()[0] = 5
        assert weight.version == 1
        assert (weight.data[0], mapped[0]) == (5, 1)


NUMPY = {
    "tanh": np.tanh,
    "maximum": lambda x: np.maximum(x, np.float32(0)),
    "equal": lambda x: np.zeros(2, np.float32) == x,
    "out": lambda x: np.add(np.ones(2, np.float32), 1, out=x),
    "add with out": lambda x: np.add(x, np.ones(2, np.float32), out=np.zeros(2, np.float32)),
    "reduce": np.add.reduce,
    "sum": np.sum,
    "argmax": np.argmax,
    "concatenate": lambda x: np.concatenate([np.ones(2, np.float32), x]),
    "where": lambda x: np.where(np.ones(2, bool), x, 0),
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_refuses_what_needs_a_gradient_and_takes_the_rest(name):
    call, values = NUMPY[name], np.array([0.5, -1.0], np.float32)
    with pytest.raises(DTypeError, match="got a Tensor that needs a gradient"):
        call(Tensor(values, requires_grad=True))
    expected = call(values.copy())
    found = call(Tensor(values.copy()))
    assert type(found) is type(expected)
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


def test_arrays_are_asked_for_by_name():
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    assert np.asarray(x) is x.data
    assert float(np.asarray(x).sum()) == 3.0


WRONG_GRADIENTS = {
    "a list": ([1.0, 1.0], DTypeError, "grad: got builtins.list"),
    "a number": (1.0, DTypeError, "grad: got builtins.float"),
    "another type": (np.ones(2), DTypeError, "grad: got dtype float64, expected float32"),
    "another shape": (np.ones(3, np.float32), ShapeError, r"grad: got shape \(3,\)"),
}


@pytest.mark.parametrize("name", WRONG_GRADIENTS)
def test_a_wrong_gradient_is_told(name):
    grad, error, words = WRONG_GRADIENTS[name]
    x = leaf(1.0, 2.0)
    with pytest.raises(error, match=words):
        (x * 2).backward(grad)
    assert x.grad is None
    (x * 2).backward(Tensor(np.ones(2, np.float32)))
    assert x.grad.tolist() == [2, 2]


def test_gradients_of_leaves_are_contiguous_as_optimizers_need_them():
    first, second = (Parameter(np.ones((3, n), np.float32)) for n in (4, 2))
    wide = Parameter(np.ones((3, 5), np.float32))
    joined = functional.concatenate([first, second])
    functional.linear(Tensor(np.ones((2, 3), np.float32)), wide.T).sum().backward()
    joined.sum().backward()
    parameters = [first, second, wide]
    assert all(parameter.grad.flags.c_contiguous for parameter in parameters)
    SGD(parameters, lr=1.0).step()
    assert [parameter.data.max() for parameter in parameters] == [0, 0, -1]


def test_copies_are_of_leaves():
    x = leaf(1.0, 2.0)
    assert copy.deepcopy(x).requires_grad
    for call in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(PlainformerError, match=r"copy tensor\.detach"):
            call(x * 2)


@pytest.mark.parametrize("data", [[1.0], 1.0, None, np.float32(1), leaf(1.0)], ids=repr)
def test_a_parameter_is_an_array(data):
    parameter = Parameter(np.ones(1, np.float32))
    for call in (Parameter, parameter.assign):
        with pytest.raises(DTypeError, match="data: got"):
            call(data)
    assert parameter.data == 1


@pytest.mark.parametrize("symbol", ["iadd", "isub", "imul", "itruediv", "ipow", "imatmul"])
def test_a_parameter_is_not_replaced_in_silence(symbol):
    """`weight -= lr * grad` would leave the model as it is."""
    weight = Parameter(np.ones(2, np.float32))
    with pytest.raises(PlainformerError, match=r"parameter\.writable\(\)"), no_grad():
        getattr(operator, symbol)(weight, np.ones(2, np.float32))


def test_gradients_of_leaves_share_no_memory():
    """`p.grad *= 0.5` in a loop over parameters must not scale another's."""
    names = {"+": lambda a, b: a + b, "functional.add": functional.add,
             "layer_norm": lambda a, b: functional.layer_norm(a, residual=b)[1],
             "reshape": lambda a, b: a.reshape(2, 1) + b.reshape(2, 1)}  # fmt: skip
    for name, call in names.items():
        a, b, grad = leaf(1.0, 2.0), leaf(3.0, 4.0), np.ones(2, np.float32)
        y = call(a, b)
        y.backward(grad.reshape(y.shape))
        a.grad *= 2
        assert (b.grad.tolist(), grad.tolist()) == ([1, 1], [1, 1]), name

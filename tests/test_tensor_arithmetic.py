"""What Tensors do by themselves: arithmetic, indices, reductions, views, and what they refuse."""

import math
import operator

import ml_dtypes
import numpy as np
import pytest

from plainformer import functional
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.parameter import Parameter
from plainformer.tape import no_grad
from plainformer.tensor import Tensor
from tests.differences import check_gradients

OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
SHAPES = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3), ()), ((), ()),
          ((4, 1, 3), (2, 1)), ((0, 3), (1, 3))]  # fmt: skip
BF16 = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture
def leaf(rng):
    """Numbers away from 0, by which one may divide."""
    return lambda *shape: Tensor(np.asarray(rng.uniform(0.5, 2.0, shape)), requires_grad=True)


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_pairs_of_tensors_and_their_gradients(leaf, rng, symbol, shapes):
    call, (a, b) = OPERATORS[symbol], (leaf(*shape) for shape in shapes)
    np.testing.assert_array_equal(call(a, b).data, call(a.data, b.data))
    assert isinstance(call(a, b).data, np.ndarray)
    check_gradients(lambda: call(a, b), [a, b], rng)


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("number", [3, 0.5, np.float32(2), np.int64(2)], ids=repr)
def test_numbers_on_both_sides(leaf, rng, symbol, number):
    call, x = OPERATORS[symbol], leaf(2, 3)
    for both in (lambda: call(x, number), lambda: call(number, x)):
        assert type(both()) is Tensor
        check_gradients(both, [x], rng)
    np.testing.assert_array_equal(call(number, x).data, call(float(number), x.data))


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("kind", ["float64", "int64", "bool"])
def test_arrays_on_both_sides_get_no_gradient(leaf, rng, symbol, kind):
    call, x = OPERATORS[symbol], leaf(2, 3)
    array = np.array([[1], [1]]).astype(kind)
    for both in (lambda: call(x, array), lambda: call(array, x)):
        assert type(both()) is Tensor
        assert both().dtype == np.float64
        check_gradients(both, [x], rng)


def test_a_tensor_on_both_sides_gets_both_gradients(leaf, rng):
    x = leaf(3)
    check_gradients(lambda: x * x - x / x, [x], rng)
    check_gradients(lambda: -x + x, [x], rng)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, -1])
def test_powers(leaf, rng, exponent):
    x = leaf(2, 3)
    np.testing.assert_array_equal((x**exponent).data, x.data ** float(exponent))
    check_gradients(lambda: x**exponent, [x], rng)


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (3, 4)),
     ((2, 3), (5, 3, 1)), ((4, 1, 2, 3), (2, 3, 2)), ((2, 0), (0, 3))],
    ids=str,
)  # fmt: skip
def test_products(leaf, rng, shapes):
    a, b = (leaf(*shape) for shape in shapes)
    np.testing.assert_allclose((a @ b).data, a.data @ b.data, rtol=1e-12)
    assert (a @ b).shape == (a.data @ b.data).shape
    check_gradients(lambda: a @ b, [a, b], rng)
    assert (a.data @ b).data.tobytes() == functional.matmul(a, b).data.tobytes()


INDICES = {
    "number": 1,
    "negative": -1,
    "numpy number": np.int64(1),
    "slice": slice(None, None, -2),
    "columns": (slice(None), slice(1, 3)),
    "element": (2, 3),
    "new axis": (None, Ellipsis, 0),
    "integers": np.array([0, 2, 2, -1]),
    "list": [1, 1],
    "empty list": [],
    "pairs": (np.array([0, 1, 0]), np.array([3, 0, 3])),
    "integers of columns": (slice(None), np.array([[1, 1], [0, 2]])),
    "mask": np.array([True, False, True]),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_add_up_the_gradients_of_what_was_taken_twice(leaf, rng, name):
    x, where = leaf(3, 4), INDICES[name]
    np.testing.assert_array_equal(x[where].data, x.data[where])
    assert isinstance(x[where].data, np.ndarray)
    check_gradients(lambda: x[where], [x], rng)


def test_a_tensor_of_ids_is_an_index_and_rows_are_walked(leaf):
    x = leaf(3, 2)
    assert x[Tensor(np.array([2, 0]))].data.tobytes() == x.data[[2, 0]].tobytes()
    first, *rest = x
    assert first.shape == (2,)
    assert len(rest) == 2


@pytest.mark.parametrize("axis", [None, 0, -1, 1, (0, 2), [1], ()], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_and_means(leaf, rng, axis, keepdims):
    x = leaf(2, 3, 4)
    as_numpy = tuple(axis) if isinstance(axis, list) else axis
    sums = x.sum(axis, keepdims), x.data.sum(as_numpy, keepdims=keepdims)
    means = x.mean(keepdims=keepdims, dim=axis), x.data.mean(as_numpy, keepdims=keepdims)
    for y, wanted in (sums, means):
        assert y.shape == wanted.shape
        np.testing.assert_allclose(y.data, wanted, rtol=1e-12)
    check_gradients(lambda: [x.sum(axis, keepdims), x.mean(axis, keepdims)], [x], rng)


def test_views(leaf, rng):
    x = leaf(2, 3, 4)
    for call, shape in (
        (lambda: x.reshape(6, -1), (6, 4)),
        (lambda: x.reshape((4, 6)), (4, 6)),
        (lambda: x.transpose(0, -1), (4, 3, 2)),
        (lambda: x.permute(1, 2, 0), (3, 4, 2)),
        (lambda: x.permute((-1, 0, 1)), (4, 2, 3)),
        (lambda: x.T, (4, 3, 2)),
    ):
        assert call().shape == shape
        check_gradients(call, [x], rng)


def test_single_numbers_stay_arrays_without_axes(leaf, rng):
    x = leaf()
    for call in (lambda: -x, lambda: x.sum(), lambda: x.mean(()), lambda: x.T, lambda: x[...],
                 lambda: x[()], lambda: x**2, lambda: x.reshape(()), lambda: 1 / x):  # fmt: skip
        y = call()
        assert (type(y.data), y.shape) == (np.ndarray, ())
        check_gradients(call, [x], rng)
        assert (type(x.grad), x.grad.shape) == (np.ndarray, ())


def test_a_loss_put_together_by_hand(leaf, rng):
    """Cosine similarity of pairs, scaled, against the rows' own numbers: as sentence models do."""
    a, b, scale = leaf(4, 6), leaf(4, 6), leaf()

    def loss():
        u, v = functional.normalize(a), functional.normalize(b)
        scores = functional.log_softmax(u @ v.T * scale)
        return -scores[np.arange(4), np.arange(4)].mean() + 0.1 * (a**2).sum() / len(a)

    check_gradients(loss, [a, b, scale], rng)


@pytest.mark.parametrize("dtype", [np.float32, BF16], ids=["float32", "bfloat16"])
def test_other_types_are_rounded_once_and_keep_their_type(rng, dtype):
    a, b = (Tensor(rng.uniform(0.5, 2.0, (64, 1)).astype(dtype), requires_grad=True) for _ in "ab")
    wide = [x.data.astype(np.float32) for x in (a, b)]
    calls = [*OPERATORS.values(), lambda x, y: x**2 + 0 * y, lambda x, y: x.sum() + 0 * y,
             lambda x, y: x.mean() * y, lambda x, y: 0.1 * x + y[::-1]]  # fmt: skip
    for call in calls:
        y = call(a, b)
        assert y.dtype == dtype
        y.sum().backward()
        assert a.grad.dtype in (dtype, np.float32)
        tolerance = {"rtol": 1e-6} if dtype == np.float32 else {"rtol": 2**-6}
        wanted = np.broadcast_to(call(*wide), y.shape)
        np.testing.assert_allclose(y.data.astype(np.float32), wanted, **tolerance)
    exact = (wide[0] * wide[1]).astype(dtype)
    assert (a * b).data.tobytes() == exact.tobytes()


def test_sums_of_bfloat16_do_not_stop_growing():
    x = Tensor(np.ones(4096, BF16), requires_grad=True)
    assert x.sum().item() == 4096
    (x[np.zeros(4096, np.int64)]).sum().backward()
    assert float(x.grad[0]) == 4096


def test_numbers_come_out():
    x = Tensor(np.array([2.5], np.float32))
    assert (float(x), x.item(), x.tolist(), bool(x)) == (2.5, 2.5, [2.5], True)
    assert f"{x:.3f}|{x.mean():5.1f}" == "2.500|  2.5"
    assert f"{x}" == str(x) == repr(x)
    assert x.numpy() is x.data
    many = Tensor(np.zeros((2, 3), np.float32))
    for call in (float, bool, Tensor.item, "{:.3f}".format):
        with pytest.raises(ShapeError, match=r"item: got shape \(2, 3\), expected one element"):
            call(many)


def test_nothing_is_recorded_without_need(leaf):
    x, plain = leaf(2, 2), Tensor(np.ones((2, 2)))
    with no_grad():
        assert not (x * 2 + x).requires_grad
    assert not (plain @ plain).requires_grad
    assert (plain + x).requires_grad
    weight = Parameter(np.ones((2, 2), np.float32))
    assert type(weight * 2) is Tensor


def test_what_is_infinite_is_silent():
    x = Tensor(np.array([0.0, 1e38, -1.0], np.float32), requires_grad=True)
    y = (x * 1e10 - x * 1e10) / x + x**0.5
    y.sum().backward()
    assert not np.isfinite(y.data).all()
    assert math.isnan(Tensor(np.zeros(0, np.float32)).mean().item())


ONES = np.ones((2, 3), np.float32)
WRONG = {
    "two float types": (lambda x: x + np.ones(3), DTypeError, r"^\+: got float32 and float64"),
    "two float types, other side": (lambda x: np.ones(3) * x, DTypeError, r"^\*: got float64 and"),
    "a list": (lambda x: x * [1, 2, 3], DTypeError, r"^\*: got \[1, 2, 3\], expected a Tensor"),
    "a text": (lambda x: x - "1", DTypeError, r"^-: got '1', expected a Tensor, a number"),
    "shapes": (lambda x: x / np.ones(2, bool), ShapeError, r"^/: got shapes \(2, 3\) and \(2,\)"),
    "float16": (lambda x: x + np.ones(3, np.float16), DTypeError, "got dtype float16"),
    "not a number": (lambda x: x * math.nan, ConfigError, "got nan"),
    "matmul shapes": (lambda x: x @ x, ShapeError, r"got shape \(2, 3\)"),
    "matmul by a number": (lambda x: x @ 2.0, DTypeError, "@: the right side: got builtins.float"),
    "matmul of 0-d": (lambda x: x @ x.sum(), ShapeError, "@: the right side is a single number"),
    "an index too far": (lambda x: x[2], ShapeError, r"index: got .* for shape \(2, 3\): index 2"),
    "too many indices": (lambda x: x[0, 0, 0], ShapeError, "too many indices"),
    "a float index": (lambda x: x[1.0], DTypeError, "index: got 1.0, expected whole numbers"),
    "float indices": (lambda x: x[np.ones(2)], ConfigError, "index: got dtype float64"),
    "an axis too far": (lambda x: x.sum(2), ShapeError, "axis: got 2, expected each of -2 to 1"),
    "an axis twice": (lambda x: x.mean((0, -2)), ShapeError, r"axis: got \(0, -2\)"),
    "axis and dim": (lambda x: x.mean(0, dim=0), ConfigError, "axis, dim: got 0 and 0"),
    "axis of a kind": (lambda x: x.mean("a"), DTypeError, "axis: got 'a', expected whole"),
    "transpose of all": (lambda x: x.transpose(0, 5), ShapeError, "axis: got 5"),
    "permute": (lambda x: x.permute(0, 0), ShapeError, "axes: got"),
    "reshape": (lambda x: x.reshape(4), ShapeError, r"shape: got \(4,\), expected sizes"),
    "power of a tensor": (lambda x: x**x, DTypeError, "exponent: got .*expected a number"),
    "no floats": (lambda x: Tensor(np.arange(3)) * 2, DTypeError, r"^\*: got dtype int64"),
    "no floats, mean": (lambda x: Tensor(np.arange(4)).mean(), DTypeError, "^mean.*int64"),
    "no floats, minus": (lambda x: -Tensor(np.arange(3)), DTypeError, "^-: got dtype int64"),
    "power of texts": (lambda x: Tensor(np.array(["a"])) ** 2, DTypeError, "got dtype <U1"),
    "a large number": (lambda x: x + 10**400, ConfigError, "got an integer of 1329 bits"),
    "a truth": (lambda x: x + np.True_, DTypeError, "got True, expected a number"),
    "keepdims": (lambda x: x.sum(0, "no"), DTypeError, "keepdims: got 'no'"),
    "axes to transpose": (lambda x: x.transpose(0, (0, 1)), DTypeError, r"axis: got \(0, 1\)"),
    "transpose by None": (lambda x: x.transpose(None, 1), DTypeError, "axis: got None"),
    "less": (lambda x: x < 1, DTypeError, "^<: Tensors are not compared"),
    "greater": (lambda x: x >= 1, DTypeError, "^>: Tensors are not compared"),
    "equal": (lambda x: x == 1, DTypeError, "^==: Tensors are not compared"),
    "not equal": (lambda x: x != x.detach(), DTypeError, "compare tensor.numpy()"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_each_wrong_use_has_one_clear_error(name, requires_grad):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call(Tensor(ONES, requires_grad=requires_grad))


def test_a_number_of_numpys_is_an_array_without_axes(leaf, rng):
    mean = Tensor(np.arange(1.0, 3.0).mean(), requires_grad=True)
    assert isinstance(mean.data, np.ndarray)
    check_gradients(lambda: mean * 2 + mean, [mean], rng)
    assert int(mean) == 1


@pytest.mark.parametrize("dtype", ["float32", BF16, np.float64])
def test_types_that_do_not_fit_are_converted_with_their_gradients(dtype):
    """A penalty of bfloat16 weights beside a float32 loss."""
    loss = Tensor(np.ones(2, np.float32), requires_grad=True)
    weight = Tensor(np.full(2, 3, dtype), requires_grad=True)
    total = loss + (weight * weight).astype(np.float32)
    total.backward(np.ones(2, np.float32))
    assert total.dtype == np.float32
    assert total.tolist() == [10, 10]
    assert weight.grad.astype(float).tolist() == [6, 6]
    assert loss.grad.dtype == np.float32
    assert weight.astype(dtype).data is weight.data
    for wrong in (None, "float16", int, "half", 3):
        with pytest.raises(DTypeError, match=r"dtype: got .*expected float32, bfloat16"):
            weight.astype(wrong)


def test_indices_of_torchs_scripts(leaf, rng):
    x, ids = leaf(2, 3), Tensor(np.array([2, 0, 2]))
    for where in (True, np.False_, (slice(None), ids), (0, ids), (None, True)):
        arrays = tuple(
            part.data if part is ids else part
            for part in (where if isinstance(where, tuple) else (where,))
        )
        np.testing.assert_array_equal(x[where].data, x.data[arrays])
        check_gradients(lambda where=where: x[where], [x], rng)
    np.testing.assert_array_equal(x.mean(dim=1, keepdim=True).data, x.data.mean(1, keepdims=True))


def test_a_tensor_is_itself_and_a_key():
    x, y = Tensor(ONES), Tensor(ONES)
    assert x == x
    assert not x == None  # noqa: E711, SIM201
    assert len({x: 1, y: 2}) == 2

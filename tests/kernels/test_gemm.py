"""Matrix products and linear layers."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels, runtime
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x
from tests.guarded import guarded

pytestmark = pytest.mark.amx

# (M, N, K). A tile is 6 rows and up to 64 columns, rows are blocked by 96, K by 256 and 1024 steps
# (2048 bfloat16 pairs): one below, on and above each, primes, and nothing.
SHAPES = [
    (0, 3, 2),
    (3, 0, 2),
    (4, 5, 0),
    (1, 1, 1),
    (5, 7, 3),
    (6, 64, 16),
    (11, 65, 17),
    (13, 63, 257),
    (97, 129, 33),
    (96, 48, 31),
    (100, 64, 0),
    (101, 193, 66),
    (7, 33, 1031),
    (101, 17, 2051),
]
# Smaller ones: the code is the same, and float64 and the generic level are slow.
LINEAR_SHAPES = [(1, 65, 17), (6, 33, 40), (97, 70, 31)]
ACTIVATIONS = [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"]
THREADS = [1, 2, 3, 7]


def make(rng, dtype, *shapes):
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def make_pair(rng, dtype, M, N, K, transpose_a=False, transpose_b=False):
    return make(rng, dtype, (K, M) if transpose_a else (M, K), (N, K) if transpose_b else (K, N))


def make_linear(rng, dtype, M, N, K):
    x, weight, bias = make(rng, dtype, (M, K), (N, K), (N,))
    return x, (weight / np.sqrt(K)).astype(dtype), bias


def layouts(array):
    """The same values behind other strides: each axis backwards, spread out, transposed."""
    spread = np.zeros([2 * n for n in array.shape], array.dtype)[tuple([slice(0, None, 2)] * 2)]
    spread[...] = array
    yield spread
    yield array[::-1].copy()[::-1]
    yield array[:, ::-1].copy()[:, ::-1]
    yield np.asfortranarray(array)
    wide = np.full((array.shape[0], array.shape[1] + 5), np.nan, array.dtype)
    wide[:, 2:-3] = array
    yield wide[:, 2:-3]


# --- matmul --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_error_is_at_most_twice_the_plain_product(backend, dtype, rng, shape):
    for transpose_a, transpose_b in itertools.product([False, True], repeat=2):
        options = {"transpose_a": transpose_a, "transpose_b": transpose_b}
        a, b = make_pair(rng, dtype, *shape, **options)
        y = kernels.matmul(backend(a), backend(b), **options)
        assert y.dtype == dtype
        assert_2x(y, reference.matmul, a, b, **options)


def test_large_values_lose_no_more_than_small_ones(backend, dtype, rng):
    a, b = make_pair(rng, dtype, 50, 70, 90)
    a, b = (5 * a).astype(dtype), (5 * b).astype(dtype)
    assert_2x(kernels.matmul(backend(a), backend(b)), reference.matmul, a, b)


@pytest.mark.cpu("on a GPU other sizes and strides may be summed in another order")
@pytest.mark.parametrize("shape", [(5, 70, 35), (97, 65, 34), (9, 40, 1100)], ids=str)
def test_any_strides_give_the_bytes_of_contiguous_arrays(backend, dtype, rng, shape):
    a, b = make_pair(rng, dtype, *shape)
    expected = kernels.matmul(backend(a), backend(b)).tobytes()
    copies = kernels._arrays.copies
    for other in layouts(a):
        assert kernels.matmul(backend(other), backend(b)).tobytes() == expected
    for other in layouts(b):
        assert kernels.matmul(backend(a), backend(other)).tobytes() == expected
    assert kernels._arrays.copies == copies, "a strided array was copied"


def test_broadcast_rows_and_read_only_arrays(backend, dtype, rng):
    row, b = make(rng, dtype, (1, 40), (40, 30))
    repeated = np.broadcast_to(row, (8, 40))
    assert repeated.strides[0] == 0
    assert not repeated.flags.writeable
    expected = kernels.matmul(backend(repeated.copy()), backend(b))
    assert kernels.matmul(backend(repeated), backend(b)).tobytes() == expected.tobytes()


def test_arrays_off_their_alignment_are_copied_and_counted(backend, rng):
    a, b = make(rng, np.float32, (3, 4), (4, 5))
    shifted = np.zeros(4 * a.size + 1, np.uint8)[1:].view(np.float32).reshape(a.shape)
    shifted[...] = a
    copies = kernels._arrays.copies
    y = kernels.matmul(backend(shifted), backend(b))
    assert y.tobytes() == kernels.matmul(backend(a), backend(b)).tobytes()
    assert kernels._arrays.copies == copies + 1


@pytest.mark.parametrize(
    ("shape_a", "shape_b"),
    [
        ((3, 5, 7), (3, 7, 4)),
        ((3, 5, 7), (7, 4)),
        ((5, 7), (3, 7, 4)),
        ((2, 1, 5, 7), (3, 7, 4)),
        ((2, 3, 5, 7), (1, 3, 7, 4)),
        ((70, 3, 5), (70, 5, 4)),
        ((3, 100, 70), (3, 70, 130)),
        ((0, 5, 7), (7, 4)),
        ((2, 1, 1, 3, 5, 7), (1, 2, 1, 7, 4)),
    ],
    ids=str,
)
def test_leading_axes_are_broadcast(backend, dtype, rng, shape_a, shape_b):
    a, b = make(rng, dtype, shape_a, shape_b)
    y = kernels.matmul(backend(a), backend(b))
    assert_2x(y, reference.matmul, a, b)
    turned = kernels.matmul(
        backend(reference.swap_axes(a).copy()),
        backend(reference.swap_axes(b).copy()),
        transpose_a=True,
        transpose_b=True,
    )
    assert turned.tobytes() == y.tobytes()
    grad_output = rng.standard_normal(y.shape).astype(dtype)
    gradients = kernels.matmul_backward(backend(grad_output), backend(a), backend(b))
    assert_2x(gradients, reference.matmul_backward, grad_output, a, b, factor=3.0)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_gradients_of_transposed_operands(backend, dtype, rng, transpose_a, transpose_b):
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    a, b = make_pair(rng, dtype, 20, 35, 9, **options)
    grad_output = rng.standard_normal((20, 35)).astype(dtype)
    gradients = kernels.matmul_backward(backend(grad_output), backend(a), backend(b), **options)
    assert_2x(gradients, reference.matmul_backward, grad_output, a, b, factor=3.0, **options)


def test_gradient_of_a_shared_and_transposed_operand(backend, dtype, rng):
    a, b = make(rng, dtype, (3, 4, 5), (6, 5))
    grad_output = rng.standard_normal((3, 4, 6)).astype(dtype)
    gradients = kernels.matmul_backward(
        backend(grad_output), backend(a), backend(b), transpose_b=True
    )
    assert_2x(gradients, reference.matmul_backward, grad_output, a, b, factor=3.0, transpose_b=True)


def test_out_is_overwritten_whatever_it_holds(backend, dtype, rng):
    a, b = make_pair(rng, dtype, 20, 70, 30)
    out = np.full((20, 70), np.nan, dtype)
    assert kernels.matmul(backend(a), backend(b), out=out) is out
    assert out.tobytes() == kernels.matmul(backend(a), backend(b)).tobytes()
    out[...] = np.nan
    kernels.matmul(backend(a[:, :0]), backend(b[:0]), out=out)
    assert not out.astype(np.float32).any(), "an empty sum is 0"


def test_not_a_number_stays_in_its_row_and_column(backend, dtype, rng):
    a, b = make_pair(rng, dtype, 20, 70, 31)
    clean = kernels.matmul(backend(a), backend(b)).astype(np.float64)
    a[3, 30], b[5, 68] = np.nan, np.inf
    y = kernels.matmul(backend(a), backend(b)).astype(np.float64)
    assert np.isnan(y[3]).all()
    rest = np.arange(20) != 3
    assert not np.isfinite(y[rest, 68]).any()
    np.testing.assert_array_equal(y[rest][:, :68], clean[rest][:, :68])


@pytest.mark.cpu("threads")
@pytest.mark.parametrize("shape", [(200, 130, 70), (5, 700, 300), (97, 65, 2100)], ids=str)
def test_bytes_do_not_depend_on_the_number_of_threads(backend, dtype, rng, shape):
    a, b = make_pair(rng, dtype, *shape)
    results = set()
    for threads in THREADS:
        with runtime.num_threads(threads):
            results.add(kernels.matmul(backend(a), backend(b)).tobytes())
            results.add(kernels.matmul(backend(a), backend(b.T.copy()), transpose_b=True).tobytes())
    assert len(results) == 1


@pytest.mark.cpu("on a GPU other sizes and strides may be summed in another order")
@pytest.mark.parametrize("K", [31, 300, 1100, 2100])
def test_a_row_alone_equals_the_row_in_a_batch(backend, dtype, rng, K):
    a, b = make_pair(rng, dtype, 120, 70, K)
    together = kernels.matmul(backend(a), backend(b))
    for rows in (1, 6, 7, 64, 97):
        some = kernels.matmul(backend(a[20 : 20 + rows]), backend(b))
        assert some.tobytes() == together[20 : 20 + rows].tobytes()


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 65, 7), (6, 19, 33), (101, 70, 35)], ids=str)
def test_nothing_is_read_or_written_past_an_array(backend, dtype, rng, shape):
    for transpose_a, transpose_b in itertools.product([False, True], repeat=2):
        options = {"transpose_a": transpose_a, "transpose_b": transpose_b}
        a, b = make_pair(rng, dtype, *shape, **options)
        out = guarded(np.empty(shape[:2], dtype))
        kernels.matmul(backend(guarded(a)), backend(guarded(b)), out=out, **options)
        assert out.tobytes() == kernels.matmul(backend(a), backend(b), **options).tobytes()


# --- linear --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", LINEAR_SHAPES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_forward_and_backward(backend, dtype, rng, shape, activation):
    x, weight, bias = make_linear(rng, dtype, *shape)
    y, z = kernels.linear(
        backend(x), backend(weight), backend(bias), activation=activation, return_preactivation=True
    )
    assert_2x((y, z), reference.linear, x, weight, bias, activation=activation)
    grad_output = rng.standard_normal(y.shape).astype(dtype)
    arrays = grad_output, x, weight, bias, z
    gradients = kernels.linear_backward(*map(backend, arrays), activation=activation)
    assert_2x(gradients, reference.linear_backward, *arrays, factor=3.0, activation=activation)


def test_a_fused_activation_gives_the_bytes_of_the_unfused_one(backend, rng):
    x, weight, bias = make_linear(rng, np.float32, 97, 70, 31)
    z = kernels.linear(backend(x), backend(weight), backend(bias))
    fused = kernels.linear(backend(x), backend(weight), backend(bias), activation="gelu_new")
    assert fused.tobytes() == kernels.gelu(z, "tanh").tobytes()


def test_names_of_the_tanh_gelu_mean_the_same(backend, rng):
    x, weight, bias = make_linear(rng, np.float32, 3, 5, 7)
    names = ("gelu_tanh", "gelu_new", "gelu_pytorch_tanh")
    results = {kernels.linear(x, weight, bias, activation=name).tobytes() for name in names}
    assert len(results) == 1


@pytest.mark.cpu("on a GPU other sizes and strides may be summed in another order")
@pytest.mark.parametrize("rows", [1, 5, 97])
def test_a_weight_stored_in_out_is_read_in_place(backend, dtype, rng, rows):
    x, weight, bias = make_linear(rng, dtype, rows, 130, 40)
    stored = weight.T.copy()
    copies = kernels._arrays.copies
    y = kernels.linear(backend(x), backend(stored).T, backend(bias))
    assert y.tobytes() == kernels.linear(backend(x), backend(weight), backend(bias)).tobytes()
    grad_output = rng.standard_normal(y.shape).astype(dtype)
    ours = kernels.linear_backward(grad_output, x, stored.T, bias)
    plain = kernels.linear_backward(grad_output, x, weight, bias)
    assert ours[1].T.flags.c_contiguous, "the gradient is stored as the weight is"
    assert ours[0].tobytes() == plain[0].tobytes()
    assert_2x(ours, reference.linear_backward, grad_output, x, weight, bias, None, factor=3.0)
    assert kernels._arrays.copies == copies


@pytest.mark.parametrize("leading", [(), (1,), (0,), (2, 3), (2, 0, 3), (2, 3, 4)], ids=str)
def test_leading_axes_of_x(backend, dtype, rng, leading):
    x, grad_output, weight, bias = make(rng, dtype, (*leading, 6), (*leading, 5), (5, 6), (5,))
    y = kernels.linear(backend(x), backend(weight), backend(bias))
    assert y.shape == (*leading, 5)
    assert_2x(y, lambda *a, **k: reference.linear(*a, **k)[0], x, weight, bias)
    gradients = kernels.linear_backward(grad_output, x, weight, bias)
    assert_2x(gradients, reference.linear_backward, grad_output, x, weight, bias, None, factor=3.0)


def test_rows_that_make_no_matrix_are_read_in_place(backend, dtype, rng):
    x, grad_output, weight = make(rng, dtype, (4, 3, 6), (4, 3, 5), (5, 6))
    turned, turned_grad = x.transpose(1, 0, 2), grad_output.transpose(1, 0, 2)
    y = kernels.linear(backend(turned), backend(weight))
    assert y.tobytes() == kernels.linear(backend(turned.copy()), backend(weight)).tobytes()
    ours = kernels.linear_backward(backend(turned_grad), backend(turned), backend(weight))
    plain = kernels.linear_backward(turned_grad.copy(), turned.copy(), weight)
    assert [g.tobytes() for g in ours[:2]] == [g.tobytes() for g in plain[:2]]


def test_only_the_gradients_that_are_needed_are_computed(backend, rng):
    x, weight, bias = make_linear(rng, np.float32, 4, 5, 6)
    grad_output = np.ones((4, 5), np.float32)
    every = kernels.linear_backward(grad_output, x, weight, bias)
    for needs in itertools.product([False, True], repeat=3):
        some = kernels.linear_backward(grad_output, x, weight, bias, needs=needs)
        for wanted, ours, full in zip(needs, some, every):
            assert (ours is None) if not wanted else (ours.tobytes() == full.tobytes())
    assert kernels.linear_backward(grad_output, x, weight)[2] is None


@pytest.mark.cpu("threads")
def test_linear_bytes_do_not_depend_on_the_number_of_threads(backend, dtype, rng):
    x, weight, bias = make_linear(rng, dtype, 300, 130, 70)
    grad_output = rng.standard_normal((300, 130)).astype(dtype)
    results = set()
    for threads in THREADS:
        with runtime.num_threads(threads):
            y, z = kernels.linear(x, weight, bias, activation="silu", return_preactivation=True)
            gradients = kernels.linear_backward(grad_output, x, weight, bias, z, activation="silu")
        results.add(b"".join(a.tobytes() for a in (y, z, *gradients)))
    assert len(results) == 1


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_bad_operands_are_named():
    a = np.zeros((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"b: got shape \(2, 3\), expected 3 on axis -2"):
        kernels.matmul(a, a)
    with pytest.raises(ShapeError, match=r"b: got shape \(3, 2\), expected 3 on axis -1"):
        kernels.matmul(a, a.T, transpose_b=True)
    with pytest.raises(ShapeError, match=r"b: .* expected leading axes that broadcast with a"):
        kernels.matmul(np.zeros((2, 4, 3), np.float32), np.zeros((3, 3, 5), np.float32))
    with pytest.raises(ShapeError, match=r"a: got shape \(3,\), expected at least 2 axes"):
        kernels.matmul(a[0], a.T)
    with pytest.raises(ShapeError, match="a: got 9 axes, expected at most 8"):
        kernels.matmul(np.zeros((1,) * 9, np.float32), np.zeros((1, 1), np.float32))
    with pytest.raises(DTypeError, match="b: got dtype bfloat16, expected float32 like a"):
        kernels.matmul(a, a.T.astype(ml_dtypes.bfloat16))
    with pytest.raises(DTypeError, match=r"a: got builtins\.list, expected a NumPy array"):
        kernels.matmul([[1.0]], a)
    with pytest.raises(DTypeError, match="a: got dtype int64"):
        kernels.matmul(a.astype(np.int64), a)


@pytest.mark.usefixtures("backend")
def test_bad_out_is_named():
    a = np.zeros((3, 3), np.float32)
    with pytest.raises(ShapeError, match=r"out: got shape \(2, 3\), expected \(3, 3\)"):
        kernels.matmul(a, a, out=np.zeros((2, 3), np.float32))
    with pytest.raises(DTypeError, match="out: got dtype float64"):
        kernels.matmul(a, a, out=np.zeros((3, 3)))
    with pytest.raises(ConfigError, match="out: shares memory with a"):
        kernels.matmul(a, a.copy(), out=a)
    with pytest.raises(ShapeError, match="out: got a strided array"):
        kernels.matmul(a, a, out=np.zeros((3, 6), np.float32)[:, ::2])
    frozen = np.zeros((3, 3), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ConfigError, match="out: got a read-only array"):
        kernels.matmul(a, a, out=frozen)


@pytest.mark.usefixtures("backend")
def test_bad_gradients_are_named():
    a = np.zeros((3, 3), np.float32)
    with pytest.raises(ShapeError, match=r"grad_output: got shape \(2, 3\), expected \(3, 3\)"):
        kernels.matmul_backward(a[:2], a, a)
    with pytest.raises(ShapeError, match=r"grad_output: got shape \(2, 3\), expected \(3, 3\)"):
        kernels.linear_backward(a[:2], a, a)
    with pytest.raises(ShapeError, match=r"preactivation: got None, expected shape \(3, 3\)"):
        kernels.linear_backward(a, a, a, activation="gelu")
    with pytest.raises(ShapeError, match=r"preactivation: got shape \(2, 3\), expected \(3, 3\)"):
        kernels.linear_backward(a, a, a, None, a[:2], activation="gelu")


@pytest.mark.usefixtures("backend")
def test_bad_layers_are_named():
    x, weight = np.zeros((4, 3), np.float32), np.zeros((5, 3), np.float32)
    with pytest.raises(ShapeError, match=r"weight: got shape \(3, 5\), .* passed as weight\.T"):
        kernels.linear(x, weight.T)
    with pytest.raises(ShapeError, match=r"bias: got shape \(4,\), expected \(5,\)"):
        kernels.linear(x, weight, np.zeros(4, np.float32))
    with pytest.raises(DTypeError, match="bias: got dtype bfloat16, expected float32 like x"):
        kernels.linear(x, weight, np.zeros(5, ml_dtypes.bfloat16))
    with pytest.raises(ShapeError, match=r"x: got shape \(\), expected at least 1 axis"):
        kernels.linear(np.zeros((), np.float32), weight)
    with pytest.raises(
        ConfigError, match="activation: got 'softsign', expected one of None, 'relu'"
    ):
        kernels.linear(x, weight, activation="softsign")

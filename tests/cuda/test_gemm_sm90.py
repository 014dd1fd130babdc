"""Matrix products of sm_90a on the emulated device, which has 4 multiprocessors."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels
from tests import reference
from tests.accuracy import assert_2x
from tests.device import device
from tests.emulated import emulated, module, to_device

FORMS = list(itertools.product([False, True], repeat=2))  # transpose_a, transpose_b

# (M, N, K) -> (shape of the tiles, blocks in a cluster, parts of K). No size is a multiple of a
# tile's; unless said, a block has one tile.
PLANS = {
    (72, 80, 88): ("ping-pong", 1, 1),
    (200, 136, 72): ("ping-pong", 2, 1),
    (600, 520, 136): ("ping-pong", 2, 1),  # several tiles a block, one beyond the last rows
    (72, 72, 2408): ("ping-pong", 1, 4),  # parts of unequal length
    (200, 304, 200): ("cooperative", 2, 1),
    (304, 1000, 328): ("cooperative", 1, 1),  # three tiles a block
    (264, 504, 504): ("cooperative", 2, 1),  # two tiles a block, one beyond the last rows
}
SHAPES = list(PLANS)


@pytest.fixture
def dtype(short):
    return short


def make(rng, dtype, M, N, K, transpose_a=False, transpose_b=False, batch=()):
    """a and b as they lie in memory."""
    a = rng.standard_normal((*batch, *((K, M) if transpose_a else (M, K))))
    b = rng.standard_normal((*batch, *((N, K) if transpose_b else (K, N))))
    return a.astype(dtype), b.astype(dtype)


def matmul(a, b, **options):
    return kernels.asnumpy(kernels.matmul(to_device(a), to_device(b), **options))


def linear(x, weight, bias, **options):
    arrays = [None if a is None else to_device(a) for a in (x, weight, bias)]
    outputs = kernels.linear(*arrays, **options)
    as_numpy = kernels.asnumpy
    return tuple(map(as_numpy, outputs)) if isinstance(outputs, tuple) else as_numpy(outputs)


def blocks_of(function, *arguments, **options):
    """How many blocks of threads a call launches: of the kernels here, at most 4."""
    module().reset_stats()
    function(*arguments, **options)
    return module().stats()["blocks"]


def same_bytes(arrays):
    return len({array.tobytes() for array in arrays}) == 1


# ---- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_cover_the_plans(shape):
    assert module().gemm_sm90_plan(*shape) == PLANS[shape]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", FORMS, ids=["nn", "nt", "tn", "tt"])
def test_product_in_every_form(dtype, rng, shape, form):
    options = dict(zip(("transpose_a", "transpose_b"), form))
    a, b = make(rng, dtype, *shape, *form)
    with emulated():
        y = matmul(a, b, **options)
    assert_2x(y, reference.matmul, a, b, **options)


@pytest.mark.parametrize("shape", [(17, 16, 16), (65, 43, 72), (129, 257, 64)], ids=str)
def test_ragged_rows_and_columns(dtype, rng, shape):
    """Of C no row but the first begins where TMA could write."""
    a, b = make(rng, dtype, *shape, transpose_b=True)
    with emulated():
        y = matmul(a, b, transpose_b=True)
    assert_2x(y, reference.matmul, a, b, transpose_b=True)


@pytest.mark.parametrize("shape", [(72, 80, 88), (200, 304, 200), (72, 72, 2408)], ids=str)
def test_sums_in_float32(dtype, rng, shape):
    a, b = make(rng, dtype, *shape, True, False)
    want = reference.matmul(a.astype(np.float64), b.astype(np.float64), transpose_a=True)
    with emulated() as compiled:
        y = kernels.asnumpy(compiled.matmul(to_device(a), to_device(b), True, False, None, True))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, want, atol=1e-5 * np.abs(want).max())


EPILOGUES = [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"]


@pytest.mark.parametrize("shape", [(200, 136, 72), (200, 304, 200), (67, 75, 72)], ids=str)
@pytest.mark.parametrize("activation", EPILOGUES)
def test_linear_with_bias_and_activation(dtype, rng, shape, activation):
    x, weight = make(rng, dtype, *shape, transpose_b=True)
    bias = rng.standard_normal(shape[1]).astype(dtype)
    options = {"activation": activation, "return_preactivation": activation is not None}
    with emulated():
        outputs = linear(x, weight, bias, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs, None)
    assert_2x(outputs, reference.linear, x, weight, bias, activation=activation)


def test_linear_whose_k_is_cut_finishes_after_the_last_part(dtype, rng):
    x, weight = make(rng, dtype, 72, 80, 2408, transpose_b=True)
    bias = rng.standard_normal(80).astype(dtype)
    with emulated() as compiled:
        assert compiled.gemm_sm90_plan(72, 80, 2408, activates=True)[2] > 1
        outputs = linear(x, weight / 16, bias, activation="gelu", return_preactivation=True)
    assert_2x(outputs, reference.linear, x, weight / 16, bias, activation="gelu")


def test_gradients_of_linear(dtype, rng):
    x, weight = make(rng, dtype, 264, 136, 72, transpose_b=True)
    dy = rng.standard_normal((264, 136)).astype(dtype)
    with emulated():
        arrays = map(to_device, (dy, x, weight))
        grads = kernels.linear_backward(*arrays)
    dx, dweight = (kernels.asnumpy(g) for g in grads[:2])
    expected = reference.linear_backward
    assert_2x((dx, dweight, None), expected, dy, x, weight, None, None, factor=3)


# ---- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=["nn", "nt", "tn", "tt"])
def test_batch_of_matrices(dtype, rng, form):
    options = dict(zip(("transpose_a", "transpose_b"), form))
    a, b = make(rng, dtype, 72, 136, 80, *form, batch=(3,))
    with emulated():
        y = matmul(a, b, **options)
    assert_2x(y, reference.matmul, a, b, **options)


@pytest.mark.parametrize(
    ("a_batch", "b_batch"), [((3,), ()), ((), (3,)), ((2, 1), (1, 3))], ids=str
)
def test_broadcast_batch(dtype, rng, a_batch, b_batch):
    a = rng.standard_normal((*a_batch, 72, 80)).astype(dtype)
    b = rng.standard_normal((*b_batch, 80, 136)).astype(dtype)
    with emulated():
        y = matmul(a, b)
    assert_2x(y, reference.matmul, a, b)


@pytest.mark.parametrize(
    "axes", [(0, 2, 1, 3), (2, 0, 1, 3), (0, 1, 2, 4, 3), (3, 1, 0, 2, 4)], ids=str
)
def test_batch_axes_that_no_one_stride_walks(rng, axes):
    """Two axes are TMA's; the rest are launches of their own."""
    dtype = np.dtype(ml_dtypes.bfloat16)
    sizes = (2, 24, 3, 40) if len(axes) == 4 else (2, 3, 24, 2, 40)
    a = rng.standard_normal(sizes).astype(dtype)
    b = rng.standard_normal(np.transpose(a, axes).shape).astype(dtype)
    with emulated():
        view = to_device(a).transpose(axes)
        y = kernels.asnumpy(kernels.matmul(view, to_device(b), transpose_b=True))
    assert_2x(y, reference.matmul, np.transpose(a, axes), b, transpose_b=True)


# ---- what it takes, and what it must not touch --------------------------------------------------


def test_persistent_kernel_is_taken_where_tma_can_address(dtype, rng):
    with emulated():
        a, b = make(rng, dtype, 304, 304, 72, transpose_b=True)
        assert blocks_of(matmul, a, b, transpose_b=True) <= 4
        a, b = make(rng, dtype, 304, 304, 76, transpose_b=True)  # 152 bytes from row to row
        assert blocks_of(matmul, a, b, transpose_b=True) > 4
    with emulated(80):
        a, b = make(rng, dtype, 304, 304, 72, transpose_b=True)
        assert blocks_of(matmul, a, b, transpose_b=True) > 4


VIEWS = {
    "starts between vectors": lambda x, xp: x[:, 1:73],
    "every other row": lambda x, xp: x[::2, :72],
    "every other column": lambda x, xp: x[:, :144:2],
    "backwards": lambda x, xp: x[::-1, :72],
    "one row": lambda x, xp: xp.broadcast_to(x[:1, :72], (152, 72)),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views(dtype, rng, view):
    a = rng.standard_normal((304, 160)).astype(dtype)
    b = rng.standard_normal((72, 80)).astype(dtype)
    with emulated():
        y = kernels.asnumpy(kernels.matmul(VIEWS[view](to_device(a), device), to_device(b)))
    assert_2x(y, reference.matmul, VIEWS[view](a, np), b)


@pytest.mark.parametrize("form", FORMS, ids=["nn", "nt", "tn", "tt"])
def test_what_lies_beyond_the_operands_is_not_read(dtype, rng, form):
    """Views of larger arrays, NaN all around: TMA fills up with zeros of its own."""
    whole = []
    for operand in make(rng, dtype, 72, 80, 88, *form):
        around = np.full(np.add(operand.shape, (64, 64)), np.nan, dtype)
        around[: operand.shape[0], : operand.shape[1]] = operand
        whole.append((operand, around))
    options = dict(zip(("transpose_a", "transpose_b"), form))
    with emulated():
        views = [to_device(x)[: o.shape[0], : o.shape[1]] for o, x in whole]
        y = kernels.asnumpy(kernels.matmul(*views, **options))
    assert_2x(y, reference.matmul, whole[0][0], whole[1][0], **options)


def test_infinities_stay_in_their_row_and_column(dtype, rng):
    a, b = make(rng, dtype, 264, 504, 88)
    a[130, 5], b[7, 300] = np.inf, np.nan
    clean_a, clean_b = a.copy(), b.copy()
    clean_a[130], clean_b[:, 300] = 0, 0
    with emulated():
        y, clean = matmul(a, b), matmul(clean_a, clean_b)
    rows, columns = np.delete(np.arange(264), 130), np.delete(np.arange(504), 300)
    assert not np.isfinite(y[130].astype(np.float32)).any()
    assert np.isnan(y[:, 300].astype(np.float32)).all()
    assert y[np.ix_(rows, columns)].tobytes() == clean[np.ix_(rows, columns)].tobytes()


# ---- orders -------------------------------------------------------------------------------------


ORDERS = ["fifo", "lifo", "1", "2", "3"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_same_bytes_in_any_order_and_over_any_rubbish(rng, shape):
    dtype = np.dtype(ml_dtypes.bfloat16)
    a, b = make(rng, dtype, *shape, transpose_b=True)
    results = []
    for order, poison in itertools.product(ORDERS, (0xFF, 0x7E)):
        with emulated(order=order, poison=poison):
            results.append(matmul(a, b, transpose_b=True))
    assert same_bytes(results)
    assert_2x(results[0], reference.matmul, a, b, transpose_b=True)


@pytest.mark.parametrize("order", ORDERS)
def test_epilogue_in_any_order(rng, order):
    """C and the preactivation share the staging tiles."""
    dtype = np.dtype(ml_dtypes.bfloat16)
    x, weight = make(rng, dtype, 600, 520, 72, transpose_b=True)
    bias = rng.standard_normal(520).astype(dtype)
    options = {"activation": "gelu", "return_preactivation": True}
    with emulated(order=order):
        outputs = linear(x, weight, bias, **options)
    assert_2x(outputs, reference.linear, x, weight, bias, activation="gelu")


def test_staging_tiles_have_no_bank_conflicts(dtype, rng):
    a, b = make(rng, dtype, 264, 504, 72)
    with emulated() as compiled:
        compiled.reset_stats()
        matmul(a, b)
        stats = compiled.stats()
    assert stats["matrix_phases"] > 0
    assert stats["matrix_replays"] == 0

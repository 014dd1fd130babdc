"""The k largest of each row."""

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer import kernels
from plainformer.errors import DTypeError, ShapeError

# (shape, k): none, one, all, more than a task of rows, a row longer than k by far.
CASES = [((0, 5), 2), ((3, 7), 0), ((1, 1), 1), ((4, 9), 9), ((300, 65), 3), ((2, 20001), 50)]


def expected(x, k):
    """Indices by a stable sort; NaN last."""
    return np.argsort(-x.astype(np.float64), axis=-1, kind="stable")[..., :k]


def check(x, k):
    values, indices = kernels.topk(x, k)
    assert indices.dtype == np.int64
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(indices, expected(x, k))
    assert values.tobytes() == np.take_along_axis(x, indices, -1).tobytes()


@pytest.mark.parametrize(("shape", "k"), CASES, ids=str)
def test_the_largest_in_order(backend, dtype, rng, shape, k):
    check(rng.standard_normal(shape).astype(dtype), k)


@pytest.mark.parametrize("k", [1, 7, 40])
def test_equal_values_rank_by_place(backend, dtype, rng, k):
    check(rng.integers(-2, 3, (9, 40)).astype(dtype), k)
    check(np.array([[0.0, -0.0] * 20], dtype), k)


def test_infinities_and_nan_have_their_places(backend, dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[nan, -inf, 3, inf, -nan, inf, -inf, 0], [nan] * 8, [-inf] * 8], dtype)
    for k in range(9):
        check(x, k)


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_rows(backend, dtype, order):
    check(np.arange(500, dtype=np.float32)[None, ::order].astype(dtype), 20)


def test_strides_and_axes(backend, dtype, rng):
    x = rng.standard_normal((3, 4, 24)).astype(dtype)
    check(x, 5)
    check(x[:, ::2], 5)
    check(x[..., ::-3], 5)
    check(x.transpose(2, 0, 1), 2)


@pytest.mark.cpu("threads")
def test_same_bytes_at_any_thread_count(backend, dtype, rng):
    x = rng.standard_normal((200, 300)).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            seen.add(tuple(a.tobytes() for a in kernels.topk(x, 10)))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (9, ShapeError, "k: got 9, expected at most 8, the last axis of x"),
        (-1, ShapeError, "k: got -1, expected at least 0"),
        (1.5, DTypeError, "k: got 1.5, expected a whole number"),
    ],
)
@pytest.mark.usefixtures("backend")
def test_bad_counts_are_named(k, error, message):
    with pytest.raises(error) as caught:
        kernels.topk(np.zeros((2, 8), np.float32), k)
    assert message in str(caught.value)


@pytest.mark.usefixtures("backend")
def test_bad_arrays_are_named():
    with pytest.raises(DTypeError, match="x: got dtype int64, expected float32"):
        kernels.topk(np.zeros(3, np.int64), 1)
    with pytest.raises(ShapeError, match=r"x: got shape \(\)"):
        kernels.topk(np.zeros((), ml_dtypes.bfloat16), 0)

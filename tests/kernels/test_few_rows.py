"""Products with few rows go many ways (in place, packed now or before): all give one result."""

import numpy as np
import pytest

from plainformer import kernels, runtime

pytestmark = pytest.mark.amx

ROWS = [1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 33, 64]
# (N, K): below and past one register, a group of eight and a run of columns; K odd, short and past
# what is walked at a time; and a head, whose last register holds one column.
SHAPES = [(1, 40), (7, 33), (65, 1), (129, 16), (200, 67), (1025, 35), (2113, 20)]


def operands(rng, dtype, N, K, rows=64):
    a, b = rng.standard_normal((rows, K)), rng.standard_normal((K, N))
    return a.astype(dtype), b.astype(dtype)


def spread(array):
    """The same values with gaps between the columns: no way but the slowest reads them."""
    wide = np.full((array.shape[0], 2 * array.shape[1]), np.nan, array.dtype)
    wide[:, ::2] = array
    return wide[:, ::2]


def products(backend, a, b):
    """The same product in every form in which its operands may be stored."""
    of = kernels.matmul
    a_t, b_t = backend(a.T.copy()), backend(b.T.copy())
    a, gaps, b = backend(a), backend(spread(b)), backend(b)
    yield "nn", of(a, b)
    yield "nt", of(a, b_t, transpose_b=True)
    yield "tn", of(a_t, b, transpose_a=True)
    yield "tt", of(a_t, b_t, transpose_a=True, transpose_b=True)
    yield "gaps", of(a, gaps)
    yield "packed", kernels.linear(a, kernels.pack_weight(b_t))
    yield "packed (in, out)", kernels.linear(a, kernels.pack_weight(b.T))


@pytest.mark.cpu("on a GPU other sizes and strides may be summed in another order")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_way_gives_the_same_bytes_for_any_number_of_rows(backend, dtype, rng, shape):
    a, b = operands(rng, dtype, *shape)
    whole = kernels.matmul(backend(a), backend(b))
    for rows in ROWS:
        for form, y in products(backend, a[:rows], b):
            assert y.tobytes() == whole[:rows].tobytes(), f"{rows} rows, {form}"


@pytest.mark.cpu("on a GPU other sizes and strides may be summed in another order")
@pytest.mark.parametrize("rows", [1, 5, 8])
def test_bytes_do_not_depend_on_how_threads_share_the_columns(backend, dtype, rng, rows):
    a, b = operands(rng, dtype, 2100, 260, rows)
    results = {form: set() for form, _ in products(backend, a, b)}
    for threads in (1, 2, 3, 7):
        with runtime.num_threads(threads):
            for form, y in products(backend, a, b):
                results[form].add(y.tobytes())
    assert len(set().union(*results.values())) == 1


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_not_a_number_and_infinity_stay_in_their_column(backend, dtype, rng, rows):
    a, b = operands(rng, dtype, 150, 37, rows)
    b[5, 3], b[36, 140] = np.nan, np.inf
    for form, y in products(backend, a, b):
        bad = ~np.isfinite(np.asarray(y, np.float64))
        assert bad[:, [3, 140]].all(), form
        assert not np.delete(bad, [3, 140], axis=1).any(), form

"""Attention's backward on sm_90a: both walks of TMA and wgmma, in every order of threads.

A block owns 128 rows, 64 for each of two consumers: of keys, streaming 64 queries, or of queries,
streaming 128 keys. Heads wider than 128 are sm_80's.
"""

import numpy as np
import pytest

from plainformer import kernels
from tests import reference
from tests.accuracy import assert_2x
from tests.cuda.calls import ORDERS, on_device
from tests.cuda.test_attention_backward import OnDevice, bytes_of
from tests.emulated import emulated
from tests.kernels.test_attention_backward import make_all
from tests.kernels.test_flash_attention_backward import check as check_packed

# B, H, KV, Lq, Lk, D, Dv: one tile, rows and keys beyond it at each padded width, groups of heads,
# narrow and unequal widths, more rows than keys, several tiles of each.
SHAPES = [
    (1, 1, 1, 64, 64, 64, 64),
    (2, 4, 2, 200, 300, 64, 64),
    (1, 2, 1, 130, 260, 128, 128),
    (1, 2, 1, 130, 140, 40, 72),
    (1, 1, 1, 70, 190, 96, 64),
    (1, 3, 1, 330, 100, 64, 8),
]


@pytest.fixture
def dtype(short):
    return short


def gradients(dy, q, k, v, *, capability=90, order="fifo", poison=0xFF, **options):
    """(dq, dk, dv) of (B, H, L, D) arrays, as NumPy arrays."""
    options["enable_gqa"] = True
    with emulated(capability, order, poison) as compiled:
        forward = kernels.scaled_dot_product_attention
        y, lse = on_device(forward, q, k, v, None, **options, return_lse=True)
        compiled.reset_stats()
        backward = kernels.scaled_dot_product_attention_backward
        grads = on_device(backward, dy, q, k, v, y, lse, None, **options)
        assert compiled.stats()["matrix_replays"] == 0
        return grads


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_error_is_at_most_three_times_the_plain_formulas(rng, dtype, shape, causal):
    arrays = make_all(rng, dtype, shape)
    grads = gradients(*arrays, is_causal=causal)
    assert_2x(grads, reference.attention_backward, *arrays, causal=causal, factor=3)


@pytest.mark.parametrize("scale", [0.7, -0.3, 0.0])
def test_scale_is_free(rng, dtype, scale):
    arrays = make_all(rng, dtype, (1, 2, 2, 70, 140, 24, 24))
    grads = gradients(*arrays, scale=scale)
    assert_2x(grads, reference.attention_backward, *arrays, scale=scale, factor=3)


PACKED = [(70, 140), (3, 0), (130, 60), (0, 5), (64, 64), (200, 200)]


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True}, {"window_size": (30, 10)}, {"window_size": (0, 0)},
     {"causal": True, "window_size": (100, -1)}],
    ids=str,
)  # fmt: skip
def test_packed_sequences_and_windows(rng, dtype, width, options):
    packed = OnDevice(rng, dtype, (PACKED, 2, 1, width, width))
    with emulated(90):
        grads = packed.backward(**options)
    check_packed(packed, grads, options)


@pytest.mark.parametrize(
    ("shape", "options", "taken"),
    [
        ((1, 2, 1, 130, 190, 64, 64), {}, True),
        ((1, 2, 1, 130, 190, 64, 64), {"is_causal": True, "scale": -0.5}, True),
        ((1, 2, 1, 130, 190, 128, 72), {}, True),
        ((1, 1, 1, 70, 190, 136, 64), {}, False),  # too wide
        ((1, 1, 1, 70, 190, 60, 64), {}, False),  # rows that are not whole pieces of 16 bytes
        ((1, 1, 1, 40, 190, 64, 64), {}, False),  # too few rows
        ((1, 1, 1, 70, 190, 64, 64), {"dropout_p": 0.5, "seed": 1}, False),
    ],
    ids=str,
)
def test_what_it_takes(rng, dtype, shape, options, taken):
    """Its blocks own 128 rows, sm_80's 64: fewer of them. In the emulation, which sums in the order
    of k, the results are the same bytes."""
    arrays = make_all(rng, dtype, shape)
    blocks = []
    for capability in (80, 90):
        with emulated(capability) as compiled:
            y, lse = (arrays[0], np.zeros(shape[:2] + shape[3:4], np.float32))
            compiled.reset_stats()
            on_device(
                kernels.scaled_dot_product_attention_backward,
                *arrays, y, lse, None, enable_gqa=True, **options,
            )  # fmt: skip
            blocks.append(compiled.stats()["blocks"])
    assert (blocks[1] < blocks[0]) == taken


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[2]], ids=str)
def test_same_bytes_in_any_order_and_over_any_rubbish(rng, dtype, shape):
    arrays = make_all(rng, dtype, shape)
    found = {
        b"".join(bytes_of(gradients(*arrays, is_causal=True, order=order, poison=poison)))
        for order, poison in ORDERS
    }
    assert len(found) == 1


# ---- what is not seen ---------------------------------------------------------------------------


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_later_rows_change_no_byte_of_later_keys(rng, dtype, width, poison):
    """Causal: a bad row reaches the keys it sees, not those after it; in either product."""
    for bad in range(2):
        arrays = make_all(rng, dtype, (1, 3, 1, 200, 200, width, width))  # the ring goes round
        clean = gradients(*arrays, is_causal=True)
        arrays[bad][0, 0, 20] = poison  # of dO, of Q
        dirty = gradients(*arrays, is_causal=True)
        for a, b in zip(clean[1:], dirty[1:]):
            assert a[0, 0, 21:].tobytes() == b[0, 0, 21:].tobytes()
            assert np.isnan(b[0, 0, :21].astype(float)).any(-1).all()
        others = np.arange(200) != 20
        assert clean[0][0, 1:].tobytes() == dirty[0][0, 1:].tobytes()
        assert clean[0][0, 0, others].tobytes() == dirty[0][0, 0, others].tobytes()


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_later_keys_change_no_byte_of_earlier_rows(rng, dtype, width, poison):
    for bad in (2, 3):
        arrays = make_all(rng, dtype, (1, 1, 1, 200, 200, width, width))
        clean = gradients(*arrays, is_causal=True)
        arrays[bad][0, 0, 150] = poison  # of K, of V
        dirty = gradients(*arrays, is_causal=True)
        assert clean[0][0, 0, :150].tobytes() == dirty[0][0, 0, :150].tobytes()
        assert np.isnan(dirty[0][0, 0, 150:].astype(float)).any(-1).all()


@pytest.mark.parametrize("order", ["fifo", "lifo", "1"])
def test_a_tile_that_is_not_finite_stays_until_all_have_read_it(rng, dtype, order):
    """Warps read such a tile by themselves; here the ring of two stages needs its place again."""
    packed = OnDevice(rng, dtype, ([(450, 450)], 1, 1, 128, 128))
    with emulated(90, order):
        clean = packed.backward(window_size=(250, 0))
        packed.k[140] = np.nan
        dirty = packed.backward(window_size=(250, 0))
    seeing = np.isin(np.arange(450), np.arange(140, 391))
    assert clean[0][~seeing].tobytes() == dirty[0][~seeing].tobytes()
    assert np.isnan(dirty[0][seeing].astype(float)).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("causal", [False, True])
def test_another_sequence_changes_no_byte(rng, dtype, poison, causal):
    """Its rows stand in the tiles of its neighbours."""
    packed = OnDevice(rng, dtype, ([(70, 90), (80, 70), (100, 100)], 2, 1, 64, 64))
    with emulated(90):
        clean = packed.backward(causal=causal)
        rows, keys = packed.sequence(1)
        for x, at in ((packed.q, rows), (packed.k, keys), (packed.v, keys), (packed.grad, rows)):
            x[at] = poison
        dirty = packed.backward(causal=causal)
    for a, b, at in zip(clean, dirty, (rows, keys, keys)):
        others = np.ones(len(a), bool)
        others[at] = False
        assert a[others].tobytes() == b[others].tobytes()


def test_one_neighbour_s_gradient_alone_changes_no_byte(rng, dtype):
    """A dO that is not finite shows in no score: its row terms tell."""
    packed = OnDevice(rng, dtype, ([(70, 90), (80, 70)], 2, 1, 64, 64))
    with emulated(90):
        clean = packed.backward()
        packed.grad[packed.sequence(1)[0]] = np.nan
        dirty = packed.backward()
    for a, b in zip(clean, dirty):
        assert a[:70].tobytes() == b[:70].tobytes()


def test_rows_that_see_nothing_have_no_gradient(rng, dtype):
    packed = OnDevice(rng, dtype, ([(300, 70)], 1, 1, 64, 64))
    packed.q[:200] = np.nan  # causal: the first 230 rows
    with emulated(90):
        dq, dk, dv = packed.backward(causal=True)
    assert not dq[:230].any()
    for x in (dq, dk, dv):
        assert np.isfinite(x.astype(float)).all()

"""Attention's backward on the emulated device: every kernel, option, layout and order of threads.

Blocks own 64 keys or queries; on tensor cores they stream 32 rows of the other side, at a width of
256 16 of them. bfloat16 and float16 are tensor cores' with any strides.
"""

import numpy as np
import pytest

from plainformer import kernels
from tests import reference
from tests.accuracy import assert_2x
from tests.cuda.calls import on_device
from tests.emulated import emulated, to_device
from tests.kernels.flash_cases import CASES, OPTIONS, Packed, part
from tests.kernels.test_attention import keep_factors, make_mask
from tests.kernels.test_attention_backward import make_all
from tests.kernels.test_flash_attention_backward import bias_of
from tests.kernels.test_flash_attention_backward import check as check_packed

# B, H, KV, Lq, Lk, D, Dv: a single element, odd widths, whole tiles and one row more or less at
# each padded width, unequal widths, no sequences, no queries, no keys.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 3, 3, 7, 7, 3, 5),
    (1, 4, 2, 65, 130, 64, 64),
    (1, 2, 1, 64, 33, 128, 128),
    (1, 1, 1, 33, 65, 40, 80),
    (1, 2, 1, 18, 65, 256, 192),
    (1, 1, 1, 65, 17, 8, 200),
    (0, 2, 2, 4, 4, 8, 8),
    (1, 2, 2, 0, 4, 8, 8),
    (1, 2, 2, 4, 0, 8, 8),
]
ON_TENSOR_CORES = [
    (1, 2, 1, 70, 130, 64, 64),
    (1, 2, 2, 70, 40, 128, 96),
    (1, 2, 1, 40, 70, 256, 256),
]
MASKS = ["none", "causal", "bool", "additive", "both"]


def gradients(dy, q, k, v, mask=None, *, mask_grad=False, **options):
    y, lse = on_device(
        kernels.scaled_dot_product_attention, q, k, v, mask, **options, return_lse=True
    )
    return on_device(
        kernels.scaled_dot_product_attention_backward,
        dy, q, k, v, y, lse, mask, **options, mask_grad=mask_grad,
    )  # fmt: skip


class OnDevice(Packed):
    """Packed sequences whose kernels are the device's."""

    def forward(self, **options):
        call = kernels.flash_attn_varlen_func
        return on_device(call, self.q, self.k, self.v, *self.sequences, **options)

    def backward(self, *, bias_grad=False, **options):
        y, lse = self.forward(**options, return_lse=True)
        return on_device(
            kernels.flash_attn_varlen_backward, self.grad, self.q, self.k, self.v, y, lse,
            *self.sequences, **options, bias_grad=bias_grad,
        )  # fmt: skip


def bytes_of(arrays):
    return [x.tobytes() for x in arrays]


# ---- accuracy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_error_is_at_most_three_times_the_plain_formulas(dtype, rng, shape, kind):
    arrays = make_all(rng, dtype, shape)
    mask, causal = make_mask(rng, dtype, kind, shape)
    mask_grad = kind in ("additive", "both")
    with emulated(80):
        grads = gradients(*arrays, mask, is_causal=causal, enable_gqa=True, mask_grad=mask_grad)
    assert all(g.dtype == dtype for g in grads)
    assert_2x(
        grads, reference.attention_backward, *arrays, mask, causal=causal, mask_grad=mask_grad,
        factor=3,
    )  # fmt: skip


# Both forms of each padded width, with sequences of no rows and of no keys.
ALIGNED = {
    "64": ([(40, 70), (0, 9), (70, 33), (8, 0)], 4, 2, 64, 40),
    "128": ([(65, 33), (1, 1), (33, 65)], 2, 1, 128, 128),
    "256": ([(33, 20), (3, 35)], 2, 1, 136, 256),
}


@pytest.mark.parametrize(
    ("batch", "name"),
    [c for c in CASES if c[0] != "long"] + [(b, n) for b in ALIGNED for n in OPTIONS],
)
def test_packed_sequences_take_every_option(dtype, rng, batch, name):
    if batch in ALIGNED and dtype == np.float32:
        pytest.skip("a case of tensor cores")
    packed = OnDevice(rng, dtype, ALIGNED.get(batch, batch))
    options = packed.options(rng, name)
    bias_grad = "attn_bias" in options
    with emulated(80):
        grads = packed.backward(**options, bias_grad=bias_grad)
    check_packed(packed, grads, options, bias_grad=bias_grad)


@pytest.mark.parametrize(
    "shape", [(1, 4, 2, 13, 130, 16, 16), (1, 2, 2, 70, 7, 128, 40), (2, 1, 1, 9, 40, 200, 16)]
)
def test_dropout_is_the_forward_s(dtype, rng, shape):
    arrays = make_all(rng, dtype, shape)
    with emulated(80):
        grads = gradients(*arrays, dropout_p=0.4, seed=99, offset=2, enable_gqa=True)
    keep = keep_factors(shape, 0.4, 99, 2)
    assert_2x(grads, reference.attention_backward, *arrays, keep=keep, factor=3)


@pytest.mark.parametrize("scale", [0.7, -0.3, 0.0])
def test_scale_is_free(dtype, rng, scale):
    arrays = make_all(rng, dtype, (1, 2, 2, 9, 70, 24, 24))
    with emulated(80):
        grads = gradients(*arrays, scale=scale)
    assert_2x(grads, reference.attention_backward, *arrays, scale=scale, factor=3)


# ---- the mask's gradient ------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["111K", "S1QK", "HQK", "K"])
def test_the_bias_gets_the_sum_over_its_broadcast_axes(dtype, rng, axes):
    packed = OnDevice(rng, dtype, ([(7, 130), (70, 3), (0, 9), (8, 0), (33, 40)], 3, 1, 17, 40))
    options = {"attn_bias": bias_of(rng, packed, axes)}
    with emulated(80):
        grads = packed.backward(**options, bias_grad=True)
    assert grads[3].shape == options["attn_bias"].shape
    check_packed(packed, grads, options, bias_grad=True)


@pytest.mark.parametrize("axes", ["1111", "B111", "1H11", "11Q1", "B1QK", ""])
def test_gradient_of_a_mask_is_summed_where_it_is_broadcast(dtype, rng, axes):
    """Causal masks leave some axes a sum that does not cancel; the others' are nearly 0."""
    arrays = make_all(rng, dtype, (2, 2, 1, 66, 70, 8, 8))
    sizes = {"B": 2, "H": 2, "Q": 66, "K": 70, "1": 1}
    mask = rng.standard_normal(tuple(sizes[a] for a in axes)).astype(dtype)
    with emulated(80):
        grads = gradients(*arrays, mask, is_causal=True, enable_gqa=True, mask_grad=True)
    assert grads[3].shape == mask.shape
    want = reference.attention_backward(
        *(a.astype(np.float64) for a in (*arrays, mask)), causal=True, mask_grad=True
    )[3]
    eps = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}[dtype.name]
    np.testing.assert_allclose(grads[3].astype(float), want, rtol=eps, atol=3 * eps)


# ---- what is not seen ---------------------------------------------------------------------------


def test_rows_that_see_nothing_have_no_gradient(dtype, rng):
    dy, q, k, v = make_all(rng, dtype, (1, 2, 2, 20, 30, 16, 16))
    seen = rng.random((20, 30)) < 0.5
    seen[4] = seen[17] = False
    seen[:, 9] = False
    dy[:, :, 4], q[:, :, 17] = np.nan, np.inf
    with emulated(80):
        dq, dk, dv = gradients(dy, q, k, v, seen)
    assert (dq[:, :, [4, 17]] == 0).all()
    assert (dk[:, :, 9] == 0).all()
    assert (dv[:, :, 9] == 0).all()
    assert all(np.isfinite(g.astype(float)).all() for g in (dq, dk, dv))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["bool", "additive"])
@pytest.mark.parametrize("width", [24, 72, 136])
def test_what_is_hidden_changes_no_byte(dtype, rng, poison, kind, width):
    dy, q, k, v = make_all(rng, dtype, (1, 2, 1, 20, 70, width, width))
    mask = np.ones((1, 70), bool)
    mask[0, 20:50] = False
    if kind == "additive":
        mask = np.where(mask, 0, -np.inf).astype(dtype)
    with emulated(80):
        clean = gradients(dy, q, k, v, mask, enable_gqa=True)
        k[:, :, 20:50], v[:, :, 20:50] = poison, poison
        dirty = gradients(dy, q, k, v, mask, enable_gqa=True)
    assert bytes_of(clean) == bytes_of(dirty)


@pytest.mark.parametrize("width", [16, 100, 144])
def test_later_rows_change_no_byte_of_later_keys(dtype, rng, width):
    """Causal: a bad row reaches the keys it sees, not those after it."""
    dy, q, k, v = make_all(rng, dtype, (1, 1, 1, 70, 70, width, width))
    with emulated(80):
        clean = gradients(dy, q, k, v, is_causal=True)
        dy[0, 0, 20] = np.nan
        dirty = gradients(dy, q, k, v, is_causal=True)
    for a, b in zip(clean[1:], dirty[1:]):
        assert a[0, 0, 21:].tobytes() == b[0, 0, 21:].tobytes()
        assert np.isnan(b[0, 0, :21].astype(float)).all()
    others = np.arange(70) != 20
    assert clean[0][0, 0, others].tobytes() == dirty[0][0, 0, others].tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_another_sequence_changes_no_byte(dtype, rng, poison):
    packed = OnDevice(rng, dtype, "ragged")
    with emulated(80):
        clean = packed.backward(causal=True)
        rows, keys = packed.sequence(2)
        for x, at in ((packed.q, rows), (packed.k, keys), (packed.v, keys), (packed.grad, rows)):
            x[at] = poison
        dirty = packed.backward(causal=True)
    others = np.ones(len(packed.q), bool)
    others[rows] = False
    for a, b in zip(clean, dirty):
        assert a[others].tobytes() == b[others].tobytes()


# ---- one kernel ---------------------------------------------------------------------------------


def test_a_sequence_alone_gives_the_bytes_it_gives_in_a_batch(dtype, rng):
    packed = OnDevice(rng, dtype, ([(70, 130), (5, 5), (0, 3), (33, 64)], 2, 1, 32, 32))
    options = packed.options(rng, "all")
    with emulated(80):
        grads = packed.backward(**options)
        for b, lengths in enumerate(packed.lengths):
            rows, keys = packed.sequence(b)
            q, grad = packed.q[None, rows], packed.grad[None, rows]
            k, v = packed.k[None, keys], packed.v[None, keys]
            alone = part(options, b, lengths)
            y, lse = on_device(kernels.flash_attn_func, q, k, v, **alone, return_lse=True)
            dense = on_device(kernels.flash_attn_backward, grad, q, k, v, y, lse, **alone)
            for one, whole, at in zip(dense, grads, (rows, keys, keys)):
                assert one.tobytes() == whole[at].tobytes()


@pytest.mark.parametrize("shape", [(1, 4, 70, 24), (1, 2, 33, 72), (1, 2, 18, 136)], ids=str)
def test_any_strides_give_the_same_bytes(dtype, rng, shape):
    """Rows that begin anywhere: parts of wider rows, read and written one element at a time."""
    B, H, L, D = shape
    arrays = rng.standard_normal((4, B, H, L, D)).astype(dtype)
    with emulated(80):
        dy, q, k, v = map(to_device, arrays)
        y, lse = kernels.scaled_dot_product_attention(q, k, v, is_causal=True, return_lse=True)
        call = kernels.scaled_dot_product_attention_backward
        want = call(dy, q, k, v, y, lse, is_causal=True)
        wide = to_device(np.zeros((B, L, 8, H, D + 3), dtype))
        views = [wide[:, :, n, :, 1 : D + 1].transpose(0, 2, 1, 3) for n in range(8)]
        for view, array in zip(views, (dy, q, k, v, y)):
            view[...] = array
        got = call(*views[:5], lse, is_causal=True, out=tuple(views[5:]))
        assert all(a is b for a, b in zip(got, views[5:]))
        assert bytes_of(map(kernels.asnumpy, got)) == bytes_of(map(kernels.asnumpy, want))
        around = kernels.asnumpy(wide)
    assert (around[..., 0] == 0).all()
    assert (around[..., D + 1 :] == 0).all()


# ---- threads and shared memory ------------------------------------------------------------------


def all_options(rng, dtype, shape):
    mask = rng.standard_normal(shape[3:5]).astype(dtype)
    return mask, {"is_causal": True, "dropout_p": 0.1, "seed": 1, "enable_gqa": True}


@pytest.mark.parametrize("shape", ON_TENSOR_CORES, ids=str)
@pytest.mark.parametrize("general", [False, True], ids=["simple", "general"])
def test_no_order_of_threads_and_no_memory_before_changes_a_byte(short, rng, shape, general):
    arrays = make_all(rng, short, shape)
    mask, options = all_options(rng, short, shape)
    if not general:
        mask, options = None, {"is_causal": True, "enable_gqa": True}
    results = set()
    for order, poison in (("fifo", 0xFF), ("lifo", 0x7E), ("1", 0xFF), ("2", 0x7E)):
        with emulated(80, order, poison) as compiled:
            compiled.reset_stats()
            grads = gradients(*arrays, mask, **options)
            stats = compiled.stats()
        results.add(b"".join(bytes_of(grads)))
        assert stats["matrix_phases"] > 0
        assert stats["matrix_replays"] == 0, "matrix loads meet in a bank"
    assert len(results) == 1


# Of the mask's gradient on tensor cores, one tile: its sums take the place of rows just read.
@pytest.mark.parametrize(
    "shape",
    [(1, 2, 1, 40, 70, 40, 33), (1, 1, 1, 64, 33, 128, 96), (1, 1, 1, 20, 33, 130, 200)],
    ids=str,
)
def test_nor_without_tensor_cores_and_in_a_mask_s_gradient(dtype, rng, shape):
    arrays = make_all(rng, dtype, shape)
    mask, options = all_options(rng, dtype, shape)
    results = set()
    for order, poison in (("fifo", 0xFF), ("lifo", 0x7E), ("1", 0xFF)):
        with emulated(80, order, poison):
            grads = gradients(*arrays, mask, **options, mask_grad=True)
        results.add(b"".join(bytes_of(grads)))
    assert len(results) == 1

"""Rotary position embedding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer import kernels, runtime
from plainformer.errors import DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x
from tests.guarded import guarded

# (rows, H, D, R): registers hold 2 to 16 elements, so halves below, on and above each.
SHAPES = [
    ((0,), 2, 8, 8),
    ((3,), 0, 8, 8),
    ((), 1, 2, 2),
    ((5,), 1, 1, 0),
    ((7,), 3, 64, 64),
    ((2, 5), 2, 80, 20),
    ((3,), 2, 67, 66),
    ((2, 1, 3), 1, 128, 128),
    ((4,), 5, 10, 6),
]
POSITIONS = 50


def tables(R, positions=POSITIONS):
    angles = np.outer(np.arange(positions), 1e4 ** (-np.arange(R // 2) / max(R // 2, 1)))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def make(rng, dtype, rows, H, D, R):
    x = rng.standard_normal((*rows, H, D)).astype(dtype)
    return x, rng.integers(0, POSITIONS, rows), *tables(R)


def bytes_of(*arguments, **options):
    return kernels.rotary_embedding(*arguments, **options).tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("interleaved", [False, True])
def test_forward_and_backward(backend, dtype, rng, shape, interleaved):
    arrays = make(rng, dtype, *shape)
    for name in ("rotary_embedding", "rotary_embedding_backward"):
        y = getattr(kernels, name)(*map(backend, arrays), interleaved=interleaved)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        assert_2x(y, getattr(reference, name), *arrays, interleaved=interleaved)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 3),
    st.integers(0, 20),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_any_shape(rows, H, half, rest, interleaved, seed):
    rng = np.random.default_rng(seed)
    arrays = make(rng, np.float32, tuple(rows), H, 2 * half + rest, 2 * half)
    y = kernels.rotary_embedding(*arrays, interleaved=interleaved)
    assert_2x(y, reference.rotary_embedding, *arrays, interleaved=interleaved)


def test_backward_is_the_transpose(rng):
    x, positions, cos, sin = make(rng, np.float64, (4, 3), 2, 20, 14)
    dy = rng.standard_normal(x.shape)
    for interleaved in (False, True):
        options = {"interleaved": interleaved}
        forward = kernels.rotary_embedding(x, positions, cos, sin, **options)
        backward = kernels.rotary_embedding_backward(dy, positions, cos, sin, **options)
        assert (forward * dy).sum() == pytest.approx((x * backward).sum(), rel=1e-13)


def test_both_layouts_agree_bit_for_bit(backend, dtype, rng):
    x, positions, cos, sin = make(rng, dtype, (9,), 3, 70, 64)
    order = np.concatenate([np.arange(64).reshape(2, 32).T.reshape(-1), np.arange(64, 70)])
    halves = kernels.rotary_embedding(backend(x), positions, cos, sin)
    paired = kernels.rotary_embedding(
        backend(x[..., order].copy()), positions, cos, sin, interleaved=True
    )
    assert paired.tobytes() == halves[..., order].tobytes()


def test_only_relative_positions_matter_to_scores(backend, rng):
    q, k = rng.standard_normal((2, 1, 1, 32)).astype(np.float32)
    cos, sin = tables(32)

    def score(i, j):
        turned = [
            kernels.rotary_embedding(backend(a), np.array([p]), cos, sin)
            for a, p in ((q, i), (k, j))
        ]
        return float((turned[0] * turned[1]).sum())

    assert score(3, 1) == pytest.approx(score(40, 38), rel=1e-4)
    assert score(3, 1) != pytest.approx(score(40, 30), rel=1e-2)


def test_views_of_packed_projections_are_read_in_place(backend, dtype, rng):
    qkv = rng.standard_normal((2, 7, 3, 4, 24)).astype(dtype)
    positions, (cos, sin) = rng.integers(0, POSITIONS, (2, 7)), tables(16)
    copies = kernels._arrays.copies
    views = [
        qkv[:, :, 1],
        qkv[:, ::-2, 0, ::3],
        qkv.transpose(1, 0, 2, 3, 4)[:, :, 2],
        np.broadcast_to(qkv[:, :, 0, :1], (2, 7, 4, 24)),
    ]
    for view in views:
        ids = rng.integers(0, POSITIONS, view.shape[:2])
        expected = bytes_of(view.copy(), ids, cos, sin)
        assert bytes_of(backend(view), backend(ids), cos, sin) == expected
    wide = np.full((POSITIONS, 20), np.nan, np.float32)
    wide[:, 3:11] = cos
    assert bytes_of(qkv[:, :, 0], positions, wide[:, 3:11], sin) == bytes_of(
        qkv[:, :, 0], positions, cos, sin
    )
    assert kernels._arrays.copies == copies, "a view was copied"


def test_other_strides_are_copied(backend, dtype, rng):
    x, positions, cos, sin = make(rng, dtype, (6,), 2, 20, 16)
    expected = bytes_of(x, positions, cos, sin)
    backwards = backend(x[..., ::-1].copy()[..., ::-1])
    repeated = np.repeat(positions, 2)[::2]
    assert bytes_of(backwards, repeated, np.asfortranarray(cos), sin) == expected
    assert bytes_of(x, positions.astype(np.int32), cos, sin) == expected


@pytest.mark.cpu("threads")
def test_bytes_do_not_depend_on_threads_or_on_other_rows(backend, dtype, rng):
    x, positions, cos, sin = make(rng, dtype, (500,), 3, 64, 64)
    results = set()
    for threads in (1, 2, 3, 7):
        with runtime.num_threads(threads):
            results.add(bytes_of(backend(x), positions, cos, sin))
    assert len(results) == 1
    alone = [bytes_of(backend(x[n : n + 1]), positions[n : n + 1], cos, sin) for n in range(500)]
    assert b"".join(alone) == results.pop()


def test_nothing_is_read_past_an_array(backend, dtype, rng):
    for R in (6, 20, 34):
        arrays = make(rng, dtype, (5,), 3, R + 1, R)
        for interleaved in (False, True):
            options = {"interleaved": interleaved}
            assert bytes_of(*map(guarded, arrays), **options) == bytes_of(*arrays, **options)


@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named():
    x, (cos, sin) = np.zeros((3, 2, 8), np.float32), tables(8, 10)
    positions = np.array([0, 9, 1])
    rotate = kernels.rotary_embedding
    with pytest.raises(ShapeError, match=r"positions: got 10 at \(1,\), expected 0 to 9"):
        rotate(x, positions + np.array([0, 1, 0]), cos, sin)
    with pytest.raises(ShapeError, match=r"positions: got -1 at \(0,\), expected 0 to 9"):
        rotate(x, positions - 1, cos, sin)
    with pytest.raises(ShapeError, match=r"positions: got shape \(2,\), expected \(3,\)"):
        rotate(x, positions[:2], cos, sin)
    with pytest.raises(DTypeError, match="positions: got dtype float64, expected int32 or int64"):
        rotate(x, positions.astype(float), cos, sin)
    with pytest.raises(ShapeError, match=r"cos: got shape \(10, 4\), .* R at most 7"):
        rotate(x[..., :7], positions, cos, sin)
    with pytest.raises(ShapeError, match=r"cos: got shape \(4,\)"):
        rotate(x, positions, cos[0], sin)
    with pytest.raises(ShapeError, match=r"sin: got shape \(10, 3\), expected \(10, 4\)"):
        rotate(x, positions, cos, sin[:, :3])
    with pytest.raises(DTypeError, match="sin: got dtype float64, expected float32"):
        rotate(x, positions, cos, sin.astype(np.float64))
    with pytest.raises(ShapeError, match=r"x: got shape \(3,\), expected at least 2 axes"):
        rotate(x[:, 0, 0], positions, cos, sin)
    with pytest.raises(ShapeError, match="x: got 9 axes, expected at most 8"):
        rotate(x.reshape(1, 1, 1, 1, 1, 1, 3, 2, 8), positions, cos, sin)
    with pytest.raises(DTypeError, match="grad_output: got dtype int64"):
        kernels.rotary_embedding_backward(x.astype(np.int64), positions, cos, sin)

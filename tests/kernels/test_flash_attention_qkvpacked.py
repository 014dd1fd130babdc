"""Attention of packed projections: the bytes of the other forms, without a copy."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError

STARTS = np.array([0, 7, 7, 40], np.int32)
OPTIONS = {"causal": True, "window_size": (20, 0), "softcap": 4.0, "dropout_p": 0.2, "seed": 3}


def packed(rng, dtype, *leading):
    """qkv and grad_output inside wider arrays, so that no axis is without gaps."""
    qkv = rng.standard_normal((*leading, 3, 4, 30)).astype(dtype)[..., 3:27]
    return qkv, rng.standard_normal((*leading, 4, 24)).astype(dtype)


def more_options(rng, dtype, length):
    bias = rng.standard_normal((1, 4, length, length)).astype(dtype)
    return OPTIONS | {"attn_bias": bias, "alibi_slopes": rng.random(4).astype(np.float32)}


def test_equal_lengths(backend, dtype, rng):
    qkv, grad = packed(rng, dtype, 2, 33)
    q, k, v = (qkv[:, :, i] for i in range(3))
    options = more_options(rng, dtype, 33)
    before = kernels._arrays.copies
    y, lse = kernels.flash_attn_qkvpacked_func(qkv, **options, return_lse=True)
    dqkv, dbias = kernels.flash_attn_qkvpacked_backward(
        grad, qkv, y, lse, **options, bias_grad=True
    )
    assert kernels._arrays.copies == before
    want = kernels.flash_attn_func(q, k, v, **options, return_lse=True)
    assert (y.tobytes(), lse.tobytes()) == tuple(x.tobytes() for x in want)
    *grads, bias = kernels.flash_attn_backward(grad, q, k, v, y, lse, **options, bias_grad=True)
    assert dqkv.tobytes() == np.stack(grads, axis=2).tobytes()
    assert dbias.tobytes() == bias.tobytes()


def test_sequences(backend, dtype, rng):
    qkv, grad = packed(rng, dtype, 40)
    q, k, v = (qkv[:, i] for i in range(3))
    options = more_options(rng, dtype, 33)
    y, lse = kernels.flash_attn_varlen_qkvpacked_func(qkv, STARTS, 33, **options, return_lse=True)
    dqkv, dbias = kernels.flash_attn_varlen_qkvpacked_backward(
        grad, qkv, y, lse, STARTS, 33, **options, bias_grad=True
    )
    sequences = STARTS, STARTS, 33, 33
    want = kernels.flash_attn_varlen_func(q, k, v, *sequences, **options, return_lse=True)
    assert (y.tobytes(), lse.tobytes()) == tuple(x.tobytes() for x in want)
    *grads, bias = kernels.flash_attn_varlen_backward(
        grad, q, k, v, y, lse, *sequences, **options, bias_grad=True
    )
    assert dqkv.tobytes() == np.stack(grads, axis=1).tobytes()
    assert dbias.tobytes() == bias.tobytes()


def test_out_is_written_and_returned(dtype, rng):
    qkv, grad = packed(rng, dtype, 40)
    arguments = STARTS, 33
    out, dqkv = np.empty(grad.shape, dtype), np.full((40, 3, 4, 30), 7, dtype)
    y, lse = kernels.flash_attn_varlen_qkvpacked_func(qkv, *arguments, out=out, return_lse=True)
    assert y is out
    part = dqkv[..., :24]
    want = kernels.flash_attn_varlen_qkvpacked_backward(grad, qkv, y, lse, *arguments)
    got = kernels.flash_attn_varlen_qkvpacked_backward(grad, qkv, y, lse, *arguments, out=part)
    assert got is part
    assert got.tobytes() == want.tobytes()
    assert (dqkv[..., 24:] == 7).all()


@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named():
    qkv = np.zeros((2, 5, 3, 4, 8), np.float32)
    dense, ragged = kernels.flash_attn_qkvpacked_func, kernels.flash_attn_varlen_qkvpacked_func
    with pytest.raises(
        ShapeError, match=r"qkv: got shape \(2, 5, 4, 8\), expected \(B, S, 3, H, D"
    ):
        dense(qkv[:, :, 0])
    with pytest.raises(ShapeError, match=r"qkv: got shape \(5, 2, 4, 8\), expected \(total, 3, H"):
        ragged(qkv[0, :, :2], STARTS, 33)
    with pytest.raises(DTypeError, match="qkv: got dtype int16"):
        dense(qkv.astype(np.int16))
    with pytest.raises(
        ShapeError, match="cu_seqlens_q: got 40 last, expected the number of rows, 5"
    ):
        ragged(qkv[0], STARTS, 33)
    y, lse = dense(qkv, return_lse=True)
    with pytest.raises(ConfigError, match=r"out\[0\]: shares memory with q"):
        kernels.flash_attn_qkvpacked_backward(y, qkv, y, lse, out=qkv)
    with pytest.raises(ShapeError, match=r"out: got shape \(5, 3, 4, 8\), expected \(B, S"):
        kernels.flash_attn_qkvpacked_backward(y, qkv, y, lse, out=qkv[0])

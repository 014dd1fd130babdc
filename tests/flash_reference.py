"""float64 references of attention as flash-attention has it: bottom-right, (B, L, H, D), packed.

Written on `attention` and `attention_backward` of tests/reference.py, with its `to`.
"""

from __future__ import annotations

import numpy as np

from tests import reference


def heads_first(x):
    return x.swapaxes(-3, -2)


def flash_window(causal, window):
    return (window[0], 0) if causal else window


def flash_attention(q, k, v, bias=None, slopes=None, *, causal=False, window=(-1, -1),
                    softcap=0.0, scale=None, keep=None, to=reference.identity):  # fmt: skip
    """`attention` of (B, L, H, D), bottom-right: y and lse (B, H, Lq)."""
    y, lse = reference.attention(
        *map(heads_first, (q, k, v)), bias, window=flash_window(causal, window),
        softcap=softcap, slopes=slopes, scale=scale, keep=keep, to=to,
    )  # fmt: skip
    return heads_first(y), lse


def flash_attention_backward(dy, q, k, v, bias=None, slopes=None, *, causal=False,
                             window=(-1, -1), softcap=0.0, scale=None, keep=None, bias_grad=False,
                             to=reference.identity):  # fmt: skip
    """dq, dk, dv of (B, L, H, D), and dbias with bias_grad."""
    dq, dk, dv, *rest = reference.attention_backward(
        *map(heads_first, (dy, q, k, v)), bias, window=flash_window(causal, window),
        softcap=softcap, slopes=slopes, scale=scale, keep=keep, mask_grad=bias_grad, to=to,
    )  # fmt: skip
    return (*map(heads_first, (dq, dk, dv)), *rest)


def sequence_part(x, b, *lengths):
    """What sequence b sees of an array that broadcasts to (S, H, *lengths), its batch axis kept."""
    if x is None:
        return None
    x = x.reshape((1,) * (2 + len(lengths) - x.ndim) + x.shape)
    x = x if x.shape[0] == 1 else x[b : b + 1]
    cut = (slice(n if m > 1 else 1) for n, m in zip(lengths, x.shape[2:]))
    return x[(slice(None), slice(None), *cut)]


def each_sequence(starts_q, starts_k):
    for b in range(len(starts_q) - 1):
        yield b, slice(starts_q[b], starts_q[b + 1]), slice(starts_k[b], starts_k[b + 1])


def varlen_attention(q, k, v, bias, slopes, starts_q, starts_k, *, keep=None, **options):
    """flash_attention of each sequence of (total, H, D): y and lse (H, total)."""
    y = np.zeros((*q.shape[:-1], v.shape[-1]), q.dtype)
    lse = np.zeros(q.shape[1::-1], q.dtype)
    for b, rows, keys in each_sequence(starts_q, starts_k):
        lengths = rows.stop - rows.start, keys.stop - keys.start
        y_b, lse_b = flash_attention(
            q[None, rows], k[None, keys], v[None, keys], sequence_part(bias, b, *lengths),
            sequence_part(slopes, b), keep=sequence_part(keep, b, *lengths), **options,
        )  # fmt: skip
        y[rows], lse[:, rows] = y_b[0], lse_b[0]
    return y, lse


def varlen_attention_backward(dy, q, k, v, bias, slopes, starts_q, starts_k, *, keep=None,
                              bias_grad=False, **options):  # fmt: skip
    """Gradients of varlen_attention; dbias is summed up in float32 or float64 before `to`."""
    grads = [np.zeros_like(x) for x in (q, k, v)]
    dbias = np.zeros_like(bias) if bias_grad else None
    for b, rows, keys in each_sequence(starts_q, starts_k):
        lengths = rows.stop - rows.start, keys.stop - keys.start
        dq, dk, dv, *rest = flash_attention_backward(
            *(x[None, rows] for x in (dy, q)), *(x[None, keys] for x in (k, v)),
            sequence_part(bias, b, *lengths), sequence_part(slopes, b),
            keep=sequence_part(keep, b, *lengths), bias_grad=bias_grad, **options,
        )  # fmt: skip
        grads[0][rows], grads[1][keys], grads[2][keys] = dq[0], dk[0], dv[0]
        if bias_grad:
            sequence_part(dbias, b, *lengths)[...] += rest[0]
    return tuple(grads) if not bias_grad else (*grads, dbias)


def cached_attention(q, k_cache, v_cache, bias, slopes, lengths, **options):
    """y of (B, Lq, H, D) against the first lengths[b] keys of row b of the caches."""
    y = np.zeros((*q.shape[:-1], v_cache.shape[-1]), q.dtype)
    for b, n in enumerate(lengths):
        y[b] = flash_attention(
            q[b : b + 1], k_cache[b : b + 1, :n], v_cache[b : b + 1, :n],
            sequence_part(bias, b, q.shape[1], n), sequence_part(slopes, b), **options,
        )[0][0]  # fmt: skip
    return y

"""float64 references, straight from the formulas: one function an operation and direction.

Each computes in the dtype of its inputs and passes every array between two formulas through
`to` (see tests/accuracy.py).
"""

from __future__ import annotations

import math

import numpy as np


def identity(a):
    return a


# --- add -----------------------------------------------------------------------------------------


def add(a, b, *, to=identity):
    return to(a + b)


# --- matmul, linear -------------------------------------------------------------------------------


def swap_axes(a):
    return np.swapaxes(a, -1, -2)


def sum_to_shape(a, shape):
    """Sum over the axes along which `shape` was broadcast to a's shape."""
    a = a.sum(axis=tuple(range(a.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and a.shape[i] != 1)
    return a.sum(axis=stretched, keepdims=True)


def matmul(a, b, *, transpose_a=False, transpose_b=False, to=identity):
    return to((swap_axes(a) if transpose_a else a) @ (swap_axes(b) if transpose_b else b))


def matmul_backward(dy, a, b, *, transpose_a=False, transpose_b=False, to=identity):
    left = swap_axes(a) if transpose_a else a
    right = swap_axes(b) if transpose_b else b
    da, db = dy @ swap_axes(right), swap_axes(left) @ dy
    da, db = (swap_axes(da) if transpose_a else da), (swap_axes(db) if transpose_b else db)
    return to(sum_to_shape(da, a.shape)), to(sum_to_shape(db, b.shape))


def linear(x, weight, bias=None, *, activation=None, to=identity):
    """(y, z), z the argument of the activation."""
    z = x @ weight.T if bias is None else x @ weight.T + bias
    return activate(to(z), activation, to), to(z)


def linear_backward(dy, x, weight, bias, z, *, activation=None, to=identity):
    dz = dy if activation is None else activation_slope(dy, z, activation, to)
    rows_dz, rows_x = dz.reshape(-1, dz.shape[-1]), x.reshape(-1, x.shape[-1])
    return to(dz @ weight), to(rows_dz.T @ rows_x), to(rows_dz.sum(axis=0))


def activate(z, activation, to):
    if activation in ("gelu", "gelu_tanh"):
        return gelu(z, "tanh" if activation == "gelu_tanh" else "none", to=to)
    return {None: lambda z, to: z, "relu": relu, "silu": silu, "tanh": tanh}[activation](z, to=to)


def activation_slope(dy, z, activation, to):
    if activation in ("gelu", "gelu_tanh"):
        return gelu_backward(dy, z, "tanh" if activation == "gelu_tanh" else "none", to=to)
    slopes = {"relu": relu_backward, "silu": silu_backward, "tanh": tanh_backward}
    return slopes[activation](dy, z, to=to)


# --- embedding -----------------------------------------------------------------------------------


def embedding(ids, weight, *, to=identity):
    return to(weight[ids])


def embedding_backward(dy, ids, V, *, to=identity):
    dweight = np.zeros((V, dy.shape[-1]), dy.dtype)
    np.add.at(dweight, ids.reshape(-1), dy.reshape(-1, dy.shape[-1]))
    return to(dweight)


# --- cross entropy -------------------------------------------------------------------------------


def log_sum_exp(x):
    largest = x.max(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        sums = np.log(np.exp(x - largest).sum(axis=-1, keepdims=True)) + largest
    return np.where(np.isfinite(largest), sums, largest)


def cross_entropy_rows(x, t, w, ignore_index, smoothing):
    """Each row's loss and the weight it counts with, before any reduction."""
    N, V = x.shape
    w = np.ones(V, x.dtype) if w is None else w
    used = t != ignore_index
    t = np.where(used, t, 0)
    surprise = log_sum_exp(x) - x
    loss = (1 - smoothing) * w[t] * surprise[np.arange(N), t]
    if smoothing:
        loss = loss + smoothing / V * (w * surprise).sum(axis=-1)
    zero = x.dtype.type(0)
    return np.where(used, loss, zero), np.where(used, w[t], zero)


def cross_entropy(x, t, w=None, *, ignore_index=-100, reduction="mean", smoothing=0.0, to=identity):
    loss, counted = cross_entropy_rows(x, t, w, ignore_index, smoothing)
    if reduction == "none":
        return loss
    count = counted.sum()
    return loss.sum() if reduction == "sum" else loss.sum() / count if count else loss.sum()


def cross_entropy_backward(
    dy, x, t, w=None, *, ignore_index=-100, reduction="mean", smoothing=0.0, to=identity
):
    N, V = x.shape
    _, counted = cross_entropy_rows(x, t, w, ignore_index, smoothing)
    w = np.ones(V, x.dtype) if w is None else w
    used = t != ignore_index
    t = np.where(used, t, 0)
    p = to(np.exp(x - log_sum_exp(x)))
    total = (1 - smoothing) * w[t] + smoothing / V * w.sum()
    dx = total[:, None] * p - smoothing / V * w
    dx[np.arange(N), t] -= (1 - smoothing) * w[t]
    scale = dy if reduction != "mean" else dy / counted.sum() if counted.sum() else 0 * dy
    return to(np.where(used[:, None], dx, 0) * np.broadcast_to(scale, (N,))[:, None])


# --- optimizer -----------------------------------------------------------------------------------


def adamw_step(p, g, m, v, *, step, lr, betas, eps, weight_decay, grad_scale=1.0, to=identity):
    g = g * grad_scale
    p = p * (1 - lr * weight_decay)
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    denominator = np.sqrt(v) / np.sqrt(1 - betas[1] ** step) + eps
    return to(p - lr / (1 - betas[0] ** step) * m / denominator), m, v


def sgd_step(p, g, buffer=None, *, lr, momentum, nesterov, weight_decay, grad_scale, to=identity):
    g = g * grad_scale + weight_decay * p
    if buffer is None:
        return to(p - lr * g)
    buffer = momentum * buffer + g
    return to(p - lr * (g + momentum * buffer if nesterov else buffer)), buffer


# --- linear + cross entropy ----------------------------------------------------------------------


def linear_cross_entropy(x, w, t, b, *, reduction="mean", smoothing=0.0, to=identity):
    """(loss, dx, dweight, dbias); the logits are arrays between formulas and so rounded."""
    logits = to(x @ w.T + b)
    options = {"reduction": reduction, "smoothing": smoothing}
    one = np.ones((), x.dtype)
    dlogits = cross_entropy_backward(one, logits, t, to=to, **options)
    loss = cross_entropy(logits, t, **options)
    return loss, to(dlogits @ w), to(dlogits.T @ x), to(dlogits.sum(axis=0))


# --- norms ---------------------------------------------------------------------------------------


def layer_norm(x, weight=None, bias=None, *, eps=1e-5, axes=1, to=identity):
    """y, mean, rstd."""
    over = tuple(range(-axes, 0))
    mean = x.mean(axis=over, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(axis=over, keepdims=True) + x.dtype.type(eps))
    y = to((x - mean) * rstd)
    y = y if weight is None else y * weight
    return to(y if bias is None else y + bias), mean.squeeze(over), rstd.squeeze(over)


def rms_norm(x, weight=None, *, eps=1e-5, axes=1, to=identity):
    """y, rstd."""
    over = tuple(range(-axes, 0))
    rstd = 1 / np.sqrt((x**2).mean(axis=over, keepdims=True) + x.dtype.type(eps))
    y = to(x * rstd)
    return y if weight is None else to(y * weight), rstd.squeeze(over)


def layer_norm_backward(
    dy, x, weight=None, bias=None, grad_residual=None, *, eps=1e-5, axes=1, to=identity
):
    over = tuple(range(-axes, 0))
    rows = tuple(range(x.ndim - axes))
    mean = x.mean(axis=over, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(axis=over, keepdims=True) + x.dtype.type(eps))
    x_hat = to((x - mean) * rstd)
    g = dy if weight is None else to(dy * weight)
    dx = rstd * (
        g - g.mean(axis=over, keepdims=True) - x_hat * (g * x_hat).mean(axis=over, keepdims=True)
    )
    dx = to(dx if grad_residual is None else dx + grad_residual)
    dweight = None if weight is None else to((dy * x_hat).sum(axis=rows))
    dbias = None if bias is None else to(dy.sum(axis=rows))
    return dx, dweight, dbias


def rms_norm_backward(dy, x, weight=None, grad_residual=None, *, eps=1e-5, axes=1, to=identity):
    over = tuple(range(-axes, 0))
    rows = tuple(range(x.ndim - axes))
    rstd = 1 / np.sqrt((x**2).mean(axis=over, keepdims=True) + x.dtype.type(eps))
    x_hat = to(x * rstd)
    g = dy if weight is None else to(dy * weight)
    dx = rstd * (g - x_hat * (g * x_hat).mean(axis=over, keepdims=True))
    dx = to(dx if grad_residual is None else dx + grad_residual)
    return dx, None if weight is None else to((dy * x_hat).sum(axis=rows))


# --- activations ---------------------------------------------------------------------------------

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def normal_cdf(x):
    return _erfc(-x / math.sqrt(2)).astype(x.dtype) / 2  # 1 + erf would cancel


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, x.dtype.type(1)) / (1 + e)


def tanh_argument(x):
    return x.dtype.type(math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x**3)


def relu(x, *, to=identity):
    return to(np.maximum(x, 0))


def relu_backward(dy, x, *, to=identity):
    return to(np.where(x <= 0, x.dtype.type(0), dy))


def gelu(x, approximate="none", *, to=identity):
    if approximate == "tanh":
        return to(x * to((1 + np.tanh(tanh_argument(x))) / 2))
    return to(x * to(normal_cdf(x)))


def gelu_backward(dy, x, approximate="none", *, to=identity):
    if approximate == "tanh":
        t = np.tanh(tanh_argument(x))
        slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        return to(dy * to((1 + t) / 2 + x * (1 - t**2) * slope.astype(x.dtype) / 2))
    density = np.exp(-(x**2) / 2) / x.dtype.type(math.sqrt(2 * math.pi))
    return to(dy * to(normal_cdf(x) + x * density))


def silu(x, *, to=identity):
    return to(x * to(sigmoid(x)))


def silu_backward(dy, x, *, to=identity):
    s = sigmoid(x)
    return to(dy * to(s * (1 + x * (1 - s))))


def tanh(x, *, to=identity):
    return to(np.tanh(x))


def tanh_backward(dy, x, *, to=identity):
    return to(dy * to(1 - np.tanh(x) ** 2))


def geglu(gate, up, approximate="none", *, to=identity):
    return to(gelu(gate, approximate, to=to) * up)


def geglu_backward(dy, gate, up, approximate="none", *, to=identity):
    dgate = gelu_backward(to(dy * up), gate, approximate, to=to)
    return dgate, to(dy * gelu(gate, approximate, to=to))


def swiglu(gate, up, *, to=identity):
    return to(silu(gate, to=to) * up)


def swiglu_backward(dy, gate, up, *, to=identity):
    return silu_backward(to(dy * up), gate, to=to), to(dy * silu(gate, to=to))


# --- dropout -------------------------------------------------------------------------------------


def philox(seed, counters):
    """Philox4x32-10 in uint64 arithmetic: counters (..., 4) to words (..., 4), uint32."""
    x = [np.asarray(counters[..., i], np.uint64) for i in range(4)]
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        k0, k1 = (np.uint64(k) for k in keys)
        high = np.uint64(32)
        x = [(p1 >> high) ^ x[1] ^ k0, p1 & low, (p0 >> high) ^ x[3] ^ k1, p0 & low]
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(x, axis=-1).astype(np.uint32)


def dropout_mask(rows, columns, p, seed, offset, head=0):
    """Bool (rows, columns), True where kept, and the scale of what is kept."""
    calls = (columns + 7) // 8
    row, call = np.meshgrid(np.arange(rows), np.arange(calls), indexing="ij")
    counters = np.stack([call, row, np.full_like(row, head), np.full_like(row, offset)], axis=-1)
    words = philox(seed, counters)
    values = np.stack([words & 0xFFFF, words >> 16], axis=-1).reshape(rows, 8 * calls)
    threshold = int(p * 65536 + 0.5)
    kept = 65536 - threshold
    return values[:, :columns] >= threshold, 65536 / kept if kept else 0.0


def dropout(x, p, seed, offset, *, to=identity):
    rows = x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)
    mask, scale = dropout_mask(*rows.shape, p, seed, offset)
    return to(np.where(mask, rows * x.dtype.type(scale), x.dtype.type(0)).reshape(x.shape))


# --- attention -----------------------------------------------------------------------------------


def visible(Lq, Lk, causal, window):
    """(Lq, Lk): causal is top-left, a window (left, right) bottom-right, -1 for no limit."""
    seen = np.tri(Lq, Lk, dtype=bool) if causal else np.ones((Lq, Lk), bool)
    if window is not None:
        own, keys = np.arange(Lq)[:, None] + Lk - Lq, np.arange(Lk)
        left, right = (n if n >= 0 else Lq + Lk for n in window)
        seen &= (keys >= own - left) & (keys <= own + right)
    return seen


def attention_scores(q, k, mask, causal, scale, to, window=None, softcap=0.0, slopes=None):
    """(B, H, Lq, Lk), -inf where a query does not see a key, and what the cap's slope is there; k
    has H heads; slopes broadcast to (B, H)."""
    with np.errstate(all="ignore"):
        s = to(np.einsum("bhid,bhjd->bhij", q, k) * s_type(q, scale))
        cap_slope = np.ones_like(s)
        if softcap:
            tanh = to(np.tanh(s / s.dtype.type(softcap)))
            s, cap_slope = to(tanh * s.dtype.type(softcap)), 1 - tanh * tanh
        if slopes is not None:
            Lq, Lk = s.shape[-2:]
            distance = np.abs(np.arange(Lq)[:, None] + Lk - Lq - np.arange(Lk)).astype(s.dtype)
            s = to(s - np.broadcast_to(slopes, s.shape[:2])[..., None, None] * distance)
        if mask is not None and mask.dtype != bool:
            hidden = (mask <= -1e30) | (mask == to(np.asarray(-65504.0)))
            s = to(s + np.where(hidden, 0, mask))
            mask = ~hidden
    seen = np.ones(s.shape, bool) if mask is None else np.broadcast_to(mask, s.shape)
    seen = seen & visible(*s.shape[-2:], causal, window)
    return np.where(seen, s, -np.inf).astype(s.dtype), seen, cap_slope


def s_type(q, scale):
    return q.dtype.type(1 / np.sqrt(q.shape[-1]) if scale is None else scale)


def shared_heads(x, H):
    return np.repeat(x, H // x.shape[1], axis=1) if x.shape[1] else x


def seen_product(weights, x, seen):
    """weights x over the keys that are seen: 0 NaN = 0 elsewhere."""
    with np.errstate(all="ignore"):
        if np.isfinite(x).all():
            return np.where(seen, weights, 0).astype(x.dtype) @ x
        terms = weights[..., None] * x[..., None, :, :]
        return np.where(seen[..., None], terms, 0).sum(axis=-2)


def attention_probabilities(q, k, mask, causal, scale, to, **scores):
    s, seen, cap_slope = attention_scores(q, k, mask, causal, scale, to, **scores)
    lse = log_sum_exp(s) if s.shape[-1] else np.full((*s.shape[:-1], 1), -np.inf, s.dtype)
    with np.errstate(all="ignore"):
        p = np.where(seen, np.exp(s - lse), 0)
    return to(p.astype(s.dtype)), lse, seen, cap_slope


def attention(q, k, v, mask=None, *, causal=False, scale=None, keep=None, to=identity, **scores):
    """y and lse. `keep` is what each probability is multiplied with: 0 or 1 / (1 - p); `scores`
    are the window, softcap and slopes of attention_scores."""
    H = q.shape[1]
    p, lse, seen, _ = attention_probabilities(
        q, shared_heads(k, H), mask, causal, scale, to, **scores
    )
    if keep is not None:
        p, seen = to(p * keep.astype(p.dtype)), seen & (keep != 0)
    return to(seen_product(p, shared_heads(v, H), seen)), lse[..., 0]


def attention_backward(
    dy, q, k, v, mask=None, *, causal=False, scale=None, keep=None, mask_grad=False, to=identity,
    **scores,
):  # fmt: skip
    H, KV = q.shape[1], k.shape[1]
    K, V = shared_heads(k, H), shared_heads(v, H)
    p, _, seen, cap_slope = attention_probabilities(q, K, mask, causal, scale, to, **scores)
    keep = np.ones_like(p) if keep is None else keep.astype(p.dtype)
    y = to(seen_product(p * keep, V, seen))
    with np.errstate(all="ignore"):
        dp = to(np.where(seen, np.einsum("bhic,bhjc->bhij", dy, V), 0)) * keep
        ds = to(np.where(seen, p * (dp - (dy * y).sum(axis=-1, keepdims=True)), 0))
        inner = to(np.where(seen, ds * cap_slope, 0))
    factor = s_type(q, scale)
    dq = seen_product(inner, K, seen) * factor
    by_key = seen.swapaxes(-1, -2)
    dk = seen_product(inner.swapaxes(-1, -2), q, by_key) * factor
    dv = seen_product(to(p * keep).swapaxes(-1, -2), dy, by_key)
    grads = [to(dq), *(to(group_sum(x, KV)) for x in (dk, dv))]
    if mask_grad:
        grads.append(to(unbroadcast(ds, mask.shape)))
    return tuple(grads)


def group_sum(x, KV):
    B, H, L, D = x.shape
    return x.reshape(B, KV, H // KV if KV else 1, L, D).sum(axis=2)


def unbroadcast(x, shape):
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    return x.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


# --- rotary embedding -----------------------------------------------------------------------------


def rotary_embedding(x, positions, cos, sin, *, interleaved=False, to=identity):
    R = 2 * cos.shape[1]
    pairs = x[..., :R].reshape(*x.shape[:-1], *((R // 2, 2) if interleaved else (2, R // 2)))
    axis = -1 if interleaved else -2
    a, b = np.take(pairs, 0, axis), np.take(pairs, 1, axis)
    c, s = cos[positions][..., None, :], sin[positions][..., None, :]
    turned = np.stack([a * c - b * s, b * c + a * s], axis).reshape(*x.shape[:-1], R)
    return to(np.concatenate([turned, x[..., R:]], -1))


def rotary_embedding_backward(dy, positions, cos, sin, *, interleaved=False, to=identity):
    return rotary_embedding(dy, positions, cos, -sin, interleaved=interleaved, to=to)


# --- softmax -------------------------------------------------------------------------------------


def softmax(x, axis=-1, *, to=identity):
    e = to(np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf)))
    return to(e / e.sum(axis=axis, keepdims=True))


def log_softmax(x, axis=-1, *, to=identity):
    shifted = to(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return to(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def softmax_backward(dy, y, axis=-1, *, to=identity):
    return to(y * to(dy - (dy * y).sum(axis=axis, keepdims=True)))


def log_softmax_backward(dy, y, axis=-1, *, to=identity):
    return to(dy - to(np.exp(y) * dy.sum(axis=axis, keepdims=True)))

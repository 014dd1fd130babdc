"""float64 references, straight from the formulas: one function an operation and direction.

Each computes in the dtype of its inputs and passes every array between two formulas through
`to` (see tests/accuracy.py).
"""

from __future__ import annotations

import numpy as np


def identity(a):
    return a


# --- add -----------------------------------------------------------------------------------------


def add(a, b, *, to=identity):
    return to(a + b)


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

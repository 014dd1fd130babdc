"""NumPy: its BLAS for products, its ufuncs in place for the rest, as a careful user writes them.

Where NumPy has no fused form, the plain formula stands here without needless temporaries.
bfloat16 is left out: NumPy computes it number by number.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..case import Case
from ..cases import attention as attention_case
from ..cases import dropout as dropout_case
from ..cases import norm as norm_case
from ..cases import optimizer as optimizer_case
from ..cases import rotary as rotary_case
from . import Call, Ways, instructions

WAYS = Ways("float32")


def describe() -> dict[str, Any]:
    """Version and BLAS."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "instructions": instructions.of_numpy(),
    }


def set_threads(threads: int) -> None:
    """Checks the environment that the BLAS has read when it was loaded."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(threads):
        raise RuntimeError("OPENBLAS_NUM_THREADS must be set before NumPy is imported")


# ---- products ------------------------------------------------------------------------------------


@WAYS("gemm", "nn", "nt", "tn")
def gemm(case: Case, a: Any, b: Any) -> Call:
    a = a.T if case.variant == "tn" else a
    b = b.T if case.variant == "nt" else b
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    return lambda: np.matmul(a, b, out=out)


@WAYS("linear", "forward", "packed")
def linear(x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    out = np.empty_like(grad_output)

    def call() -> Any:
        np.matmul(x, weight.T, out=out)
        return np.add(out, bias, out=out)

    return call


@WAYS("linear", "backward")
def linear_backward(x: Any, weight: Any, grad_output: Any) -> Call:
    return lambda: (grad_output @ weight, grad_output.T @ x, grad_output.sum(axis=0))


# ---- attention -----------------------------------------------------------------------------------


@WAYS("attention")
def attention(case: Case, query: Any, key: Any, value: Any) -> Call:
    groups = case["H"] // attention_case.kv_heads(case)
    mask = np.triu(np.full((case["L"],) * 2, -np.inf, np.float32), 1) if case["causal"] else None
    out, scale = np.empty_like(query), np.float32(case["D"] ** -0.5)

    def call() -> Any:
        for b, h in np.ndindex(query.shape[:2]):  # head by head: the scores stay in cache
            scores = (query[b, h] * scale) @ key[b, h // groups].T
            if mask is not None:
                scores += mask
            np.matmul(_softmax_in_place(scores), value[b, h // groups], out=out[b, h])
        return out

    return call


# ---- rows ----------------------------------------------------------------------------------------


def _softmax_in_place(x: Any) -> Any:
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


@WAYS("softmax")
def softmax(x: Any) -> Call:
    out = np.empty_like(x)

    def call() -> Any:
        np.subtract(x, x.max(axis=-1, keepdims=True), out=out)
        np.exp(out, out=out)
        return np.divide(out, out.sum(axis=-1, keepdims=True), out=out)

    return call


@WAYS("softmax", "backward")
def softmax_backward(x: Any, grad_output: Any) -> Call:
    y, out = _softmax_in_place(x.copy()), np.empty_like(x)

    def call() -> Any:
        dots = np.einsum("nc,nc->n", grad_output, y)[:, None]
        np.subtract(grad_output, dots, out=out)
        return np.multiply(out, y, out=out)

    return call


@WAYS("norm", "layer_norm", "rms_norm")
def norm(case: Case, x: Any, weight: Any, bias: Any) -> Call:
    out, centered = np.empty_like(x), case.variant == "layer_norm"

    def call() -> Any:
        mean = x.mean(axis=-1, keepdims=True) if centered else np.float32(0)
        np.subtract(x, mean, out=out)
        squares = np.einsum("nc,nc->n", out, out)[:, None]
        np.multiply(out, 1 / np.sqrt(squares / x.shape[-1] + norm_case.EPS), out=out)
        np.multiply(out, weight, out=out)
        return np.add(out, bias, out=out) if centered else out

    return call


# ---- elementwise ---------------------------------------------------------------------------------


@WAYS("activation", "gelu_tanh")
def gelu_tanh(x: Any) -> Call:
    scale, out = np.float32(np.sqrt(2 / np.pi)), np.empty_like(x)

    def call() -> Any:
        np.multiply(x, x, out=out)
        np.multiply(out, np.float32(0.044715), out=out)
        np.add(out, 1, out=out)
        np.multiply(out, x, out=out)
        np.tanh(np.multiply(out, scale, out=out), out=out)
        np.multiply(np.add(out, 1, out=out), x, out=out)
        return np.multiply(out, np.float32(0.5), out=out)

    return call


@WAYS("activation", "silu")
def silu(x: Any) -> Call:
    out = np.empty_like(x)

    def call() -> Any:
        np.exp(np.negative(x, out=out), out=out)
        return np.divide(x, np.add(out, 1, out=out), out=out)

    return call


@WAYS("activation", "relu")
def relu(x: Any) -> Call:
    out = np.empty_like(x)
    return lambda: np.maximum(x, 0, out=out)


@WAYS("add")
def add(x: Any, residual: Any) -> Call:
    return lambda: np.add(x, residual)


@WAYS("add", name="out")
def add_out(x: Any, residual: Any) -> Call:
    out = np.empty_like(x)
    return lambda: np.add(x, residual, out=out)


@WAYS("dropout")
def dropout(x: Any) -> Call:
    rng, out = np.random.default_rng(0), np.empty_like(x)
    scale = np.float32(1 / (1 - dropout_case.P))

    def call() -> Any:
        np.multiply(x, scale, out=out)
        out[rng.random(x.shape, np.float32) < dropout_case.P] = 0
        return out

    return call


# ---- loss, table, optimizer ----------------------------------------------------------------------


@WAYS("cross_entropy")
def cross_entropy(logits: Any, target: Any) -> Call:
    rows, work = np.arange(len(target)), np.empty_like(logits)

    def call() -> Any:
        peaks = logits.max(axis=-1, keepdims=True)
        np.exp(np.subtract(logits, peaks, out=work), out=work)
        log_sums = np.log(work.sum(axis=-1)) + peaks[:, 0]
        return (log_sums - logits[rows, target]).mean()

    return call


@WAYS("embedding")
def embedding(weight: Any, ids: Any, grad_output: Any) -> Call:
    out = np.empty_like(grad_output)
    return lambda: np.take(weight, ids, axis=0, out=out, mode="clip")


@WAYS("rotary", "half_split", "interleaved")
def rotary(case: Case, x: Any, positions: Any, angles: Any) -> Call:
    angles = rotary_case.in_float32(angles)[positions][:, None]
    cos, sin = np.cos(angles), np.sin(angles)
    half = x.shape[-1] // 2
    first, second = slice(half), slice(half, None)
    if case.variant == "interleaved":
        first, second = slice(0, None, 2), slice(1, None, 2)
    out, work = np.empty_like(x), np.empty_like(x[..., first])

    def call() -> Any:
        for own, other, combine in ((first, second, np.subtract), (second, first, np.add)):
            np.multiply(x[..., own], cos, out=out[..., own])
            np.multiply(x[..., other], sin, out=work)
            combine(out[..., own], work, out=out[..., own])
        return out

    return call


@WAYS("optimizer", "adamw")
def adamw(params: Any, grads: Any) -> Call:
    params = [p.copy() for p in params]
    first, second = ([np.zeros_like(p) for p in params] for _ in range(2))
    (beta1, beta2), state = optimizer_case.BETAS, {"step": 0}

    def call() -> Any:
        state["step"] += 1
        size = optimizer_case.LR / (1 - beta1 ** state["step"])
        root = np.sqrt(1 - beta2 ** state["step"])
        for p, g, m, v in zip(params, grads, first, second):
            p *= 1 - optimizer_case.LR * optimizer_case.WEIGHT_DECAY
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            p -= size * m / (np.sqrt(v) / root + optimizer_case.EPS)
        return params

    return call


@WAYS("optimizer", "norm")
def gradient_norm(grads: Any) -> Call:
    return lambda: np.sqrt(sum(np.vdot(g, g) for g in grads))

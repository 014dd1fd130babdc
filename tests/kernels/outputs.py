"""Every public kernel that writes to an array of its caller: what it writes and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from plainformer import kernels

B, L, H, D = 2, 3, 2, 4


class Writer(NamedTuple):
    """A call with its arrays by the names that errors give them."""

    run: Callable[[dict[str, Any]], Any]
    outputs: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]


def writers(rng: np.random.Generator, dtype: np.dtype) -> Iterator[tuple[str, Writer]]:
    def make(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    def sums(*shape: int) -> np.ndarray:
        acc = np.float64 if dtype == np.float64 else np.float32
        return np.abs(rng.standard_normal(shape)).astype(acc)

    yield from _elementwise(make, sums)
    yield from _rows(make, rng)
    yield from _attention(make, sums)
    yield from _steps(make, sums)


def _elementwise(make, sums):
    for name in ("relu", "gelu", "silu", "tanh", "softmax", "log_softmax"):
        kernel = getattr(kernels, name)
        yield (
            name,
            Writer(
                lambda a, k=kernel: k(a["x"], out=a["out"]), {"out": make(4, 8)}, {"x": make(4, 8)}
            ),
        )
    yield (
        "accumulate",
        Writer(
            lambda a: kernels.accumulate(a["out"], a["x"]), {"out": sums(4, 8)}, {"x": make(4, 8)}
        ),
    )


def _rows(make, rng):
    norm = {"x": make(4, 8), "weight": make(8), "bias": make(8), "residual": make(4, 8)}
    yield (
        "layer_norm",
        Writer(
            lambda a: kernels.layer_norm(
                a["x"], 8, a["weight"], a["bias"], residual=a["residual"], out=a["out"]
            ),
            {"out": make(4, 8)},
            norm,
        ),
    )
    yield (
        "rms_norm",
        Writer(
            lambda a: kernels.rms_norm(
                a["x"], 8, a["weight"], residual=a["residual"], out=a["out"]
            ),
            {"out": make(4, 8)},
            {name: norm[name] for name in ("x", "weight", "residual")},
        ),
    )
    yield (
        "matmul",
        Writer(
            lambda a: kernels.matmul(a["a"], a["b"], out=a["out"]),
            {"out": make(4, 8)},
            {"a": make(4, 5), "b": make(5, 8)},
        ),
    )
    yield (
        "embedding_backward",
        Writer(
            lambda a: kernels.embedding_backward(
                a["grad_output"], a["input_ids"], 8, out=a["out"], accumulate=True
            ),
            {"out": make(8, 4)},
            {"grad_output": make(6, 4), "input_ids": rng.integers(0, 8, 6)},
        ),
    )


def _attention(make, sums):
    qkv = {name: make(B, L, H, D) for name in "qkv"}
    bias = {"attn_bias": make(B, H, L, L), "alibi_slopes": np.ones((B, H), np.float32)}

    def options(a):
        return {"attn_bias": a["attn_bias"], "alibi_slopes": a["alibi_slopes"]}

    yield (
        "flash_attn_func",
        Writer(
            lambda a: kernels.flash_attn_func(a["q"], a["k"], a["v"], out=a["out"], **options(a)),
            {"out": make(B, L, H, D)},
            qkv | bias,
        ),
    )
    names = {"query": "q", "key": "k", "value": "v"}
    dense = {name: qkv[short] for name, short in names.items()}
    mask = {"attn_mask": bias["attn_bias"]}
    yield (
        "scaled_dot_product_attention",
        Writer(
            lambda a: kernels.scaled_dot_product_attention(
                a["query"], a["key"], a["value"], a["attn_mask"], layout="blhd", out=a["out"]
            ),
            {"out": make(B, L, H, D)},
            dense | mask,
        ),
    )
    grads = {f"out[{i}]": make(B, L, H, D) for i in range(3)}
    saved = {"grad_output": make(B, L, H, D), "output": make(B, L, H, D), "lse": sums(B, H, L)}
    three = ("out[0]", "out[1]", "out[2]")
    yield (
        "flash_attn_backward",
        Writer(
            lambda a: kernels.flash_attn_backward(
                *(a[n] for n in ("grad_output", "q", "k", "v", "output", "lse")),
                out=tuple(a[n] for n in three),
                **options(a),
            ),
            grads,
            saved | qkv | bias,
        ),
    )
    yield (
        "scaled_dot_product_attention_backward",
        Writer(
            lambda a: kernels.scaled_dot_product_attention_backward(
                *(a[n] for n in ("grad_output", "query", "key", "value", "output", "lse")),
                a["attn_mask"],
                layout="blhd",
                out=tuple(a[n] for n in three),
            ),
            grads,
            saved | dense | mask,
        ),
    )
    yield from _packed_attention(make, sums)
    yield from _cached_attention(make)


def _packed_attention(make, sums):
    rows = B * L
    starts = {f"cu_seqlens_{side}": np.array([0, 2, rows], np.int32) for side in "qk"}
    qkv = {name: make(rows, H, D) for name in "qkv"}
    order = ("cu_seqlens_q", "cu_seqlens_k")
    yield (
        "flash_attn_varlen_func",
        Writer(
            lambda a: kernels.flash_attn_varlen_func(
                *(a[n] for n in ("q", "k", "v", *order)), rows, rows, out=a["out"]
            ),
            {"out": make(rows, H, D)},
            qkv | starts,
        ),
    )
    saved = {"grad_output": make(rows, H, D), "output": make(rows, H, D), "lse": sums(H, rows)}
    yield (
        "flash_attn_varlen_backward",
        Writer(
            lambda a: kernels.flash_attn_varlen_backward(
                *(a[n] for n in ("grad_output", "q", "k", "v", "output", "lse", *order)),
                rows,
                rows,
                out=(a["out[0]"], a["out[1]"], a["out[2]"]),
            ),
            {f"out[{i}]": make(rows, H, D) for i in range(3)},
            saved | qkv | starts,
        ),
    )


def _cached_attention(make):
    cache = {name: make(B, 8, H, D) for name in ("k_cache", "v_cache")}
    new = {name: make(B, 1, H, D) for name in "qkv"}
    rest = {
        "cache_seqlens": np.array([2, 5], np.int32),
        "attn_bias": make(B, H, 1, 8),
        "alibi_slopes": np.ones((B, H), np.float32),
    }
    yield (
        "flash_attn_with_kvcache",
        Writer(
            lambda a: kernels.flash_attn_with_kvcache(
                *(a[n] for n in ("q", "k_cache", "v_cache", "k", "v")),
                **{name: a[name] for name in rest},
            ),
            cache,
            new | rest,
        ),
    )


def _steps(make, sums):
    def two(name, array):
        return {f"{name}[{i}]": array(16) for i in range(2)}

    def lists(a, *names):
        return [[a[f"{name}[{i}]"] for i in range(2)] for name in names]

    state = two("params", make) | two("masters", sums)
    yield (
        "adamw_step",
        Writer(
            lambda a: kernels.adamw_step(
                *lists(a, "params", "grads", "exp_avgs", "exp_avg_sqs"),
                step=1,
                lr=0.1,
                masters=lists(a, "masters")[0],
            ),
            state | two("exp_avgs", sums) | two("exp_avg_sqs", sums),
            two("grads", make),
        ),
    )
    yield (
        "sgd_step",
        Writer(
            lambda a: kernels.sgd_step(
                *lists(a, "params", "grads", "momentum_buffers"),
                lr=0.1,
                momentum=0.9,
                masters=lists(a, "masters")[0],
            ),
            state | two("momentum_buffers", sums),
            two("grads", make),
        ),
    )

"""Every public kernel with arguments drawn at random: one table, for whatever holds of all of them.

`CALLS[name](rng, dtype)` draws sizes and options and returns a function without arguments that
calls the kernel, any number of times and on any thread, and returns its arrays. Sizes are such that
loops have from one chunk to dozens: tasks of 16384 elements, products of 4 MFLOP, heads of 2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plainformer import kernels
from tests.kernels.flash_cases import Packed

Call = Callable[[], tuple]
CALLS: dict[str, Callable[[np.random.Generator, np.dtype], Call]] = {}


def table(*names):
    """Enter a function (name, rng, dtype) -> Call for these kernels."""

    def enter(draw):
        CALLS.update({n: lambda rng, dtype, n=n: draw(n, rng, dtype) for n in names})
        return draw

    return enter


def drawn_call(name: str, seed: int, dtypes) -> tuple[Call, str]:
    """Draw number `seed` of a kernel, and the dtype it drew."""
    rng = np.random.default_rng([seed, *name.encode()])
    dtype = dtypes[rng.integers(len(dtypes))]
    return CALLS[name](rng, dtype), dtype.name


# ---- sizes and arrays ---------------------------------------------------------------------------


def size(rng, most, least=1):
    """A whole number in [least, most], small ones as often as large ones."""
    return int(np.exp(rng.uniform(np.log(least), np.log(most + 1))))


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def accumulator(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def some(rng, array):
    """The array, or None as often."""
    return array if rng.random() < 0.5 else None


def rows_and_columns(rng):
    """A matrix of at most 200,000 elements: few long rows to many short ones."""
    columns = size(rng, 20_000)
    return size(rng, max(1, 200_000 // columns)), columns


def frozen(function, *arguments, **options) -> Call:
    """Call a function of arrays; a tuple of what is an array in its result."""

    def call():
        result = function(*arguments, **options)
        results = result if isinstance(result, tuple) else (result,)
        return tuple(np.asarray(r) for r in results if r is not None)

    return call


# ---- elementwise and rows -----------------------------------------------------------------------


@table("relu", "silu", "tanh", "gelu", "relu_backward", "silu_backward", "tanh_backward",
       "gelu_backward", "geglu", "swiglu", "geglu_backward", "swiglu_backward")  # fmt: skip
def activation(name, rng, dtype):
    shape = rows_and_columns(rng)
    gated, backward = "glu" in name, name.endswith("backward")
    arrays = [normal(rng, dtype, *shape) for _ in range(1 + gated + backward)]
    formula = {"approximate": str(rng.choice(["none", "tanh"]))} if "gelu" in name else {}
    return frozen(getattr(kernels, name), *arrays, **formula)


@table("add", "dropout", "dropout_backward")
def elementwise(name, rng, dtype):
    x, y = (normal(rng, dtype, *rows_and_columns(rng)) for _ in range(2))
    if name == "add":
        return frozen(kernels.add, x, x[::-1])
    return frozen(getattr(kernels, name), y, float(rng.random()), seed=7, offset=3)


@table("accumulate")
def accumulate(name, rng, dtype):
    shape = rows_and_columns(rng)
    start, x = normal(rng, accumulator(dtype), *shape), normal(rng, dtype, *shape)

    def call():
        out = start.copy()
        kernels.accumulate(out, x)
        return (out,)

    return call


@table("softmax", "log_softmax", "softmax_backward", "log_softmax_backward")
def softmax(name, rng, dtype):
    x = normal(rng, dtype, size(rng, 3), *rows_and_columns(rng))
    axis = int(rng.integers(-3, 3))
    forward = getattr(kernels, name.removesuffix("_backward"))
    if forward.__name__ == name:
        return frozen(forward, x, axis)
    return frozen(getattr(kernels, name), normal(rng, dtype, *x.shape), forward(x, axis), axis)


@table("layer_norm", "rms_norm", "layer_norm_backward", "rms_norm_backward")
def norm(name, rng, dtype):
    shape = rows_and_columns(rng)
    x, residual, grad = (normal(rng, dtype, *shape) for _ in range(3))
    scale = accumulator(dtype) if rng.random() < 0.5 else dtype
    weight, bias = normal(rng, scale, shape[1]), normal(rng, scale, shape[1])
    terms = (weight, bias) if name.startswith("layer") else (weight,)
    forward = getattr(kernels, name.removesuffix("_backward"))
    options = {"return_stats": True}
    added = some(rng, residual)
    drop = {"dropout_p": float(rng.choice([0, 0.3])) if added is not None else 0.0, "seed": 7}
    if forward.__name__ == name:
        return frozen(forward, x, shape[1], *terms, residual=added, **drop, **options)
    stats = forward(x, shape[1], *terms, **options)[1:]
    options = {"grad_residual": added, **drop}
    return frozen(getattr(kernels, name), grad, x, weight, *stats, *terms[1:], **options)


@table("topk")
def topk(name, rng, dtype):
    shape = rows_and_columns(rng)
    return frozen(kernels.topk, normal(rng, dtype, *shape), size(rng, shape[1]))


@table("rotary_embedding", "rotary_embedding_backward")
def rotary(name, rng, dtype):
    heads, width = size(rng, 16), 2 * size(rng, 64)
    rows = size(rng, max(1, 200_000 // (heads * width)))
    angles = rng.standard_normal((50, size(rng, width // 2)))
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    x, places = normal(rng, dtype, rows, heads, width), rng.integers(0, 50, rows)
    return frozen(getattr(kernels, name), x, places, cos, sin, interleaved=rng.random() < 0.5)


@table("embedding", "embedding_backward")
def embedding(name, rng, dtype):
    V, C = rows_and_columns(rng)
    ids = rng.integers(0, V, size(rng, max(1, 300_000 // C)))
    if name == "embedding":
        return frozen(kernels.embedding, ids, normal(rng, dtype, V, C))
    return frozen(kernels.embedding_backward, normal(rng, dtype, len(ids), C), ids, V)


@table("cross_entropy", "cross_entropy_backward")
def cross_entropy(name, rng, dtype):
    N, V = rows_and_columns(rng)
    x, target = normal(rng, dtype, N, V), rng.integers(0, V, N)
    target[rng.random(N) < 0.2] = -100
    weight = some(rng, rng.random(V).astype(accumulator(dtype)))
    options = {"reduction": str(rng.choice(["none", "mean", "sum"])),
               "label_smoothing": float(rng.choice([0.0, 0.1]))}  # fmt: skip
    if name == "cross_entropy":
        return frozen(kernels.cross_entropy, x, target, weight, **options, return_lse=True)
    loss, lse = kernels.cross_entropy(x, target, weight, **options, return_lse=True)
    grad = np.ones_like(loss)
    return frozen(kernels.cross_entropy_backward, grad, x, target, lse, weight, **options)


# ---- products -----------------------------------------------------------------------------------


def product_sizes(rng, most=40_000_000):
    """M, N, K: about as often few rows as many, up to so many multiplications."""
    M, N = size(rng, 400), size(rng, 1000)
    return M, N, size(rng, max(1, min(2200, most // (M * N))))


@table("matmul", "matmul_backward")
def matmul(name, rng, dtype):
    M, N, K = product_sizes(rng, 10_000_000)
    batch = size(rng, max(1, min(70, 20_000_000 // (M * N * K))))
    a = normal(rng, dtype, batch, M, K)
    b = normal(rng, dtype, 1 if rng.random() < 0.3 else batch, K, N)
    grad = normal(rng, dtype, batch, M, N)
    turned = bool(rng.integers(2))
    options = {"transpose_b": turned}
    if turned:
        b = np.ascontiguousarray(b.swapaxes(1, 2))
    if name == "matmul":
        return frozen(kernels.matmul, a, b, **options)
    return frozen(kernels.matmul_backward, grad, a, b, **options)


@table("linear", "linear_backward", "pack_weight")
def linear(name, rng, dtype):
    M, N, K = product_sizes(rng)
    x, weight, bias = normal(rng, dtype, M, K), normal(rng, dtype, N, K), normal(rng, dtype, N)
    act = [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"][rng.integers(6)]
    options = {"activation": act}
    bias = some(rng, bias)
    if name == "pack_weight":
        weight = np.array(weight, order=str(rng.choice(["C", "F"])))
        return frozen(lambda: kernels.linear(x, kernels.pack_weight(weight), bias, **options))
    if name == "linear":
        if rng.random() < 0.5:
            options |= {"residual": normal(rng, dtype, M, N), "dropout_p": 0.2, "seed": 1}
        return frozen(kernels.linear, x, weight, bias, **options, return_preactivation=True)
    z = kernels.linear(x, weight, bias) if act else None
    return frozen(kernels.linear_backward, normal(rng, dtype, M, N), x, weight, bias, z, **options)


@table("linear_int8", "pack_int8", "quantize_weight", "dequantize_weight")
def linear_int8(name, rng, dtype):
    M, N, K = product_sizes(rng)
    if dtype == np.float64 and name in ("linear_int8", "pack_int8"):
        dtype = np.dtype(np.float32)
    weight = normal(rng, dtype, N, K)
    group = [None, 4, 32][rng.integers(3)]
    values, scale = kernels.quantize_weight(weight, group)
    if name == "quantize_weight":
        return frozen(kernels.quantize_weight, weight, group)
    if name == "dequantize_weight":
        return frozen(kernels.dequantize_weight, values, scale, group)
    x, bias = normal(rng, dtype, M, K), some(rng, normal(rng, dtype, N))
    dynamic = bool(rng.integers(2))
    if name == "pack_int8":
        return frozen(lambda: kernels.linear_int8(x, kernels.pack_int8(values, scale, group)))
    packed = kernels.pack_int8(values, scale, group)
    return frozen(kernels.linear_int8, x, packed, bias, dynamic=dynamic)


@table("fused_linear_cross_entropy")
def fused_linear_cross_entropy(name, rng, dtype):
    N, V, C = product_sizes(rng, 20_000_000)
    x, weight, bias = normal(rng, dtype, N, C), normal(rng, dtype, V, C), normal(rng, dtype, V)
    target = rng.integers(0, V, N)
    target[rng.random(N) < 0.2] = -100
    options = {"label_smoothing": float(rng.choice([0.0, 0.1])), "return_grads": True}
    bias = some(rng, bias)

    def call():
        loss, grads = kernels.fused_linear_cross_entropy(x, weight, target, bias, **options)
        return (loss, *grads[: 2 if bias is None else 3])

    return call


# ---- optimizer ----------------------------------------------------------------------------------


@table("adamw_step", "sgd_step", "clip_grad_norm")
def optimizer(name, rng, dtype):
    acc = accumulator(dtype)
    shapes = [rows_and_columns(rng) for _ in range(size(rng, 6))]
    before = [[normal(rng, d, *s) for s in shapes] for d in (dtype, dtype, acc, acc)]
    for array in before[3]:
        np.abs(array, out=array)

    def call():
        params, grads, *state = ([a.copy() for a in arrays] for arrays in before)
        if name == "adamw_step":
            kernels.adamw_step(params, grads, *state, step=3, lr=1e-2)
        elif name == "sgd_step":
            kernels.sgd_step(params, grads, state[0], lr=1e-2, momentum=0.9)
        else:
            return tuple(map(np.float64, kernels.clip_grad_norm(grads, 1.0)))
        return (*params, *state[0], *state[1])

    return call


# ---- attention ----------------------------------------------------------------------------------

# Multiplications of one forward; a backward takes five times as long.
MOST_WORK = 60_000_000


def lengths_within(rng, work, most=1000):
    """Lengths of sequences for `work` pairs of query and key: any, or short ones beside long."""
    longest = min(most, int(np.sqrt(max(1, work))))
    if rng.random() < 0.4:
        return [longest, *(rng.uniform(0.2, 0.8, size(rng, 3)) * longest).astype(int).tolist()]
    lengths = []
    for _ in range(size(rng, 6)):
        lengths.append(size(rng, longest) if rng.random() < 0.5 else int(rng.integers(longest + 1)))
        longest = min(most, int(np.sqrt(max(1, work - sum(n * n for n in lengths)))))
    return lengths


def heads(rng):
    """Query heads, key heads and their widths."""
    KV = size(rng, 3)
    return KV * size(rng, 8), KV, size(rng, 80), size(rng, 80)


def attention_options(rng, batch, H):
    """Options of the flash functions that need no array of the lengths' size."""
    options = {"causal": bool(rng.integers(2))}
    if rng.random() < 0.3:
        options["window_size"] = tuple(int(n) for n in rng.integers(-1, 200, 2))
    if rng.random() < 0.3:
        options["softcap"] = 3.0
    if rng.random() < 0.3:
        options["alibi_slopes"] = rng.random((batch, H)).astype(np.float32)
    return options


def dropped(rng):
    """Dropout, sometimes."""
    return {"dropout_p": 0.2, "seed": 5, "offset": 9} if rng.random() < 0.3 else {}


def packed_sequences(rng, dtype):
    """Packed sequences, equally long on both sides or not, and options."""
    H, KV, D, Dv = heads(rng)
    n = lengths_within(rng, MOST_WORK // (H * (D + Dv)))
    pairs = [(m, m if rng.random() < 0.7 else int(rng.integers(m + 1))) for m in n]
    packed = Packed(rng, dtype, (pairs, H, KV, D, Dv))
    return packed, attention_options(rng, len(n), H)


@table("flash_attn_varlen_func", "flash_attn_varlen_backward")
def varlen(name, rng, dtype):
    packed, options = packed_sequences(rng, dtype)
    options |= dropped(rng)
    if rng.random() < 0.3:
        options["attn_bias"] = normal(rng, dtype, 1, packed.H, *packed.longest)
    forward = frozen(packed.forward, **options, return_lse=True)
    if name == "flash_attn_varlen_func":
        return forward
    arrays = (packed.grad, packed.q, packed.k, packed.v, *forward(), *packed.sequences)
    options["bias_grad"] = "attn_bias" in options
    return frozen(kernels.flash_attn_varlen_backward, *arrays, **options)


def dense_arrays(rng, dtype):
    """q, k, v (B, L, H, D) and grad_output; more often few sequences than many."""
    H, KV, D, _ = heads(rng)
    B = size(rng, 6)
    n = int(rng.integers(1, 1 + min(1000, int(np.sqrt(MOST_WORK / (B * H * 2 * D))))))
    q, grad = (normal(rng, dtype, B, n, H, D) for _ in range(2))
    k, v = (normal(rng, dtype, B, n, KV, D) for _ in range(2))
    return q, k, v, grad


@table("flash_attn_func", "flash_attn_backward")
def flash(name, rng, dtype):
    q, k, v, grad = dense_arrays(rng, dtype)
    options = attention_options(rng, *q.shape[::2]) | dropped(rng)
    forward = frozen(kernels.flash_attn_func, q, k, v, **options, return_lse=True)
    if name == "flash_attn_func":
        return forward
    return frozen(kernels.flash_attn_backward, grad, q, k, v, *forward(), **options)


@table("scaled_dot_product_attention", "scaled_dot_product_attention_backward")
def sdpa(name, rng, dtype):
    q, k, v, grad = dense_arrays(rng, dtype)
    options = {"is_causal": bool(rng.integers(2)), "enable_gqa": True, "layout": "blhd"}
    options |= dropped(rng)
    n = q.shape[1]
    broadcast = (1 if rng.random() < 0.5 else size for size in (q.shape[0], q.shape[2], n))
    mask = some(rng, normal(rng, dtype, *broadcast, n))
    forward = frozen(
        kernels.scaled_dot_product_attention, q, k, v, mask, **options, return_lse=True
    )
    if name == "scaled_dot_product_attention":
        return forward
    options["mask_grad"] = mask is not None
    arrays = (grad, q, k, v, *forward(), mask)
    return frozen(kernels.scaled_dot_product_attention_backward, *arrays, **options)


@table("flash_attn_qkvpacked_func", "flash_attn_qkvpacked_backward")
def qkvpacked(name, rng, dtype):
    q, _, _, grad = dense_arrays(rng, dtype)
    qkv = normal(rng, dtype, *q.shape[:2], 3, *q.shape[2:])
    options = {"causal": bool(rng.integers(2))}
    forward = frozen(kernels.flash_attn_qkvpacked_func, qkv, **options, return_lse=True)
    if name == "flash_attn_qkvpacked_func":
        return forward
    return frozen(kernels.flash_attn_qkvpacked_backward, grad, qkv, *forward(), **options)


@table("flash_attn_varlen_qkvpacked_func", "flash_attn_varlen_qkvpacked_backward")
def varlen_qkvpacked(name, rng, dtype):
    H, D = size(rng, 8), size(rng, 80)
    lengths = lengths_within(rng, MOST_WORK // (2 * H * D))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    qkv, grad = normal(rng, dtype, starts[-1], 3, H, D), normal(rng, dtype, starts[-1], H, D)
    sequences, options = (starts, max(lengths)), {"causal": bool(rng.integers(2))}
    forward = frozen(
        kernels.flash_attn_varlen_qkvpacked_func, qkv, *sequences, **options, return_lse=True
    )
    if name == "flash_attn_varlen_qkvpacked_func":
        return forward
    arrays = (grad, qkv, *forward(), *sequences)
    return frozen(kernels.flash_attn_varlen_qkvpacked_backward, *arrays, **options)


@table("flash_attn_with_kvcache")
def kvcache(name, rng, dtype):
    H, KV, D, Dv = heads(rng)
    lengths = np.array([size(rng, 1500) for _ in range(size(rng, 6))], np.int32)
    capacity, rows = int(lengths.max()) + 5, int(rng.integers(1, 6))
    q = normal(rng, dtype, len(lengths), rows, H, D)
    caches = [normal(rng, dtype, len(lengths), capacity, KV, width) for width in (D, Dv)]
    new = [normal(rng, dtype, len(lengths), rows, KV, width) for width in (D, Dv)]
    options = attention_options(rng, len(lengths), H) | {"cache_seqlens": lengths}
    appends = rng.random() < 0.5

    def call():
        k, v = (cache.copy() for cache in caches)
        y = kernels.flash_attn_with_kvcache(q, k, v, *(new if appends else ()), **options)
        return y, k, v

    return call

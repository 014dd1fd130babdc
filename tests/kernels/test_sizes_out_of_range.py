"""Numbers and axes beyond what any array has, and results beyond what memory holds."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError

HUGE = 1 << 40


def f(*shape):
    return np.ones(shape, np.float32)


def broadcast(*shape):
    return np.broadcast_to(np.float32(1), shape)


BAD_NUMBERS = {
    "axis: got 1099511627776, expected -8 to 7": lambda: kernels.softmax(f(2), 1 << 40),
    "x: got shape": lambda: kernels.layer_norm(f(2), 1 << 61),
    "normalized_shape: got 1606938044258990275541962092341162602522202993782792835301376, expected":
        lambda: kernels.layer_norm(f(2), 1 << 200),
    "ignore_index: got 1180591620717411303424, expected at most":
        lambda: kernels.cross_entropy(f(2, 3), np.zeros(2, int), ignore_index=1 << 70),
    "num_embeddings: got 1180591620717411303424, expected at most":
        lambda: kernels.embedding_backward(f(1, 2), np.zeros(1, int), 1 << 70),
    "max_seqlen_q: got 1180591620717411303424, expected at most":
        lambda: kernels.flash_attn_varlen_qkvpacked_func(
            f(2, 3, 1, 4), np.array([0, 2], np.int32), 1 << 70
        ),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_NUMBERS)
def test_a_number_of_more_than_64_bits_is_named(message):
    with pytest.raises((ShapeError, ConfigError, DTypeError)) as error:
        BAD_NUMBERS[message]()
    assert message in str(error.value)


def test_nine_axes_are_named():
    nine = f(*(1,) * 9)
    for call in (
        lambda: kernels.add(nine, nine),
        lambda: kernels.relu(nine),
        lambda: kernels.softmax(nine),
        lambda: kernels.layer_norm(nine, 1),
        lambda: kernels.linear(nine, f(1, 1)),
        lambda: kernels.matmul(nine, nine),
        lambda: kernels.dropout(nine, 0.5, 0, 0),
        lambda: kernels.clip_grad_norm([nine], 1.0),
        lambda: kernels.accumulate(nine, nine),
        lambda: kernels.sgd_step([nine], [nine], lr=0.1),
    ):
        with pytest.raises(ShapeError, match="got 9 axes, expected at most 8"):
            call()
    with pytest.raises(ShapeError, match="input_ids: got 8 axes, expected at most 7"):
        kernels.embedding(np.zeros((1,) * 8, int), f(2, 2))


def test_an_unaligned_array_that_is_not_copied_is_named():
    off = np.zeros(17, np.uint8)[1:].view(np.float32)
    x = f(4)
    for call in (
        lambda: kernels.accumulate(off, x),
        lambda: kernels.relu(x, out=off),
        lambda: kernels.sgd_step([off], [x], lr=0.1),
        lambda: kernels.sgd_step([x], [off], lr=0.1),
        lambda: kernels.adamw_step([x], [off], [f(4)], [f(4)], step=1, lr=0.1),
    ):
        with pytest.raises(ShapeError, match="got an unaligned array, expected an aligned one"):
            call()
    assert not off.any()


TOO_LARGE = {
    "matmul": lambda: kernels.matmul(broadcast(1 << 31, 1), broadcast(1, 1 << 31)),
    "batch": lambda: kernels.matmul(broadcast(HUGE, 1, 3, 1), broadcast(1, HUGE, 1, 3)),
    "linear": lambda: kernels.linear(broadcast(1 << 32, 1), broadcast(1 << 30, 1)),
    "pack_weight": lambda: kernels.pack_weight(broadcast(1, 1 << 58)),
    "embedding_backward": lambda: kernels.embedding_backward(f(1, 8), np.zeros(1, int), 1 << 61),
    "linear_cross_entropy": lambda: kernels.fused_linear_cross_entropy(
        f(1, 1), broadcast(1 << 60, 1), np.zeros(1, int), return_grads=True
    ),
    "attention": lambda: kernels.flash_attn_func(
        broadcast(HUGE, 1, 1 << 18, 1),
        broadcast(HUGE, 1, 1, 1),
        np.broadcast_to(f(256), (HUGE, 1, 1, 256)),
    ),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_result_beyond_memory_is_a_memory_error(name):
    """Also one whose bytes 64 bits do not count: that was a small block and a write behind it."""
    with pytest.raises(MemoryError, match="cannot allocate"):
        TOO_LARGE[name]()


NOTHING = {
    "softmax": lambda: kernels.softmax(f(HUGE, 0)),
    "softmax of axis 0": lambda: kernels.softmax(f(HUGE, 0), 0),
    "softmax_backward": lambda: kernels.softmax_backward(f(HUGE, 0), f(HUGE, 0)),
    "layer_norm": lambda: kernels.layer_norm(f(HUGE, 0), 0),
    "swiglu": lambda: kernels.swiglu(f(HUGE, 0), f(HUGE, 0)),
    "swiglu_backward": lambda: kernels.swiglu_backward(f(HUGE, 0), f(HUGE, 0), f(HUGE, 0))[0],
    "dropout": lambda: kernels.dropout(f(HUGE, 0), 0.5, 0, 0),
    "matmul": lambda: kernels.matmul(f(HUGE, 0, 3), f(3, 2)),
    "linear": lambda: kernels.linear(f(HUGE, 0), f(0, 0)),
    "linear_backward": lambda: kernels.linear_backward(f(HUGE, 0), f(HUGE, 0), f(0, 0))[0],
    "rotary": lambda: kernels.rotary_embedding(
        f(1, HUGE, 0), np.zeros(1, int), f(2, 0), f(2, 0)
    ),
    "flash_attn_func": lambda: kernels.flash_attn_func(*[f(HUGE, 0, 1, 4)] * 3),
    "flash_attn_backward": lambda: kernels.flash_attn_backward(
        *[f(HUGE, 0, 1, 4)] * 5, f(HUGE, 1, 0)
    )[0],
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_ever_so_many_rows_of_nothing_take_no_time(name):
    assert NOTHING[name]().size == 0

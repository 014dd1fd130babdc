"""Kernels on arrays that end where memory ends: nothing beyond the last element is touched, and
where an array lies changes no byte."""

import numpy as np
import pytest

from plainformer import kernels
from tests.emulated import emulated, to_device
from tests.guarded import guarded
from tests.kernels.test_rotary import tables


def made(rng, dtype):
    """name: (kernel, its arrays), all of sizes that fill no chunk and no block."""
    normal = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    number = lambda limit, *shape: rng.integers(0, limit, shape)  # noqa: E731
    lse = rng.standard_normal(5).astype(np.float32) + 9
    logits, labels = normal(5, 1031), number(1031, 5)
    return {
        "softmax": (kernels.softmax, [normal(5, 1031)]),
        "softmax of a block": (kernels.softmax, [normal(3, 4099)]),
        "softmax, backward": (kernels.softmax_backward, [normal(5, 517), normal(5, 517)]),
        "softmax of columns": (lambda x: kernels.softmax(x, 1), [normal(2, 37, 11)]),
        "gelu": (kernels.gelu, [normal(2059)]),
        "gelu, backward": (kernels.gelu_backward, [normal(2059), normal(2059)]),
        "swiglu": (kernels.swiglu, [normal(7, 301), normal(7, 301)]),
        "swiglu, backward": (kernels.swiglu_backward, [normal(7, 301) for _ in range(3)]),
        "add": (kernels.add, [normal(2059), normal(2059)]),
        "dropout": (lambda x: kernels.dropout(x, 0.3, 7, 0), [normal(7, 301)]),
        "rotary": (kernels.rotary_embedding, [normal(7, 5, 22), number(50, 7), *tables(18)]),
        "embedding": (kernels.embedding, [number(6, 9), normal(6, 1043)]),
        "embedding, backward": (
            lambda dy, ids: kernels.embedding_backward(dy, ids, 3),
            [normal(300, 43), number(2, 300)],
        ),
        "cross entropy": (
            lambda x, t: kernels.cross_entropy(x, t, label_smoothing=0.1, return_lse=True),
            [logits, labels],
        ),
        "cross entropy, backward": (
            lambda x, t, lse: kernels.cross_entropy_backward(1.0, x, t, lse),
            [logits, labels, lse],
        ),
    }


CASES = list(made(np.random.default_rng(0), np.dtype("f4")))


@pytest.mark.parametrize("name", CASES)
def test_nothing_beyond_an_array_is_touched(dtype, rng, name):
    kernel, arrays = made(rng, dtype)[name]
    with emulated(80):
        results = [kernel(*map(place, arrays)) for place in (to_device, at_the_end)]
    plain, ours = ([a] if not isinstance(a, tuple) else a for a in results)
    assert [kernels.asnumpy(a).tobytes() for a in ours] == [
        kernels.asnumpy(a).tobytes() for a in plain
    ]


def at_the_end(array):
    placed = to_device(array)
    placed._hidden = guarded(array)
    return placed

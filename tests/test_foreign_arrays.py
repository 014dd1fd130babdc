"""Arrays that another library has on a GPU go to kernels as they are; results are CuPy's.

`Foreign` has what PyTorch's tensors and JAX's arrays have in common: a shape, a dtype of their own
and DLPack. The GPU is the double of `tests/device.py`.
"""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DTypeError, ShapeError
from plainformer.kernels import devices
from tests.device import HOST, DeviceArray, cuda_is, device


class Foreign:
    """An array of another library, on a GPU."""

    def __init__(self, array, lends=True):
        self.inner, self.lends = device.asarray(array), lends
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, f"theirs.{array.dtype}"

    def __len__(self):
        return self.shape[0]

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        return self.inner.__dlpack__()


@pytest.fixture(autouse=True)
def _cuda():
    with cuda_is(HOST):
        yield


RNG = np.random.default_rng(3)
X, W = (RNG.standard_normal(shape).astype(np.float32) for shape in ((4, 6), (3, 6)))
Q = RNG.standard_normal((2, 5, 2, 8)).astype(np.float32)
IDS, LABELS = np.array([1, 0, 2]), np.array([0, 5, 2, 1])
STARTS = np.array([0, 2, 5, 10], np.int32)
CALLS = {
    "add": (kernels.add, (X, X)),
    "softmax along an axis": (lambda x: kernels.softmax(x, 0), (X,)),
    "gelu": (kernels.gelu, (X,)),
    "swiglu": (kernels.swiglu, (X, X)),
    "layer_norm": (lambda x, w: kernels.layer_norm(x, 6, w), (X, X[0])),
    "linear": (kernels.linear, (X, W)),
    "matmul": (lambda a, b: kernels.matmul(a, b, transpose_b=True), (X, W)),
    "embedding": (kernels.embedding, (IDS, X)),
    "cross_entropy": (kernels.cross_entropy, (X, LABELS)),
    "dropout": (lambda x: kernels.dropout(x, 0.5, 1, 2), (X,)),
    "flash_attn_func": (kernels.flash_attn_func, (Q, Q, Q)),
    "flash_attn_varlen_func": (
        lambda q, s: kernels.flash_attn_varlen_func(q, q, q, s, s, 5, 5),
        (Q.reshape(10, 2, 8), STARTS),
    ),
    "clip_grad_norm": (lambda x: kernels.clip_grad_norm([x, x], 1.0), (X,)),
    "softmax_backward": (kernels.softmax_backward, (X, X)),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_are_those_of_cupys_arrays(name):
    call, arrays = CALLS[name]
    wanted = call(*map(device.asarray, arrays))
    found = call(*map(Foreign, arrays))
    if isinstance(wanted, tuple):
        assert found == wanted
        return
    assert type(found) is DeviceArray
    assert found.tolist() == wanted.tolist()


def test_cupys_arrays_may_stand_beside_them():
    for arrays in ((Foreign(X), device.asarray(X)), (device.asarray(X), Foreign(X))):
        assert kernels.add(*arrays).tolist() == (X + X).tolist()


def test_errors_say_what_is_wrong_with_them():
    with pytest.raises(ShapeError, match=r"b: got shape \(3, 6\), expected \(4, 6\)"):
        kernels.add(Foreign(X), Foreign(W))
    with pytest.raises(DTypeError, match=r"x: got dtype int64, expected float32"):
        kernels.gelu(Foreign(IDS))
    with pytest.raises(DTypeError, match=r"b: got dtype bfloat16, expected float32 like a"):
        kernels.add(Foreign(X), Foreign(X.astype("bfloat16")))


def test_they_have_a_device_and_come_to_the_host():
    x = Foreign(X)
    assert str(devices.device_of(x)) == "cuda:0"
    assert kernels.asnumpy(x).tolist() == X.tolist()
    assert kernels.xp(x) is device


def test_one_that_lends_no_memory_is_told(monkeypatch):
    def refuse(array):
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    monkeypatch.setattr(HOST, "view", refuse, raising=False)
    with pytest.raises(DTypeError, match=r"lends no memory \(Can't export tensors that require"):
        kernels.add(Foreign(X), Foreign(X))

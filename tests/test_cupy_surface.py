"""What the double of a device has is what CuPy has; and no more."""

import ml_dtypes
import numpy as np
import pytest

from tests.cupy_surface import OPERATORS, allowed, described
from tests.device import DeviceArray, LackingError, device


def test_the_file_says_what_cupy_has():
    """Without a GPU too: CuPy can be imported, and asked what its functions take."""
    cupy = pytest.importorskip("cupy", reason="the file was written where CuPy is installed")
    found, known = described(cupy), allowed()
    assert {**found, "version": ""} == {**known, "version": ""}


def test_the_double_has_no_operator_that_cupy_lacks():
    own = {name.strip("_") for name in vars(DeviceArray) if name.startswith("__")}
    others = {"contains", "divmod", "lshift", "pos", "rshift", "ilshift", "irshift", "imatmul"}
    assert own & {*OPERATORS, *others} <= set(allowed()["operators"])


def test_what_cupy_lacks_is_told():
    x = device.asarray(np.arange(4.0))
    calls = (
        lambda: device.cov(x),
        lambda: device.sum(x, initial=0.0),
        lambda: x.max(initial=0.0),
        lambda: x[x[0] : 2],
        lambda: range(x[0]),
        lambda: device.repeat(x, x),
        lambda: device.where(x, x, x, x),
    )
    for call in calls:
        with pytest.raises(LackingError):
            call()


def test_memory_of_the_device_is_aligned_and_begins_as_nan():
    for shape in ((), (0,), (3,), (5, 7)):
        x = device.empty(shape, np.float32)
        assert x._hidden.ctypes.data % 256 == 0
        assert device.isnan(x).all()
    y = device.broadcast_to(device.ones((1, 3)), (2, 3))
    y[0] = 5  # nothing is protected there
    assert y.tolist() == [[5, 5, 5], [5, 5, 5]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int64", "bool"])
def test_other_libraries_see_an_array_of_a_gpu(dtype):
    x = device.zeros((3, 4), getattr(ml_dtypes, dtype, dtype)).T[1:]
    assert x.__dlpack_device__() == (2, 0)
    capsule = x.__dlpack__(max_version=(1, 0))
    assert "dltensor" in repr(capsule)
    torch = pytest.importorskip("torch", reason="reads the capsule where it is installed")
    with pytest.raises(Exception, match=r"(?i)cuda"):
        torch.from_dlpack(x)

"""The array module of an array, and copies from one kind to another."""

import contextlib
import subprocess
import sys
import types

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DeviceError, DTypeError, ShapeError
from plainformer.tensor import Tensor


@pytest.fixture
def cupy(monkeypatch):
    """What is asked of CuPy: a module with an array class, and a copy to the host."""
    module = types.ModuleType("cupy")

    class Array:
        def __init__(self, array, order=None):
            self.array = array
            self.device = CurrentDevice()

        def get(self):
            return self.array

    class CurrentDevice(contextlib.nullcontext):
        id = 0

    Array.__module__, Array.__qualname__ = "cupy", "ndarray"
    module.ndarray = module.array = Array
    module.cuda = types.SimpleNamespace(Device=CurrentDevice)
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


class Own(np.ndarray):
    pass


PLAIN = {
    "array": np.zeros(2),
    "scalar": np.float32(1),
    "0-d": np.zeros((), np.int64),
    "subclass": np.zeros(2).view(Own),
    "data of a Tensor": Tensor(np.ones(2)).data,
}


@pytest.mark.parametrize("x", PLAIN.values(), ids=PLAIN)
def test_numpy_arrays_belong_to_numpy(x):
    assert kernels.xp(x) is np
    assert kernels.asnumpy(x) is x
    assert kernels.asarray(x, np.zeros(1)) is x
    assert kernels.array_of(x) is x or isinstance(x, np.generic)


def test_cupy_arrays_belong_to_cupy(cupy):
    x, host = cupy.ndarray(np.arange(3)), np.arange(3)
    assert kernels.xp(x) is cupy
    assert kernels.asnumpy(x) is x.array
    assert kernels.array_of(x) is x
    assert kernels.asarray(x, x) is x
    assert kernels.asarray(x, host) is x.array
    assert kernels.asarray(host, x).array is host
    with pytest.raises(DeviceError, match=r"^a: got a CuPy array, but this build has only CPU"):
        kernels.add(x, x)


@pytest.mark.parametrize("x", [[1.0], 1.0, None, "x", np.ma.array([1])], ids=str)
def test_anything_else_is_named(x):
    for call in (kernels.xp, kernels.asnumpy):
        with pytest.raises(DTypeError, match=r"^x: got .*(expected a NumPy array|fill it)"):
            call(x)


def test_lists_become_arrays_where_users_give_them():
    assert kernels.array_of([1, 2]).tolist() == [1, 2]
    with pytest.raises(ShapeError, match="expected an array or lists of one length"):
        kernels.array_of([[1], [1, 2]])
    with pytest.raises(DTypeError, match=r"^ids: got builtins\.list, expected a NumPy array"):
        kernels.asarray([1], np.zeros(1), name="ids")


def test_cupy_is_never_imported():
    code = (
        "import sys, numpy, plainformer.kernels as kernels\n"
        "kernels.xp(numpy.ones(1)); print('cupy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"

"""Elementwise sums."""

import contextlib

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device

SHAPES = [(0,), (), (1,), (3, 17), (2, 5, 64), (7, 4097), (3, 1 << 15)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sum_is_correctly_rounded(backend, dtype, rng, shape):
    a, b = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    assert_2x(kernels.add(backend(a), backend(b)), reference.add, a, b, factor=1.0)


def test_strided_and_read_only_inputs_give_the_same_bytes(backend, dtype, rng):
    a, b = (rng.standard_normal((6, 34)).astype(dtype) for _ in range(2))
    a.flags.writeable = False
    expected = kernels.add(a[:, ::2].copy(), b[::-1, 1::2].copy())
    assert kernels.add(a[:, ::2], b[::-1, 1::2]).tobytes() == expected.tobytes()


def test_bad_arguments_are_named(backend):
    a = np.zeros((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"b: got shape \(1, 3\), expected \(2, 3\)"):
        kernels.add(a, a[:1])
    with pytest.raises(DTypeError, match="b: got dtype bfloat16, expected float32 like a"):
        kernels.add(a, a.astype(ml_dtypes.bfloat16))
    with pytest.raises(DTypeError, match=r"a: got builtins\.list, expected a NumPy array"):
        kernels.add([1.0], a)
    with pytest.raises(DTypeError, match="a: got dtype int16"):
        kernels.add(a.astype(np.int16), a)
    with pytest.raises(DTypeError, match="a: got dtype >f4"):
        kernels.add(a.astype(">f4"), a)


@pytest.mark.parametrize(("kind", "told"), [("cpu", "float16, use bfloat16 or float32"),
                                            ("cuda", "float64, use float32")])  # fmt: skip
def test_a_type_that_a_backend_lacks_is_told_with_others(kind, told):
    dtype = told.split(",")[0]
    x = np.zeros(3, dtype)
    with contextlib.ExitStack() as stack:
        if kind == "cuda":
            stack.enter_context(emulated())
            x = to_device(x)
        told = f"a: got dtype {dtype}.*{kind.upper()} kernels have no {told}"
        with pytest.raises(DTypeError, match=told):
            kernels.add(x, x)

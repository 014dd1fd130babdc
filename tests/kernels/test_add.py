"""Elementwise sums."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x

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
    with pytest.raises(DTypeError, match="b: got dtype float64, expected float32 like a"):
        kernels.add(a, a.astype(np.float64))
    with pytest.raises(DTypeError, match=r"a: got builtins\.list, expected a NumPy array"):
        kernels.add([1.0], a)
    with pytest.raises(DTypeError, match="a: got dtype float16"):
        kernels.add(a.astype(np.float16), a)
    with pytest.raises(DTypeError, match="a: got dtype >f4"):
        kernels.add(a.astype(">f4"), a)

"""Every combination of flags, leading axes, sizes and strides of every product, exactly.

Operands are whole numbers so small that each sum is exact even in bfloat16: there is no tolerance,
and float64 NumPy says what is right. Square matrices are among the sizes, because there a forgotten
transpose raises nothing.
"""

import itertools

import numpy as np
import pytest

from plainformer import _cpu, functional, kernels
from plainformer.parameter import Parameter
from plainformer.tensor import Tensor

BATCHES = [(), (1,), (2,), (0,), (1, 1), (1, 2), (3, 1), (3, 2), (0, 2), (3, 1, 2)]
SIZES = [(3, 3, 3), (2, 3, 4), (1, 4, 2), (4, 1, 1), (0, 2, 3), (2, 0, 3), (2, 3, 0)]  # M, N, K
FLAGS = list(itertools.product([False, True], repeat=2))


def broadcast(a, b):
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


PAIRS = [p for p in itertools.product(BATCHES, repeat=2) if broadcast(*p) is not None]


def whole(rng, dtype, *shape):
    return rng.integers(-2, 3, shape).astype(dtype)


def turned(array):
    return np.swapaxes(array, -1, -2)


def behind_other_strides(array):
    """The same values with a reversed, gapped memory order (no kernel-readable rows)."""
    wide = np.zeros([2 * n for n in array.shape], array.dtype, "F")
    view = wide[tuple(slice(None, None, -2) for _ in array.shape)]
    view[...] = array
    return view


def summed_to(array, shape):
    """The sum over the axes along which `shape` is broadcast."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1)
    return array.sum(axis=axes, keepdims=True)


def check(ours, exact, like=None):
    """Equal values, and the shape and dtype of the array whose gradient it is."""
    assert ours.shape == (exact if like is None else like).shape
    assert like is None or ours.dtype == like.dtype
    np.testing.assert_array_equal(ours.astype(np.float64), exact)


def expected(grad_output, a, b, transpose_a, transpose_b):
    """y, grad_a and grad_b in float64."""
    left = turned(a) if transpose_a else a
    right = turned(b) if transpose_b else b
    grad_left, grad_right = grad_output @ turned(right), turned(left) @ grad_output
    grad_a = turned(grad_left) if transpose_a else grad_left
    grad_b = turned(grad_right) if transpose_b else grad_right
    return left @ right, summed_to(grad_a, a.shape), summed_to(grad_b, b.shape)


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_matmul_and_its_gradients(dtype, rng, flags):
    transpose_a, transpose_b = flags
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    for (batch_a, batch_b), (M, N, K) in itertools.product(PAIRS, SIZES):
        a = whole(rng, dtype, *batch_a, *((K, M) if transpose_a else (M, K)))
        b = whole(rng, dtype, *batch_b, *((N, K) if transpose_b else (K, N)))
        grad_output = whole(rng, dtype, *broadcast(batch_a, batch_b), M, N)
        exact = expected(*(x.astype(np.float64) for x in (grad_output, a, b)), *flags)
        out = np.full(grad_output.shape, 7, dtype)
        check(kernels.matmul(a, b, out=out, **options), exact[0])
        for change in (lambda x: x, behind_other_strides):
            grad_output, a, b = change(grad_output), change(a), change(b)
            check(kernels.matmul(a, b, **options), exact[0])
            gradients = kernels.matmul_backward(grad_output, a, b, **options)
            check(gradients[0], exact[1], like=a)
            check(gradients[1], exact[2], like=b)


def test_sums_in_the_accumulator_type(dtype, rng):
    sums_dtype = np.float64 if dtype == np.float64 else np.float32
    for (batch_a, batch_b), (M, N, K) in itertools.product(PAIRS, SIZES):
        a, b = whole(rng, dtype, *batch_a, M, K), whole(rng, dtype, *batch_b, K, N)
        sums = _cpu.matmul(a, b, False, False, None, True)
        assert sums.dtype == sums_dtype
        check(sums, a.astype(np.float64) @ b.astype(np.float64))


LEADING = [(), (1,), (3,), (0,), (2, 3), (2, 0), (1, 2, 1), (3, 1, 2)]
LAYERS = [(3, 3), (4, 2), (1, 3), (3, 1), (0, 2), (2, 0)]  # out, in


def linear_case(rng, dtype, leading, out, into):
    """grad_output, x, weight, bias, and the exact gradients of the three."""
    shapes = (*leading, out), (*leading, into), (out, into), (out,)
    arrays = grad_output, x, weight, _ = [whole(rng, dtype, *shape) for shape in shapes]
    grad, x, weight = (array.astype(np.float64) for array in (grad_output, x, weight))
    count = int(np.prod(leading))
    rows, grad_rows = x.reshape(count, into), grad.reshape(count, out)
    return arrays, (grad @ weight, grad_rows.T @ rows, grad_rows.sum(axis=0))


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("stored", ["out_in", "in_out", "strided"])
def test_linear_and_its_gradients(dtype, rng, activation, stored):
    for leading, (out, into) in itertools.product(LEADING, LAYERS):
        (grad_output, x, weight, bias), _ = linear_case(rng, dtype, leading, out, into)
        weight = weight if stored == "out_in" else np.asfortranarray(weight)
        weight = behind_other_strides(weight) if stored == "strided" else weight
        exact = [array.astype(np.float64) for array in (grad_output, x, weight, bias)]
        for given in (None, bias):
            z = exact[1] @ exact[2].T + (0 if given is None else exact[3])
            y = np.maximum(z, 0) if activation else z
            grad_z = exact[0] * (z > 0) if activation else exact[0]
            grad_rows = grad_z.reshape(int(np.prod(leading)), out)
            wanted = (
                grad_z @ exact[2],
                grad_rows.T @ exact[1].reshape(len(grad_rows), into),
                grad_rows.sum(axis=0),
            )
            for change in (lambda a: a, behind_other_strides):
                arrays = change(x), weight, given
                packed = kernels.pack_weight(weight)
                check(kernels.linear(*arrays, activation=activation), y)
                check(kernels.linear(arrays[0], packed, given, activation=activation), y)
                ours_y, ours_z = kernels.linear(
                    *arrays, activation=activation, return_preactivation=True
                )
                check(ours_y, y)
                check(ours_z, z)
                gradients = kernels.linear_backward(
                    change(grad_output), *arrays, ours_z, activation=activation
                )
                for ours, exactly, like in zip(gradients, wanted, arrays):
                    assert (ours is None) == (like is None)
                    if like is not None:
                        check(ours, exactly, like=like)


@pytest.mark.parametrize("is_in_out", [False, True])
def test_layers_on_the_tape(dtype, rng, is_in_out):
    layer = functional.conv1d if is_in_out else functional.linear
    for leading, (out, into) in itertools.product(LEADING, LAYERS):
        arrays, wanted = linear_case(rng, dtype, leading, out, into)
        grad_output, x, weight, bias = arrays
        stored = turned(weight).copy() if is_in_out else weight
        tensors = [Tensor(x, requires_grad=True), Parameter(stored), Parameter(bias)]
        for times in (1, 2):  # the second backward adds to the gradients of the first
            y = layer(*tensors)
            y.backward(grad_output)
            want = [wanted[0], turned(wanted[1]) if is_in_out else wanted[1], wanted[2]]
            for tensor, exactly in zip(tensors, want):
                check(np.asarray(tensor.grad), times * exactly, like=None)

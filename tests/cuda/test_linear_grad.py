"""The elementwise half of a linear layer's backward on the emulated device: grad_z and its sums."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.kernels.gemm import ACTIVATIONS
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device

# No rows; single elements; 16 bytes with one strip and with several, a strip half full; more rows
# than a block has, and than its warps take at once.
SHAPES = [(0, 8), (1, 1), (5, 17), (33, 40), (131, 264), (300, 24)]


def linear_grad(device, grad_y, z, activation):
    """grad_z and grad_bias, by the kernel that `linear_backward` begins with."""
    N = grad_y.shape[1]
    x, weight, bias = (to_device(np.zeros(s, grad_y.dtype)) for s in ((len(grad_y), 1), (N, 1), N))
    z = None if activation is None else to_device(z)
    code = ACTIVATIONS[activation]
    grads = device.linear_grad(to_device(grad_y), x, weight, bias, z, code, True)
    return tuple(kernels.asnumpy(g) for g in grads)


def expected(dy, z, *, activation, to=reference.identity):
    grad_z = reference.activation_slope(dy, z, activation, to) if activation else dy
    return grad_z, to(grad_z.sum(axis=0))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"])
def test_gradients(dtype, rng, shape, activation):
    grad_y, z = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    with emulated() as device:
        grads = linear_grad(device, grad_y, z, activation)
    assert_2x(grads, expected, grad_y, z, factor=3, activation=activation)


def test_same_bytes_in_every_order(dtype, rng):
    grad_y, z = (rng.standard_normal((150, 40)).astype(dtype) for _ in range(2))
    seen = set()
    for order, poison in (("fifo", 0xFF), ("lifo", 0x7E), ("1", 0x7E), ("2", 0xFF)):
        with emulated(order=order, poison=poison) as device:
            seen.add(b"".join(g.tobytes() for g in linear_grad(device, grad_y, z, "gelu")))
    assert len(seen) == 1

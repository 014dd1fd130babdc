"""Gradients against central differences, in float64."""

from __future__ import annotations

import numpy as np

from plainformer.tape import run_backward
from plainformer.tensor import Tensor

STEP = 1e-5


def as_list(outputs):
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def numeric_gradient(value, array, picks):
    """d value() / d array[i] for each flat index in `picks`."""
    flat, result = array.reshape(-1), []
    for i in picks:
        kept = flat[i]
        flat[i] = kept + STEP
        above = value()
        flat[i] = kept - STEP
        below = value()
        flat[i] = kept
        result.append((above - below) / (2 * STEP))
    return np.array(result)


def check_gradients(function, tensors, rng, *, num_picks=12, rtol=1e-6):
    """Assert the gradients of `function()` in all `tensors`, each at a few random elements.

    `tensors` are leaves that own writable float64 arrays and that `function` reads. Outputs are
    multiplied with fixed random numbers and summed, so that every output element matters.
    """
    outputs = as_list(function())
    weights = [rng.standard_normal(y.shape) for y in outputs]
    for x in tensors:
        x.grad = None
    run_backward(outputs, weights)

    def value():
        return sum(float((y.data * w).sum()) for y, w in zip(as_list(function()), weights))

    for place, x in enumerate(tensors):
        array = x.writable() if hasattr(x, "writable") else x.data
        picks = rng.choice(array.size, min(num_picks, array.size), replace=False)
        wanted = numeric_gradient(value, array, picks)
        assert x.grad is not None, f"input {place} got no gradient"
        got = x.grad.reshape(-1)[picks]
        scale = max(1e-2, float(np.abs(x.grad).max(initial=0)))
        np.testing.assert_allclose(got, wanted, atol=rtol * scale, err_msg=f"input {place}")

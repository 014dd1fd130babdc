"""Recomputation: the gradients of the plain tape, byte for byte, however inputs are used."""

import ml_dtypes
import numpy as np
import pytest

from plainformer import functional
from plainformer.functional.random import dropout_state
from plainformer.nn import Dropout, Linear, Module, recompute
from plainformer.tape import run_backward
from plainformer.tensor import Tensor

DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}


class Twice(Module):
    """Reads x three times and y once; returns two Tensors, and None between them."""

    def __init__(self, rng, dtype):
        self.a, self.b, self.drop = Linear(8, 8), Linear(8, 8), Dropout(0.3)
        for parameter in self.parameters():
            parameter.writable()[...] = rng.standard_normal(parameter.shape)
        self.to(dtype)

    def forward(self, x, y):
        z = functional.add(functional.add(self.drop(self.a(x)), self.b(y)), x)
        return z, None, functional.add(self.a(x), y)


def gradients(recomputed, dtype, same=False, frozen=(), leaf=True):
    rng = np.random.default_rng(3)
    module = Twice(rng, dtype)
    if frozen:
        module.freeze(frozen)
    x, y = (Tensor(rng.standard_normal((5, 8)).astype(dtype), True) for _ in range(2))
    inputs = [x, y]
    if not leaf:  # used before and after the block too
        inputs = [functional.scale(x, 0.7), functional.scale(y, 1.3)]
    if same:
        inputs[1] = inputs[0]
    with dropout_state(4):
        if recomputed:
            first, _, second = recompute(module, *inputs)
        else:
            first, _, second = module(*inputs)
    third = functional.add(functional.add(second, inputs[0]), first)
    weights = rng.standard_normal((5, 8)).astype(dtype)
    run_backward([third, first], [weights, weights[::-1].copy()])
    found = [x, y, *module.parameters()]
    return [None if p.grad is None else (p.grad.dtype, p.grad.tobytes()) for p in found]


@pytest.mark.parametrize("leaf", [True, False], ids=["leaves", "outputs"])
@pytest.mark.parametrize("frozen", [(), ("a",), ("a", "b")], ids=str)
@pytest.mark.parametrize("same", [False, True], ids=["two", "one twice"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_those_of_the_plain_tape(dtype, same, frozen, leaf):
    dtype = DTYPES[dtype]
    plain = gradients(False, dtype, same, frozen, leaf)
    assert gradients(True, dtype, same, frozen, leaf) == plain
    assert sum(grad is not None for grad in plain) == 2 - same + 2 * (2 - len(frozen))


def test_what_trains_nothing_is_not_taped():
    module = Twice(np.random.default_rng(0), np.float32)
    module.freeze(["a", "b"])
    x = Tensor(np.ones((2, 8), np.float32))
    assert not any(y.requires_grad for y in recompute(module, x, x) if y is not None)
    module.b.weight.requires_grad = True
    assert recompute(module, x, x)[0].requires_grad


def test_an_output_that_depends_on_nothing_trained_takes_no_part():
    x = Tensor(np.ones((2, 3), np.float32), True)
    still = Tensor(np.ones((2, 3), np.float32))
    first, second = recompute(lambda a, b: (functional.scale(a, 2.0), b), x, still)
    run_backward([first, second], [np.ones((2, 3), np.float32)] * 2)
    assert (x.grad == 2).all()
    assert still.grad is None


def test_a_hook_runs_once_after_all_uses():
    seen = []
    x = Tensor(np.ones((2, 8), np.float32), True)
    x.register_hook(lambda leaf: seen.append(leaf.grad.copy()))
    module = Twice(np.random.default_rng(0), np.float32)
    with dropout_state(1):
        first, _, second = recompute(module, x, x)
    run_backward([first, second], [np.ones((2, 8), np.float32)] * 2)
    assert len(seen) == 1
    assert seen[0].tobytes() == x.grad.tobytes()

"""Layers: what they compute beyond calling one operation."""

import numpy as np
import pytest

from plainformer import functional
from plainformer.errors import ConfigError
from plainformer.functional import random as draws
from plainformer.nn import (
    Conv1D,
    Dropout,
    Embedding,
    Linear,
    dropout_state,
    recompute,
)
from plainformer.tape import no_grad
from plainformer.tensor import Tensor


def fill(module, rng):
    """Random parameters."""
    for parameter in module.parameters():
        parameter.assign(rng.standard_normal(parameter.shape).astype(np.float32))
    return module


class TestDropout:
    def test_it_is_the_identity_in_eval_mode_and_at_zero(self):
        x = Tensor(np.ones(8, np.float32))
        assert Dropout(0.5).eval()(x) is x
        assert Dropout(0.0)(x) is x

    def test_each_use_takes_the_next_offset(self):
        x, drop = Tensor(np.ones((4, 64), np.float32)), Dropout(0.5)
        with dropout_state(3):
            first, second = drop(x).data, drop(x).data
            assert draws.current() == (3, 2)
        with dropout_state(3, 1):
            again = drop(x).data
        assert first.tobytes() != second.tobytes()
        assert again.tobytes() == second.tobytes()

    def test_states_nest_and_come_back(self):
        before = draws.current()
        with dropout_state(1, 10):
            draws.take()
            with dropout_state(2):
                draws.take()
            assert draws.current() == (1, 11)
        assert draws.current() == before

    @pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
    def test_probabilities_are_checked(self, p):
        with pytest.raises(ConfigError, match=r"p: got .*expected from 0 to below 1"):
            Dropout(p)


class TestRecompute:
    def make(self, rng):
        linear, drop = fill(Linear(6, 6), rng), Dropout(0.3)

        def function(x, other, *, times=1):
            y = drop(linear(x))
            for _ in range(times):
                y = functional.add(y, other)
            return y, drop(y)

        return linear, function

    def run(self, function, linear, call, inputs):
        linear.zero_grad()
        leaves = [Tensor(x, requires_grad=True) for x in inputs]
        with dropout_state(5):
            a, b = call(function, *leaves)
            functional.add(a, b).backward(np.ones_like(a.data))
            state = draws.current()
        return [a.data, b.data, linear.weight.grad, *(x.grad for x in leaves)], state

    def test_outputs_gradients_and_masks_are_the_same_bytes(self, rng):
        linear, function = self.make(rng)
        inputs = [rng.standard_normal((4, 6)).astype(np.float32) for _ in range(2)]
        kept, state = self.run(function, linear, lambda f, *x: f(*x), inputs)
        again, other_state = self.run(function, linear, recompute, inputs)
        assert [x.tobytes() for x in kept] == [x.tobytes() for x in again]
        assert state == other_state == (5, 2)

    def test_options_reach_both_runs(self, rng):
        linear, function = self.make(rng)
        inputs = [np.ones((2, 6), np.float32)] * 2
        results, _ = self.run(function, linear, lambda f, *x: recompute(f, *x, times=3), inputs)
        wanted, _ = self.run(function, linear, lambda f, *x: f(*x, times=3), inputs)
        np.testing.assert_array_equal(results[-1], wanted[-1])

    def test_inputs_may_be_missing_or_frozen(self, rng):
        linear = fill(Linear(6, 6), rng)
        frozen = Tensor(np.ones((2, 6), np.float32))
        (y,) = recompute(lambda x, missing: (linear(x),), frozen, None)
        y.backward(np.ones_like(y.data))
        assert frozen.grad is None
        assert linear.weight.grad is not None

    def test_outputs_may_be_missing(self, rng):
        linear = fill(Linear(6, 6), rng)
        x = Tensor(np.ones((2, 6), np.float32), requires_grad=True)
        nothing, y = recompute(lambda x: (None, linear(x)), x)
        assert nothing is None
        y.backward(np.ones_like(y.data))
        np.testing.assert_allclose(x.grad, np.ones((2, 6)) @ linear.weight.data, rtol=1e-5)

    def test_nothing_is_recorded_under_no_grad(self, rng):
        _, function = self.make(rng)
        x = Tensor(np.ones((2, 6), np.float32), requires_grad=True)
        with no_grad():
            assert not recompute(function, x, x)[0].requires_grad


def test_conv1d_is_a_linear_layer_stored_the_other_way(rng):
    linear, conv = fill(Linear(5, 3, activation="relu"), rng), Conv1D(5, 3, activation="relu")
    conv.weight.assign(linear.weight.data.T.copy())
    conv.bias.assign(linear.bias.data.copy())
    x = Tensor(rng.standard_normal((4, 5)).astype(np.float32))
    np.testing.assert_allclose(conv(x).data, linear(x).data, rtol=1e-6)


def test_embedding_looks_up_rows(rng):
    table = fill(Embedding(7, 3), rng)
    ids = np.array([[6, 0], [6, 2]])
    np.testing.assert_array_equal(table(ids).data, table.weight.data[ids])

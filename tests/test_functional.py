"""Differentiable operations: gradients in float64, and that nothing is saved without need.

The kernels behind them have their own tests; these are about how the tape joins them.
"""

import numpy as np
import pytest

from plainformer import functional
from plainformer.tensor import Tensor, no_grad
from tests.differences import check_gradients


@pytest.fixture
def leaf(rng):
    return lambda *shape: Tensor(rng.standard_normal(shape), requires_grad=True)


def test_add(leaf, rng):
    a, b = leaf(2, 3), leaf(2, 3)
    check_gradients(lambda: functional.add(a, b), [a, b], rng)


def test_scale_keeps_zero_axes(leaf, rng):
    x = leaf()
    y = functional.scale(x, 0.5)
    assert isinstance(y.data, np.ndarray)
    check_gradients(lambda: functional.scale(x, 0.5), [x], rng)


def test_reshape(leaf, rng):
    x = leaf(2, 3, 4)
    check_gradients(lambda: functional.reshape(x, (6, 4)), [x], rng)


def test_last_positions(leaf, rng):
    x = leaf(2, 5, 3)
    np.testing.assert_array_equal(functional.last_positions(x, 2).data, x.data[:, 3:])
    check_gradients(lambda: functional.last_positions(x, 2), [x], rng)


def test_embedding_adds_up_repeated_ids(leaf, rng):
    weight = leaf(5, 3)
    ids = np.array([[0, 4, 0], [1, 0, 4]])
    check_gradients(lambda: functional.embedding(ids, weight), [weight], rng, num_picks=15)


def test_a_tied_weight_gets_both_gradients(leaf, rng):
    weight, ids = leaf(5, 3), np.array([[0, 4, 0], [1, 0, 4]])

    def tied():
        return functional.linear(functional.embedding(ids, weight), weight)

    check_gradients(tied, [weight], rng, num_picks=15)


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"])
@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no bias"])
def test_linear_and_conv1d(leaf, rng, activation, with_bias):
    x, weight = leaf(2, 3, 7), leaf(5, 7)
    bias = leaf(5) if with_bias else None
    leaves = [t for t in (x, weight, bias) if t is not None]

    def linear():
        return functional.linear(x, weight, bias, activation=activation)

    check_gradients(linear, leaves, rng)
    stored = Tensor(weight.data.T.copy(), requires_grad=True)
    leaves[1] = stored

    def conv1d():
        return functional.conv1d(x, stored, bias, activation=activation)

    np.testing.assert_allclose(conv1d().data, linear().data, rtol=1e-12)
    check_gradients(conv1d, leaves, rng)
    assert stored.grad.shape == stored.shape


def test_layer_norm(leaf, rng):
    x, weight, bias = leaf(2, 3, 8), leaf(8), leaf(8)
    check_gradients(lambda: functional.layer_norm(x, weight, bias), [x, weight, bias], rng)
    check_gradients(lambda: functional.layer_norm(x, weight), [x, weight], rng)


def test_layer_norm_of_a_sum_returns_the_sum(leaf, rng):
    x, residual, weight, bias = leaf(2, 3, 8), leaf(2, 3, 8), leaf(8), leaf(8)

    def both():
        return functional.layer_norm(x, weight, bias, residual=residual)

    y, total = both()
    np.testing.assert_allclose(total.data, x.data + residual.data, rtol=1e-15)
    np.testing.assert_allclose(y.data, functional.layer_norm(total, weight, bias).data, rtol=1e-12)
    leaves = [x, residual, weight, bias]
    check_gradients(both, leaves, rng)
    check_gradients(lambda: both()[0], leaves, rng)
    check_gradients(lambda: both()[1], [x, residual], rng)


def test_dropout_uses_one_mask_both_ways(leaf, rng):
    x = leaf(4, 50)
    y = functional.dropout(x, 0.5, seed=3, offset=7)
    assert 0 < np.count_nonzero(y.data) < x.size
    check_gradients(lambda: functional.dropout(x, 0.5, seed=3, offset=7), [x], rng)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.7}], ids=str)
@pytest.mark.parametrize("dropout_p", [0.0, 0.3])
def test_self_attention(leaf, rng, options, dropout_p):
    qkv = leaf(2, 5, 3 * 2 * 4)
    randomness = {"dropout_p": dropout_p, "seed": 3, "offset": 1}
    check_gradients(
        lambda: functional.self_attention(qkv, 2, **options, **randomness), [qkv], rng, num_picks=40
    )


def test_self_attention_ignores_masked_keys(leaf, rng):
    qkv = leaf(2, 5, 3 * 2 * 4)
    mask = np.ones((2, 1, 1, 5), bool)
    mask[1, ..., 3:] = False
    check_gradients(
        lambda: functional.self_attention(qkv, 2, mask, is_causal=True), [qkv], rng, num_picks=40
    )
    assert not qkv.grad[1, 3:, 8:].any()  # keys and values that nobody sees


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_fused_linear_cross_entropy(leaf, rng, reduction, label_smoothing):
    x, weight, bias = leaf(6, 4), leaf(9, 4), leaf(9)
    target = np.array([0, 8, -100, 3, 3, 1])

    def loss():
        return functional.fused_linear_cross_entropy(
            x, weight, target, bias, reduction=reduction, label_smoothing=label_smoothing
        )

    logits = x.data @ weight.data.T + bias.data
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    whole = functional.cross_entropy(Tensor(logits), target, **options)
    np.testing.assert_allclose(loss().data, whole.data, rtol=1e-12)
    check_gradients(loss, [x, weight, bias], rng)
    check_gradients(lambda: functional.scale(loss(), 3.0), [x, weight, bias], rng)


@pytest.mark.parametrize("options", [{}, {"reduction": "none"}, {"label_smoothing": 0.1}], ids=str)
def test_cross_entropy(leaf, rng, options):
    logits, target = leaf(4, 6), np.array([5, -100, 0, 2])
    check_gradients(lambda: functional.cross_entropy(logits, target, **options), [logits], rng)


def test_nothing_is_recorded_without_need(leaf):
    x, weight = leaf(2, 3), Tensor(np.ones((4, 3)))
    with no_grad():
        assert not functional.linear(x, weight).requires_grad
    assert not functional.linear(Tensor(np.ones((2, 3))), weight).requires_grad
    assert functional.linear(x, weight).requires_grad


def test_inputs_are_never_written(leaf):
    x, weight, bias = leaf(2, 8), leaf(8), leaf(8)
    before = [t.data.copy() for t in (x, weight, bias)]
    y = functional.layer_norm(x, weight, bias)
    y.backward(np.ones_like(y.data))
    for t, kept in zip((x, weight, bias), before):
        np.testing.assert_array_equal(t.data, kept)

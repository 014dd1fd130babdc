"""Differentiable operations: gradients in float64, and that nothing is saved without need.

The kernels behind them have their own tests; these are about how the tape joins them.
"""

import ml_dtypes
import numpy as np
import pytest

from plainformer import functional
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.functional.random import dropout_state
from plainformer.tape import no_grad
from plainformer.tensor import Tensor
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


def test_permute(leaf, rng):
    x = leaf(2, 3, 4)
    assert functional.permute(x, (2, 0, 1)).shape == (4, 2, 3)
    check_gradients(lambda: functional.permute(x, (2, 0, 1)), [x], rng)


def test_an_alias_adds_up_its_own_gradients_first(leaf, rng):
    x = leaf(2, 3)

    def used_thrice():
        y = functional.alias(x)
        return functional.add(functional.add(y, functional.scale(y, 2.0)), x)

    check_gradients(used_thrice, [x], rng)
    assert functional.alias(Tensor(x.data)).data is x.data


def test_relative_bias(leaf, rng):
    """Query i and key j look up the bucket of j - i."""
    weight = leaf(4, 2)
    buckets = np.array([3, 1, 0, 0, 2, 1])  # distances -2 .. 3 of 3 queries and 4 keys
    bias = functional.relative_bias(weight, buckets, 3)
    assert bias.shape == (1, 2, 3, 4)
    for h in range(2):
        for i in range(3):
            for j in range(4):
                assert bias.data[0, h, i, j] == weight.data[buckets[j - i + 2], h]
    check_gradients(lambda: functional.relative_bias(weight, buckets, 3), [weight], rng)


def test_columns_and_concatenate_undo_each_other(leaf, rng):
    x = leaf(5, 7)

    def both():
        left, right = functional.columns(x, 0, 3), functional.columns(x, 3, 7)
        return functional.concatenate([left, right])

    np.testing.assert_array_equal(both().data, x.data)
    check_gradients(both, [x], rng)


def test_taken_rows_add_up_their_gradients(leaf, rng):
    x = leaf(5, 3)
    index = np.array([4, 0, 4])
    np.testing.assert_array_equal(functional.take_rows(x, index).data, x.data[index])
    check_gradients(lambda: functional.take_rows(x, index), [x], rng, num_picks=15)


def test_put_rows_leaves_the_others_zero(leaf, rng):
    x = leaf(3, 2)
    index = np.array([4, 0, 1])
    y = functional.put_rows(x, index, 6).data
    np.testing.assert_array_equal(y[index], x.data)
    assert not y[[2, 3, 5]].any()
    check_gradients(lambda: functional.put_rows(x, index, 6), [x], rng)


def test_mean_of_sequences(leaf, rng):
    x = leaf(6, 3)
    borders = np.array([0, 1, 4, 6], np.int32)
    y = functional.mean_of_sequences(x, borders).data
    np.testing.assert_allclose(y[1], x.data[1:4].mean(axis=0))
    check_gradients(lambda: functional.mean_of_sequences(x, borders), [x], rng)


@pytest.mark.parametrize("operation", [functional.swiglu, functional.geglu], ids=["silu", "gelu"])
def test_gated_activations(leaf, rng, operation):
    gate, up = leaf(4, 6), leaf(4, 6)
    check_gradients(lambda: operation(gate, up), [gate, up], rng)


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "tanh"])
def test_activations_under_torchs_names(leaf, rng, name):
    x, call = leaf(3, 5), getattr(functional, name)
    check_gradients(lambda: call(x), [x], rng)
    assert call(x).data.tobytes() == functional.activation(x, name).data.tobytes()
    if name == "gelu":
        check_gradients(lambda: call(x, approximate="tanh"), [x], rng)
        with pytest.raises(ConfigError, match="approximate: got 'erf'"):
            call(x, "erf")


@pytest.mark.parametrize("dim", [-1, 0, 1])
def test_softmax_and_its_log(leaf, rng, dim):
    x = leaf(3, 4, 2)
    check_gradients(lambda: functional.softmax(x, dim=dim), [x], rng)
    check_gradients(lambda: functional.log_softmax(x, dim), [x], rng)
    y = functional.softmax(x, dim)
    np.testing.assert_allclose(y.data.sum(axis=dim), 1)
    np.testing.assert_allclose(np.log(y.data), functional.log_softmax(x, dim).data)


def test_dropout_without_a_seed_draws_the_next_mask(leaf):
    x = leaf(4, 64)
    with dropout_state(3):
        first, second = functional.dropout(x), functional.dropout(x, 0.5)
    assert first.data.tobytes() == functional.dropout(x, 0.5, seed=3).data.tobytes()
    assert second.data.tobytes() == functional.dropout(x, 0.5, seed=3, offset=1).data.tobytes()
    assert functional.dropout(x, 0.5, training=False) is x


@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh", "silu", "tanh"])
def test_an_activation_is_the_one_that_linear_fuses(leaf, rng, name):
    x = leaf(3, 5)
    fused = functional.linear(x, Tensor(np.eye(5)), activation=name)
    np.testing.assert_allclose(functional.activation(x, name).data, fused.data, rtol=1e-12)
    check_gradients(lambda: functional.activation(x, name), [x], rng)


@pytest.mark.parametrize("both", [True, False])
def test_rms_norm_of_a_sum(leaf, rng, both):
    x, residual, weight = leaf(3, 8), leaf(3, 8), leaf(8)
    if not both:
        check_gradients(lambda: functional.rms_norm(x, weight, 1e-6), [x, weight], rng)
        return
    y, total = functional.rms_norm(x, weight, 1e-6, residual=residual)
    np.testing.assert_array_equal(total.data, x.data + residual.data)
    np.testing.assert_allclose(y.data, functional.rms_norm(total, weight, 1e-6).data, rtol=1e-12)
    leaves = [x, residual, weight]
    for part in (0, 1):
        check_gradients(
            lambda part=part: functional.rms_norm(x, weight, 1e-6, residual=residual)[part],
            leaves[: 3 - part],
            rng,
        )


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


@pytest.mark.parametrize("activation", [None, "gelu"])
@pytest.mark.parametrize("operation", [functional.linear, functional.conv1d])
def test_products_onto_a_residual(leaf, rng, operation, activation):
    x, weight, bias, residual = leaf(2, 3, 4), leaf(4, 4), leaf(4), leaf(2, 3, 4)

    def dropped():
        with dropout_state(5):
            return operation(
                x, weight, bias, activation=activation, residual=residual, dropout_p=0.4
            )

    check_gradients(dropped, [x, weight, bias, residual], rng)
    with dropout_state(5):
        apart = functional.dropout(operation(x, weight, bias, activation=activation), 0.4)
    assert dropped().data.tobytes() == functional.add(apart, residual).data.tobytes()


def test_a_residual_that_is_a_leaf_keeps_a_gradient_of_its_own(leaf, rng):
    x, weight, residual = leaf(3, 4), leaf(4, 4), leaf(3, 4)
    y = functional.linear(x, weight, residual=residual)
    grad = rng.standard_normal((3, 4))
    y.backward(grad)
    residual.grad += 1
    assert (residual.grad == grad + 1).all()


@pytest.mark.parametrize("norm", [functional.layer_norm, functional.rms_norm])
def test_norms_beside_their_input(leaf, rng, norm):
    """What else reads the input joins in: the same gradient as through two ways of the tape."""
    x, weight = leaf(3, 5), leaf(5)

    def both():
        y, again = norm(x, weight, keeps_input=True)
        return functional.add(y, functional.scale(again, 0.5))

    check_gradients(both, [x, weight], rng)
    for used in (0, 1):
        check_gradients(lambda used=used: norm(x, weight, keeps_input=True)[used], [x], rng)
    frozen = Tensor(x.data)
    assert norm(frozen, weight, keeps_input=True)[1] is frozen
    assert norm(frozen, Tensor(weight.data), keeps_input=True)[1] is frozen


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


@pytest.mark.parametrize("used", ["both", "sum", "norm"])
def test_norms_drop_before_they_add_as_dropout_does(rng, used):
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((4, 6), (4, 6), 6)]
    seeds = [rng.standard_normal((4, 6)).astype(np.float32) for _ in range(2)]
    for norm in (functional.layer_norm, functional.rms_norm):
        results = []
        for fused in (True, False):
            x, residual, weight = (Tensor(a, requires_grad=True) for a in arrays)
            with dropout_state(3, 1):
                left = x if fused else functional.dropout(x, 0.4)
                p = 0.4 if fused else 0.0
                y, total = norm(left, weight, residual=residual, dropout_p=p)
            terms = {"norm": (y,), "sum": (total,), "both": (y, total)}[used]
            sum((t * Tensor(s)).sum() for t, s in zip(terms, seeds)).backward()
            grads = [t.grad for t in (x, residual, weight)]
            results.append(
                [None if g is None else g.tobytes() for g in (y.data, total.data, *grads)]
            )
        assert results[0] == results[1]


def test_dropout_uses_one_mask_both_ways(leaf, rng):
    x = leaf(4, 50)
    y = functional.dropout(x, 0.5, seed=3, offset=7)
    assert 0 < np.count_nonzero(y.data) < x.size
    check_gradients(lambda: functional.dropout(x, 0.5, seed=3, offset=7), [x], rng)


BORDERS = np.array([0, 2, 7, 7, 8], np.int32)  # four sequences, one of them empty


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"softmax_scale": 0.7}], ids=str)
@pytest.mark.parametrize("dropout_p", [0.0, 0.3])
def test_self_attention(leaf, rng, options, dropout_p):
    qkv = leaf(8, 3 * 2 * 4)
    randomness = {"dropout_p": dropout_p, "seed": 3, "offset": 1} if dropout_p else {}
    check_gradients(
        lambda: functional.self_attention(qkv, BORDERS, 5, 2, **options, **randomness),
        [qkv],
        rng,
        num_picks=40,
    )


def test_attention_of_packed_and_separate_projections_is_the_same(leaf):
    qkv = leaf(8, 3 * 2 * 4)
    q, k, v = (functional.columns(qkv, 8 * i, 8 * i + 8) for i in range(3))
    borders = functional.Borders(BORDERS, BORDERS, 5, 5)
    separate = functional.attention(q, k, v, borders, 2, causal=True)
    packed = functional.self_attention(qkv, BORDERS, 5, 2, causal=True)
    assert separate.data.tobytes() == packed.data.tobytes()


@pytest.mark.parametrize("axes", ["heads", "all"])
def test_attention_with_shared_heads_and_a_bias(leaf, rng, axes):
    q, k, v = leaf(8, 4 * 3), leaf(9, 2 * 3), leaf(9, 2 * 5)
    bias = leaf(*((4, 4, 5, 6) if axes == "all" else (1, 4, 5, 6)))
    keys = np.array([0, 3, 9, 9, 9], np.int32)
    borders = functional.Borders(BORDERS, keys, 5, 6)
    check_gradients(
        lambda: functional.attention(q, k, v, borders, 4, 2, bias=bias),
        [q, k, v, bias],
        rng,
        num_picks=30,
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True, "scale": 0.3},
        {"attn_mask": np.arange(20).reshape(4, 5) % 3 > 0},
        {"attn_mask": np.linspace(-1, 1, 20).reshape(4, 5)},
        {"dropout_p": 0.3},
        {"enable_gqa": True},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_attention_under_torchs_name(leaf, rng, options):
    heads = 2 if "enable_gqa" in options else 4
    q, k, v = leaf(2, 4, 4, 6), leaf(2, heads, 5, 6), leaf(2, heads, 5, 3)

    def call():
        with dropout_state(3):
            return functional.scaled_dot_product_attention(q, k, v, **options)

    check_gradients(call, [q, k, v], rng)
    with no_grad():
        assert call().data.tobytes() == call().data.tobytes()


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_embedding(leaf, rng, interleaved):
    x = leaf(4, 2 * 6)
    angles = rng.standard_normal((9, 2)).astype(np.float32)
    positions = np.array([8, 0, 3, 3], np.int32)
    tables = (positions, np.cos(angles), np.sin(angles), 2)
    check_gradients(
        lambda: functional.rotary_embedding(x, *tables, interleaved=interleaved), [x], rng
    )


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


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_squared_error(leaf, rng, reduction):
    x, target = leaf(3, 4), rng.standard_normal((3, 4))
    losses = np.square(x.data - target)
    wanted = losses.mean() if reduction == "mean" else losses.sum()
    assert functional.mse_loss(x, target, reduction).item() == pytest.approx(wanted)
    check_gradients(lambda: functional.mse_loss(x, target, reduction), [x], rng)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy(leaf, rng, reduction, weighted):
    x, target = leaf(3, 4), rng.random((3, 4))
    weight = np.array([0.5, 1.0, 2.0, 0.0]) if weighted else None
    p = 1 / (1 + np.exp(-x.data))
    losses = -target * np.log(p) - (1 - target) * np.log(1 - p)
    losses = losses if weight is None else losses * weight
    wanted = losses.mean() if reduction == "mean" else losses.sum()

    def loss():
        return functional.binary_cross_entropy_with_logits(x, target, weight, reduction)

    assert loss().item() == pytest.approx(wanted)
    check_gradients(loss, [x], rng)


def test_binary_cross_entropy_of_large_logits_is_finite():
    x = Tensor(np.array([1e4, -1e4, 1e4, -1e4], np.float32), requires_grad=True)
    loss = functional.binary_cross_entropy_with_logits(x, np.array([1, 0, 0, 1]), None, "sum")
    assert loss.item() == 2e4
    loss.backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 1, -1])


def test_losses_of_bfloat16_are_float32(rng):
    x = Tensor(rng.standard_normal((2, 3)).astype(ml_dtypes.bfloat16), requires_grad=True)
    for loss in (functional.mse_loss, functional.binary_cross_entropy_with_logits):
        x.grad = None
        y = loss(x, np.zeros((2, 3)))
        assert y.dtype == np.float32
        y.backward()
        assert x.grad.dtype == ml_dtypes.bfloat16


def test_an_unknown_reduction_is_an_error(leaf):
    for loss in (functional.mse_loss, functional.binary_cross_entropy_with_logits):
        with pytest.raises(ConfigError, match="reduction: got 'none', expected mean or sum"):
            loss(leaf(2), np.zeros(2), reduction="none")


def test_normalize_makes_vectors_of_length_one(leaf, rng):
    x = leaf(3, 5)
    lengths = np.linalg.norm(functional.normalize(x).data, axis=1)
    np.testing.assert_allclose(lengths, 1)
    check_gradients(lambda: functional.normalize(x), [x], rng)
    zero = Tensor(np.zeros((1, 2)), requires_grad=True)
    y = functional.normalize(zero)
    np.testing.assert_array_equal(y.data, 0)
    y.backward(np.ones((1, 2)))
    assert np.isfinite(zero.grad).all()


def test_a_padding_vector_gets_no_gradient(leaf, rng):
    weight, ids = leaf(4, 3), np.array([[1, 2], [1, 0]])
    y = functional.embedding(ids, weight, padding_idx=1)
    np.testing.assert_array_equal(y.data, weight.data[ids])
    y.backward(np.ones(y.shape))
    np.testing.assert_array_equal(weight.grad, np.array([1, 0, 1, 0])[:, None] * np.ones((1, 3)))


F = functional
X = np.ones((2, 4), np.float32)
WRONG = {
    "an array": (
        lambda: F.add(X, Tensor(X)),
        DTypeError,
        "a: got ndarray, expected a Tensor; Tens",
    ),
    "an array of an activation": (
        lambda: F.relu(X),
        DTypeError,
        r"x: got ndarray, expected a Tensor; Tensor\(array\) makes one",
    ),
    "an array of softmax": (
        lambda: F.log_softmax(X),
        DTypeError,
        r"x: got ndarray, expected a Tensor; Tensor\(array\) makes one",
    ),
    "an array of a product": (
        lambda: F.matmul(Tensor(X), X.T),
        DTypeError,
        r"b: got ndarray, expected a Tensor; Tensor\(array\) makes one",
    ),
    "a list of ids": (
        lambda: F.embedding([0, 1], Tensor(X)),
        DTypeError,
        r"input_ids: got builtins\.list, expected a NumPy array",
    ),
    "a number": (
        lambda: F.linear(Tensor(X), 3),
        DTypeError,
        "weight: got int, expected a Tensor",
    ),
    "no residual": (
        lambda: F.layer_norm(Tensor(X), residual=X),
        DTypeError,
        "residual: got nd",
    ),
    "one of several": (
        lambda: F.concatenate([Tensor(X), X]),
        DTypeError,
        r"xs\[1\]: got ndarray",
    ),
    "activation": (
        lambda: F.activation(Tensor(X), "gelo"),
        ConfigError,
        "name: got 'gelo', expect",
    ),
    "shape": (
        lambda: F.reshape(Tensor(X), (3, 3)),
        ShapeError,
        r"shape: got \(3, 3\), expected si",
    ),
    "axes": (
        lambda: F.permute(Tensor(X), (0, 0)),
        ShapeError,
        r"axes: got \(0, 0\), expected each",
    ),
    "columns": (
        lambda: F.columns(Tensor(X), 1, 5),
        ShapeError,
        "stop: got 5, expected at most 4",
    ),
    "rows": (
        lambda: F.put_rows(Tensor(X), np.array([0, 9]), 5),
        ShapeError,
        "index: got 9 at",
    ),
    "borders": (
        lambda: F.mean_of_sequences(Tensor(X), np.array([0, 0, 2])),
        ShapeError,
        r"cu_seqlens: got \[0, 0, 2\], expected 0, then the end of each sequence, none empty",
    ),
    "target": (
        lambda: F.mse_loss(Tensor(X), X[:, :1]),
        ShapeError,
        r"target: got shape \(2, 1\), expected \(2, 4\)",
    ),
    "heads": (
        lambda: F.self_attention(Tensor(X[:, :3]), np.array([0, 2], np.int32), 2, 2),
        ShapeError,
        r"qkv: got shape \(2, 3\), expected \(N, 3 C\) with C a multiple of the 2 heads",
    ),
    "a mask": (
        lambda: F.scale(Tensor(np.ma.masked_array(X)), 2.0),
        DTypeError,
        "x: got a masked array, whose mask kernels do not see; fill it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_named(name):
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


def test_soft_caps_and_norms_with_an_offset(leaf, rng):
    x, weight, table = leaf(5, 6), leaf(6), leaf(9, 6)
    check_gradients(lambda: functional.softcap(x, 0.7), [x], rng)
    check_gradients(lambda: functional.rms_norm(x, weight, 1e-6, offset=1.0), [x, weight], rng)
    shifted = type(x)(1 + weight.data)
    np.testing.assert_allclose(
        functional.rms_norm(x, weight, 1e-6, offset=1.0).data,
        functional.rms_norm(x, shifted, 1e-6).data,
    )
    target = np.array([1, -100, 8, 0, 3])

    def loss():
        return functional.fused_linear_cross_entropy(x, table, target, softcap=0.7)

    check_gradients(loss, [x, table], rng)
    logits = functional.softcap(functional.linear(x, table), 0.7)
    wanted = functional.cross_entropy(logits, target).item()
    np.testing.assert_allclose(loss().item(), wanted, rtol=1e-6)

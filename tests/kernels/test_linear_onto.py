"""`linear` onto a residual: the bytes of its three steps, in one pass on the CPU."""

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError

pytestmark = pytest.mark.amx

# (rows, out, in): one, odd, a tile and a bit, more rows than a block, several panels and blocks
CASES = [(1, 1, 1), (5, 17, 3), (7, 130, 33), (100, 203, 40), (300, 65, 5)]


def make(rng, dtype, M, N, K):
    x, residual = rng.standard_normal((M, K)), rng.standard_normal((M, N))
    weight, bias = rng.standard_normal((N, K)), rng.standard_normal(N)
    return [a.astype(dtype) for a in (x, weight, bias, residual)]


def in_steps(x, weight, bias, residual, p, **options):
    y = kernels.linear(x, weight, bias, **options)
    if p:
        y = kernels.dropout(y, p, 3, 4)
    return kernels.add(y, residual)


@pytest.mark.parametrize(("M", "N", "K"), CASES, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_bytes_of_the_steps(backend, dtype, rng, M, N, K, p):
    x, weight, bias, residual = make(rng, dtype, M, N, K)
    drop = {"residual": residual, "dropout_p": p, "seed": 3, "offset": 4}
    for activation in (None, "gelu"):
        expected = in_steps(x, weight, bias, residual, p, activation=activation)
        for w in (weight, np.asfortranarray(weight), kernels.pack_weight(weight)):
            y = kernels.linear(x, w, bias, activation=activation, **drop)
            assert y.tobytes() == expected.tobytes()
    y, z = kernels.linear(x, weight, activation="gelu", return_preactivation=True, **drop)
    assert y.tobytes() == in_steps(x, weight, None, residual, p, activation="gelu").tobytes()
    assert z.tobytes() == kernels.linear(x, weight).tobytes()


def test_leading_axes_and_strides(backend, dtype, rng):
    x, weight, bias, residual = make(rng, dtype, 12, 9, 4)
    expected = in_steps(x, weight, bias, residual, 0.0)
    wide = np.zeros((12, 20), dtype)
    wide[:, :9] = residual
    assert kernels.linear(x, weight, bias, residual=wide[:, :9]).tobytes() == expected.tobytes()
    wide[:, ::2][:, :9] = residual
    strided = wide[:, ::2][:, :9]
    y = kernels.linear(
        np.ascontiguousarray(x.reshape(3, 4, 4).swapaxes(0, 1)).swapaxes(0, 1),
        weight,
        bias,
        residual=strided.reshape(3, 4, 9),
    )
    assert y.shape == (3, 4, 9)
    assert y.tobytes() == expected.tobytes()


def test_nothing_in(backend, dtype, rng):
    for M, N, K in ((0, 3, 2), (3, 0, 2), (3, 4, 0)):
        x, weight, bias, residual = make(rng, dtype, M, N, K)
        y = kernels.linear(x, weight, bias, residual=residual)
        assert y.shape == (M, N)
        assert y.tobytes() == in_steps(x, weight, bias, residual, 0.0).tobytes()


@pytest.mark.cpu("threads")
def test_same_bytes_at_any_thread_count(backend, dtype, rng):
    x, weight, bias, residual = make(rng, dtype, 400, 500, 70)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            y = kernels.linear(x, weight, bias, residual=residual, dropout_p=0.2, seed=1)
        results.add(y.tobytes())
    assert len(results) == 1


def test_bad_arguments_are_named(backend, rng):
    x, weight, bias, residual = make(rng, np.float32, 3, 4, 5)
    with pytest.raises(ShapeError, match=r"residual: got shape \(3, 3\), expected \(3, 4\)"):
        kernels.linear(x, weight, bias, residual=residual[:, :3])
    with pytest.raises(DTypeError, match="residual: got dtype bfloat16, expected float32"):
        kernels.linear(x, weight, bias, residual=residual.astype(ml_dtypes.bfloat16))
    with pytest.raises(ConfigError, match=r"dropout_p: got 0.5 without a residual"):
        kernels.linear(x, weight, bias, dropout_p=0.5, seed=1)
    with pytest.raises(ConfigError, match="seed: got None"):
        kernels.linear(x, weight, bias, residual=residual, dropout_p=0.5)
    with pytest.raises(ShapeError, match=r"weight: got shape \(4, 5\)"):
        kernels.linear(x[:, :4], weight, bias, residual=residual)

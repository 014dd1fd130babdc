"""Optimizer steps and the global gradient norm."""

import math

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x

SHAPES = [(0,), (1,), (3, 17), (65, 64), (20000,)]
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}


def accumulator(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def make(rng, dtype, grad_dtype=None):
    acc = accumulator(dtype)
    params = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    grads = [rng.standard_normal(s).astype(grad_dtype or dtype) for s in SHAPES]
    m = [0.1 * rng.standard_normal(s).astype(acc) for s in SHAPES]
    v = [0.01 * rng.random(s).astype(acc) for s in SHAPES]
    return params, grads, m, v


def copies(arrays):
    return [a.copy() for a in arrays]


@pytest.mark.parametrize("step", [1, 10])
def test_adamw_takes_the_step_of_the_formulas(backend, dtype, rng, step):
    before = make(rng, dtype)
    params, grads, m, v = map(copies, before)
    kernels.adamw_step(params, grads, m, v, step=step, grad_scale=0.5, **ADAMW)
    for i in range(len(SHAPES)):
        assert_2x(
            (params[i], m[i], v[i]),
            reference.adamw_step,
            *(list_[i] for list_ in before),
            step=step,
            grad_scale=0.5,
            dtype=dtype,
            **ADAMW,
        )
        assert grads[i].tobytes() == before[1][i].tobytes()


def test_adamw_on_masters_rounds_once(backend, rng):
    params, grads, m, v = make(rng, ml_dtypes.bfloat16, np.float32)
    masters = [p.astype(np.float32) + 1e-4 for p in params]
    plain = copies(masters), grads, copies(m), copies(v)
    kernels.adamw_step(params, grads, m, v, step=3, masters=masters, **ADAMW)
    kernels.adamw_step(*plain, step=3, **ADAMW)
    for i in range(len(SHAPES)):
        assert masters[i].tobytes() == plain[0][i].tobytes()
        assert params[i].tobytes() == masters[i].astype(ml_dtypes.bfloat16).tobytes()


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_the_step_of_the_formulas(backend, dtype, rng, nesterov, momentum):
    before = make(rng, dtype)
    options = {"lr": 0.1, "momentum": momentum, "nesterov": nesterov and momentum > 0}
    options |= {"weight_decay": 0.01, "grad_scale": 2.0}
    params, grads, m, _ = map(copies, before)
    kernels.sgd_step(params, grads, m if momentum else None, **options)
    for i in range(len(SHAPES)):
        inputs = [before[0][i], before[1][i]] + [before[2][i]] * (momentum > 0)
        actual = (params[i], m[i]) if momentum else params[i]
        assert_2x(actual, reference.sgd_step, *inputs, dtype=dtype, **options)


def test_norm_is_the_norm_of_all_gradients_and_scale_clips_it(backend, dtype, rng):
    grads = make(rng, dtype)[1]
    exact = math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
    norm, scale = kernels.clip_grad_norm(grads, 1.0)
    assert norm == pytest.approx(exact, rel=1e-6)
    assert scale == pytest.approx(1.0 / (exact + 1e-6), rel=1e-6)
    assert kernels.clip_grad_norm(grads, 1e9)[1] == 1.0
    assert kernels.clip_grad_norm(grads, None) == (norm, 1.0)
    assert kernels.clip_grad_norm([], 1.0) == (0.0, 1.0)


def test_norm_outside_the_range_of_float32_squares(backend):
    for value in (1e30, 1e-30):
        grads = [np.full(100, value, np.float32)]
        assert kernels.clip_grad_norm(grads, 1.0)[0] == pytest.approx(10 * value, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_norm_shows_a_gradient_that_is_not_finite(backend, dtype, rng, bad):
    grads = make(rng, dtype)[1]
    grads[3][5, 5] = bad
    norm, scale = kernels.clip_grad_norm(grads, 1.0)
    assert not math.isfinite(norm)
    assert math.isnan(scale)


def test_norm_takes_mixed_types(backend, rng):
    grads = [rng.standard_normal(50).astype(d) for d in (np.float32, ml_dtypes.bfloat16)]
    exact = math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
    assert kernels.clip_grad_norm(grads, None)[0] == pytest.approx(exact, rel=1e-6)


@pytest.mark.cpu("threads")
def test_same_bytes_at_any_thread_count(backend, dtype, rng):
    before = make(rng, dtype)
    results = set()
    for threads in (1, 2, 3, 7):
        params, grads, m, v = map(copies, before)
        with pf.runtime.num_threads(threads):
            norm, scale = kernels.clip_grad_norm(grads, 1.0)
            kernels.adamw_step(params, grads, m, v, step=2, grad_scale=scale, **ADAMW)
        results.add((norm, *(a.tobytes() for a in (*params, *m, *v))))
    assert len(results) == 1


def test_accumulate_sums_in_the_wider_type(backend, dtype, rng):
    x = rng.standard_normal((5, 33)).astype(dtype)
    out = rng.standard_normal((5, 33)).astype(accumulator(dtype))
    expected = out + x.astype(out.dtype)
    kernels.accumulate(out, x)
    assert out.tobytes() == expected.tobytes()
    with pytest.raises(ShapeError, match=r"out: got shape \(5, 33\), expected \(5, 32\)"):
        kernels.accumulate(out, x[:, :-1])


def test_bad_lists_are_named_and_nothing_is_written(backend, rng):
    params, grads, m, v = make(rng, np.float32)
    before = copies(params)
    with pytest.raises(ShapeError, match="grads: got 4 arrays, expected 5 like params"):
        kernels.adamw_step(params, grads[1:], m, v, step=1, lr=0.1)
    with pytest.raises(DTypeError, match="params: got tuple, expected a list of arrays"):
        kernels.adamw_step(tuple(params), grads, m, v, step=1, lr=0.1)
    with pytest.raises(ShapeError, match=r"grads\[2\]: got shape \(17, 3\), expected \(3, 17\)"):
        kernels.adamw_step(params, [*grads[:2], grads[2].T, *grads[3:]], m, v, step=1, lr=0.1)
    with pytest.raises(DTypeError, match=r"exp_avgs\[4\]: got dtype float64, expected float32"):
        kernels.adamw_step(params, grads, [*m[:4], m[4].astype(float)], v, step=1, lr=0.1)
    with pytest.raises(ShapeError, match="step: got 0, expected at least 1"):
        kernels.adamw_step(params, grads, m, v, step=0, lr=0.1)
    with pytest.raises(ConfigError, match="lr: got nan, expected a number from 0"):
        kernels.adamw_step(params, grads, m, v, step=1, lr=math.nan)
    with pytest.raises(ConfigError, match="momentum_buffers: got None"):
        kernels.sgd_step(params, grads, lr=0.1, momentum=0.9)
    with pytest.raises(ConfigError, match=r"max_norm: got 0\.0"):
        kernels.clip_grad_norm(grads, 0.0)
    params[4].flags.writeable = False
    with pytest.raises(ConfigError, match=r"params\[4\]: got a read-only array"):
        kernels.sgd_step(params, grads, lr=0.1)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(params, before))

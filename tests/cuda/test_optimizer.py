"""Optimizer steps and the gradient norm on the emulated device: many tensors, one launch."""

import math

import ml_dtypes
import numpy as np
import pytest

from plainformer import _cpu, kernels
from tests import reference
from tests.accuracy import assert_2x
from tests.cuda.calls import DTYPES
from tests.emulated import emulated, to_device

# Empty ones at both ends, a tail behind vectors, several blocks of 8192 elements with a tail.
SHAPES = [(0,), (1,), (3, 17), (65, 64), (0, 4), (20005,), (0,)]
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}


def make(rng, dtype, grad_dtype=None):
    params = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    grads = [rng.standard_normal(s).astype(grad_dtype or dtype) for s in SHAPES]
    m = [0.1 * rng.standard_normal(s).astype(np.float32) for s in SHAPES]
    v = [0.01 * rng.random(s).astype(np.float32) for s in SHAPES]
    return params, grads, m, v


def on_device(lists):
    return [[to_device(a) for a in arrays] for arrays in lists]


def on_host(lists):
    return [[kernels.asnumpy(a) for a in arrays] for arrays in lists]


@pytest.mark.parametrize("step", [1, 10])
def test_adamw_takes_the_step_of_the_formulas(dtype, rng, step):
    before = make(rng, dtype)
    with emulated() as device:
        lists = on_device(before)
        device.reset_stats()
        kernels.adamw_step(*lists, step=step, grad_scale=0.5, **ADAMW)
        assert device.stats()["blocks"] == 6  # of the tensors that have elements, in one launch
        params, grads, m, v = on_host(lists)
    for i in range(len(SHAPES)):
        inputs, options = [arrays[i] for arrays in before], dict(ADAMW, step=step, grad_scale=0.5)
        ours = params[i], m[i], v[i]
        assert_2x(ours, reference.adamw_step, *inputs, dtype=dtype, **options)
        assert grads[i].tobytes() == before[1][i].tobytes()


@pytest.mark.skipif(_cpu.current_level() == "generic", reason="multiply-adds round twice there")
def test_adamw_in_float32_is_the_cpus_bit_for_bit(rng):
    """The same operations in the same order, each rounded once."""
    host = make(rng, np.float32)
    with emulated():
        lists = on_device(host)
        kernels.adamw_step(*lists, step=3, grad_scale=0.5, **ADAMW)
        params, _, m, v = on_host(lists)
    kernels.adamw_step(*host, step=3, grad_scale=0.5, **ADAMW)
    for ours, wanted in zip((params, m, v), (host[0], host[2], host[3])):
        assert [a.tobytes() for a in ours] == [a.tobytes() for a in wanted]


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("take", ["adamw", "sgd"])
def test_a_step_on_masters_rounds_once(rng, dtype, take):
    params, grads, m, v = make(rng, dtype, np.float32)
    masters = [p.astype(np.float32) + 1e-4 for p in params]
    with emulated():
        lists = on_device((params, masters, grads, m, m, v, v, masters))
        params, plain, grads, m, plain_m, v, plain_v, masters = lists
        if take == "adamw":
            kernels.adamw_step(params, grads, m, v, step=3, masters=masters, **ADAMW)
            kernels.adamw_step(plain, grads, plain_m, plain_v, step=3, **ADAMW)
        else:
            options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
            kernels.sgd_step(params, grads, m, masters=masters, **options)
            kernels.sgd_step(plain, grads, plain_m, **options)
        params, masters, plain = on_host((params, masters, plain))
    for ours, master, wanted in zip(params, masters, plain):
        assert master.tobytes() == wanted.tobytes()
        assert ours.tobytes() == master.astype(dtype).tobytes()


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_the_step_of_the_formulas(dtype, rng, nesterov, momentum):
    before = make(rng, dtype)[:3]
    options = {"lr": 0.1, "momentum": momentum, "nesterov": nesterov and momentum > 0}
    options |= {"weight_decay": 0.01, "grad_scale": 2.0}
    with emulated():
        params, grads, m = on_device(before)
        kernels.sgd_step(params, grads, m if momentum else None, **options)
        params, m = on_host((params, m))
    for i in range(len(SHAPES)):
        inputs = [before[0][i], before[1][i]] + [before[2][i]] * (momentum > 0)
        actual = (params[i], m[i]) if momentum else params[i]
        assert_2x(actual, reference.sgd_step, *inputs, dtype=dtype, **options)


def test_tensors_at_odd_places_get_the_same_step(dtype, rng):
    """Views that begin between multiples of 16 bytes go element by element."""
    size = 9001
    arrays = [rng.standard_normal(size) for _ in range(3)] + [rng.random(size)]
    types = dtype, dtype, np.float32, np.float32
    arrays = [a.astype(t) for a, t in zip(arrays, types)]
    with emulated():
        even = [[to_device(a)] for a in arrays]
        odd = [[to_device(np.concatenate([a[:1], a]))[1:]] for a in arrays]
        results = []
        for lists in (even, odd):
            scale = kernels.clip_grad_norm(lists[1], 1.0)[1]
            kernels.adamw_step(*lists, step=2, grad_scale=scale, **ADAMW)
            results.append([a.tobytes() for (a,) in on_host(lists)])
    assert results[0] == results[1]


def test_norm_is_the_norm_of_all_gradients_in_every_order(dtype, rng):
    grads = make(rng, dtype)[1]
    exact = math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
    norms = set()
    for order, poison in (("fifo", 0xFF), ("lifo", 0x7E), ("5", 0x7E)):
        with emulated(order=order, poison=poison):
            norms.add(kernels.clip_grad_norm(on_device([grads])[0], 1.0))
    assert len(norms) == 1
    norm, scale = norms.pop()
    assert norm == pytest.approx(exact, rel=1e-12)
    assert scale == pytest.approx(1.0 / (exact + 1e-6), rel=1e-12)


@pytest.mark.parametrize("value", [1e30, 1e-30, np.nan, np.inf])
def test_norm_outside_the_range_of_float32_squares(value):
    grads = np.full(100, value, np.float32)
    with emulated():
        norm = kernels.clip_grad_norm([to_device(grads)], 1.0)[0]
    assert norm == pytest.approx(10 * float(np.float32(value)), rel=1e-6, nan_ok=True)


def test_norm_takes_mixed_types_and_no_gradients(rng):
    grads = [rng.standard_normal(50).astype(d) for d in DTYPES.values()]
    exact = math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
    with emulated():
        assert kernels.clip_grad_norm(on_device([grads])[0], None)[0] == pytest.approx(exact)
        assert kernels.clip_grad_norm([to_device(np.zeros(0, np.float32))], 1.0)[0] == 0.0

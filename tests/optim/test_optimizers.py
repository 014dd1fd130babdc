"""Groups, steps and state of the public optimizers; their arithmetic is tests/kernels'."""

import json
import math

import ml_dtypes
import numpy as np
import pytest

from plainformer import functional, nn, optim
from plainformer.checkpoints import load_file, save_file
from plainformer.errors import CheckpointError, ConfigError, DTypeError, NonFiniteError, ShapeError
from plainformer.parameter import Parameter
from plainformer.tensor import Tensor

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
KINDS = {
    "adamw": lambda params, **options: optim.AdamW(params, lr=0.1, **options),
    "sgd": lambda params, **options: optim.SGD(params, lr=0.1, **options),
    "momentum": lambda params, **options: optim.SGD(
        params, lr=0.1, momentum=0.9, nesterov=True, **options
    ),
}


def parameters(*shapes, dtype=np.float32):
    rng = np.random.default_rng(0)
    found = [Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
    for parameter in found:
        give_gradient(parameter)
    return found


def give_gradient(parameter, value=1.0):
    parameter.grad = np.full(parameter.shape, value, parameter.dtype)


def bytes_of(params):
    return [parameter.data.tobytes() for parameter in params]


@pytest.mark.parametrize("kind", KINDS)
def test_a_least_squares_fit_is_found(kind):
    """By hand: forward, backward, clip, step, schedule."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 3)).astype(np.float32)
    target = x @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 0.25
    layer = nn.Linear(3, 1)
    optimizer = KINDS[kind](layer.parameters(), weight_decay=0.0)
    scheduler = optim.get_scheduler("cosine", optimizer, num_training_steps=200)
    for _ in range(200):
        functional.mse_loss(layer(Tensor(x)), target).backward()
        optim.clip_grad_norm_(layer.parameters(), 5.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    assert float(np.asarray(functional.mse_loss(layer(Tensor(x)), target))) < 1e-3


def test_a_parameter_without_a_gradient_is_left_alone_and_does_not_age():
    """Its first step comes late, and is as long as a first step."""
    late, early = parameters((4,), (4,))
    optimizer = optim.AdamW([late, early], lr=0.1, weight_decay=0.5)
    before = late.data.copy()
    late.grad = None
    for _ in range(3):
        optimizer.step()
    assert late.data.tobytes() == before.tobytes()
    give_gradient(late)
    optimizer.step()
    np.testing.assert_allclose(late.data, before * 0.95 - 0.1, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_have_options_of_their_own(kind):
    slow, fast = parameters((3, 2), (3, 2))
    fast.assign(slow.data.copy())
    start = slow.data.copy()
    groups = [{"params": [slow], "lr_scale": 0.25}, {"params": fast, "lr": 0.2}]
    optimizer = KINDS[kind](groups, weight_decay=0.0)
    optimizer.step()
    np.testing.assert_allclose((fast.data - start) / (slow.data - start), 8.0, rtol=1e-4)


def test_parameters_of_several_dtypes_step_together():
    wide, single = parameters((3,), dtype=np.float64) + parameters((3,))
    [narrow] = parameters((3,), dtype=BFLOAT16)
    optimizer = optim.AdamW([wide, single, narrow], lr=2.0**-12, weight_decay=0.0)
    state = optimizer.state_dict()
    assert state["exp_avg.0"].dtype == np.float64
    assert state["exp_avg.2"].dtype == state["master.2"].dtype == np.float32
    assert "master.1" not in state
    before = narrow.data.astype(np.float32)
    for _ in range(1024):
        optimizer.step()
    np.testing.assert_allclose(narrow.data.astype(np.float32), before - 0.25, atol=0.01)


@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_state_goes_through_a_file(kind, dtype, tmp_path):
    def make(params):
        optimizer = KINDS[kind](params)
        return optimizer, optim.get_scheduler("linear", optimizer, 2, 10)

    ours, twins = (parameters((3, 2), (4,), dtype=dtype) for _ in range(2))
    optimizer, scheduler = make(ours)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    save_file(optimizer.state_dict(), tmp_path / "optimizer.safetensors")
    other, other_scheduler = make(twins)
    for twin, parameter in zip(twins, ours):
        twin.assign(parameter.data.copy())
    other.load_state_dict(load_file(tmp_path / "optimizer.safetensors"))
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    other_scheduler.load_state_dict(scheduler.state_dict())
    for _ in range(2):
        for each, its in ((optimizer, scheduler), (other, other_scheduler)):
            each.step()
            its.step()
    assert bytes_of(twins) == bytes_of(ours)
    assert other_scheduler.get_last_lr() == scheduler.get_last_lr()


def test_state_of_others_is_refused_and_nothing_is_written():
    params = parameters((3, 2))
    optimizer = optim.AdamW(params)
    optimizer.step()
    state = {name: array.copy() for name, array in optimizer.state_dict().items()}
    other = {name: array for name, array in state.items() if not name.startswith("exp_avg_sq")}
    with pytest.raises(CheckpointError, match="1 arrays do not fit this AdamW, such as exp_avg_sq"):
        optimizer.load_state_dict(other)
    wrong = {"exp_avg.0": state["exp_avg.0"] * 0, "exp_avg_sq.0": np.zeros(2, np.float32)}
    with pytest.raises(CheckpointError, match=r"exp_avg_sq.0 has shape \(2,\), expected \(3, 2\)"):
        optimizer.load_state_dict({**state, **wrong})
    for name, array in optimizer.state_dict().items():
        assert array.tobytes() == state[name].tobytes(), name


def test_names_come_from_named_parameters():
    layer = nn.Linear(2, 2)
    names = {"exp_avg.weight", "exp_avg_sq.bias", "step.weight", "param_groups.0.betas"}
    assert names <= optim.AdamW(layer.named_parameters()).state_dict().keys()
    assert "AdamW(lr=0.001" in repr(optim.AdamW(layer.parameters()))


BAD = {
    "one": (lambda p: optim.SGD(p[0]), DTypeError, "expected an iterable of Parameters"),
    "none": (lambda p: optim.SGD([]), ConfigError, "got no parameters"),
    "array": (lambda p: optim.SGD([p[0].data]), DTypeError, "got ndarray, expected nn.Parameters"),
    "twice": (lambda p: optim.SGD([p[0], p[0]]), ConfigError, "twice"),
    "same name": (lambda p: optim.SGD([("a", p[0]), ("a", p[1])]), ConfigError, "got a twice"),
    "word": (lambda p: optim.SGD([{"params": p, "beta": 1}]), ConfigError, "group with beta"),
    "lr": (lambda p: optim.AdamW(p, lr=-1.0), ConfigError, "lr: got -1"),
    "betas": (lambda p: optim.AdamW(p, betas=(0.9, 1.0)), ConfigError, "betas"),
    "eps": (lambda p: optim.AdamW([{"params": p, "eps": -1.0}]), ConfigError, "eps: got -1"),
    "nesterov": (lambda p: optim.SGD(p, nesterov=True), ConfigError, "nesterov"),
    "decay": (lambda p: optim.SGD(p, weight_decay="1"), DTypeError, "weight_decay"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_optimizer_is_told(name):
    make, error, words = BAD[name]
    with pytest.raises(error, match=words):
        make(parameters((2,), (2,)))


@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16, np.float64], ids=str)
def test_gradients_are_clipped_in_place(dtype):
    params = parameters((4, 4), (9,), dtype=dtype)
    params.append(Parameter(np.zeros(3, dtype)))  # without a gradient
    before = [p.grad for p in params]
    assert optim.clip_grad_norm_(params, 10.0) == 5.0
    assert [p.grad for p in params] == before, "below the limit they are left alone"
    assert optim.clip_grad_norm_(iter(params), 1.0) == 5.0
    assert params[0].grad.dtype == dtype
    assert (before[0] == 1).all(), "an array that others may hold is not written"
    norm = math.sqrt(sum((p.grad.astype(np.float64) ** 2).sum() for p in params[:2]))
    assert norm == pytest.approx(1.0, rel=1e-2 if dtype == BFLOAT16 else 1e-5)
    assert params[2].grad is None
    assert optim.clip_grad_norm_(params[2], 1.0) == 0.0


def test_a_gradient_that_is_not_finite_is_told_before_anything_is_scaled():
    params = parameters((2,), (2,))
    params[1].grad[0] = np.inf
    with pytest.raises(NonFiniteError, match="norm of all gradients"):
        optim.clip_grad_norm_(params, 1.0)
    assert optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=False) == math.inf
    assert (params[0].grad == 1).all()
    with pytest.raises(ConfigError, match="max_norm"):
        optim.clip_grad_norm_(params, 0.0)


def test_a_gradient_of_another_shape_is_told():
    params = parameters((2, 3))
    params[0].grad = np.ones((3, 2), np.float32)
    with pytest.raises(ShapeError, match=r"grads\[0\]"):
        optim.AdamW(params).step()


def test_a_schedule_moves_every_group_from_its_own_rate():
    a, b = parameters((1,), (1,))
    optimizer = optim.SGD([{"params": a, "lr": 1.0}, {"params": b, "lr": 0.1}])
    scheduler = optim.get_scheduler("linear", optimizer, 2, 6, min_lr=0.05)
    rates = [scheduler.get_last_lr()]
    for _ in range(6):
        scheduler.step()
        rates.append(scheduler.get_last_lr())
    first, second = zip(*rates)
    assert first == pytest.approx([0, 0.5, 1, 0.7625, 0.525, 0.2875, 0.05])
    assert second == pytest.approx([0, 0.05, 0.1, 0.0875, 0.075, 0.0625, 0.05])


def test_any_function_is_a_schedule():
    optimizer = optim.SGD(parameters((1,)), lr=np.float32(8))
    scheduler = optim.LambdaLR(optimizer, lambda step: 0.5**step)
    scheduler.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    for _ in range(3):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 1.0
    with pytest.raises(ConfigError, match="got 2 functions, expected 1"):
        optim.LambdaLR(optimizer, [float, float])
    for wrong in ({"last_epoch": 1, "base_lrs": []}, {"last_epoch": -1, "base_lrs": [1.0]}):
        with pytest.raises(CheckpointError, match="base_lrs"):
            scheduler.load_state_dict(wrong)
    for state in ({}, None, {"last_epoch": "1", "base_lrs": [1.0]}):
        with pytest.raises(CheckpointError, match="state"):
            scheduler.load_state_dict(state)
    for given in (5, "a", [5]):
        with pytest.raises(ConfigError, match=r"lr_lambda: got .*expected a function"):
            optim.LambdaLR(optimizer, given)
    with pytest.raises(DTypeError, match="lr_lambda: result: got None"):
        optim.LambdaLR(optimizer, lambda step: None)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("linear", {}, "num_training_steps: got None"),
        ("triangle", {"num_training_steps": 3}, "got 'triangle'"),
        ("constant", {"num_warmup_steps": 3}, "num_warmup_steps: has no effect"),
        ("constant_with_warmup", {"min_lr": 0.01}, "min_lr: has no effect"),
        ("cosine", {"num_training_steps": 3, "min_lr": 1.0}, "min_lr: got 1.0, expected from 0"),
        ("linear", {"num_training_steps": 3, "scheduler_specific_kwargs": {"power": 2}}, "power"),
        ("linear", {"num_training_steps": 3, "scheduler_specific_kwargs": [1]}, "got \\[1\\]"),
        ("linear", {"num_training_steps": -3}, "num_training_steps: got -3"),
        ("linear", {"num_training_steps": "3"}, "num_training_steps: got '3'"),
        ("linear", {"num_training_steps": 3, "num_warmup_steps": 0.1}, "num_warmup_steps: got 0.1"),
        ("linear", {"num_training_steps": 3, "num_warmup_steps": -1}, "num_warmup_steps: got -1"),
        ("cosine", {"num_training_steps": 3, "min_lr": "0"}, "min_lr: got '0'"),
    ],
)
def test_options_of_schedules_are_checked(name, options, words):
    optimizer = optim.SGD(parameters((1,)), lr=0.1)
    with pytest.raises(ConfigError, match=words):
        optim.get_scheduler(name, optimizer, **options)


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup", "inverse_sqrt"])
def test_schedules_without_an_end_need_no_number_of_steps(name):
    optimizer = optim.SGD(parameters((1,)), lr=0.1)
    scheduler = optim.get_scheduler(name, optimizer)
    for _ in range(3):
        scheduler.step()
    assert 0 < optimizer.param_groups[0]["lr"] <= 0.1


WRONG_RATES = {
    "text": ({"lr": "fast"}, DTypeError, "lr: got 'fast', expected a number"),
    "none": ({"lr": None}, DTypeError, "lr: got None"),
    "scale": ({"lr": 0.1, "lr_scale": -1}, ConfigError, "lr_scale: got -1"),
    "large": ({"lr": 10**400}, ConfigError, "lr: got an integer of 1329 bits"),
}


@pytest.mark.parametrize("kind", [optim.AdamW, optim.SGD])
@pytest.mark.parametrize("name", WRONG_RATES)
def test_a_rate_is_a_number_at_once_and_when_it_is_written(kind, name):
    options, error, words = WRONG_RATES[name]
    [weight] = parameters((2,))
    optimizer, before = kind([weight]), bytes_of([weight])
    optimizer.param_groups[0].update(options)
    for call in (lambda: kind([{"params": [weight], **options}]), optimizer.step):
        with pytest.raises(error, match=words):
            call()
    assert bytes_of([weight]) == before


def test_what_is_no_group_or_pair_is_told():
    first, second = parameters((2,), (3,))
    optimizer = optim.SGD([("first", first)])
    with pytest.raises(DTypeError, match="group: got Parameter"):
        optimizer.add_param_group(second)
    with pytest.raises(ConfigError, match="params: got first twice"):
        optimizer.add_param_group({"params": [first]})
    with pytest.raises(DTypeError, match="params: got tuple"):
        optim.SGD([(1, first)])
    with pytest.raises(ConfigError, match=r"momentum: got 0\.9 for a group of an SGD without"):
        optimizer.add_param_group({"params": [second], "momentum": 0.9})
    with pytest.raises(DTypeError, match="params: got str"):
        optimizer.add_param_group({"params": [second, "third"]})
    optimizer.add_param_group({"params": [second]})  # of which nothing was noted


WRONG_STATES = {
    "no dict": (lambda state: None, "state: got None"),
    "a list": (lambda state: {**state, "exp_avg.1": [0.0]}, "exp_avg.1: got .*expected an array"),
    "texts": (lambda state: {**state, "exp_avg.1": np.array(["a"] * 3)}, "expected an array"),
    "a rate": (lambda state: {**state, "param_groups.0.lr": np.asarray(-1.0)}, "0: lr: got -1.0"),
    "a step": (lambda state: {**state, "step.1": np.asarray(-1)}, "step: got -1"),
}


@pytest.mark.parametrize("name", WRONG_STATES)
def test_nothing_of_a_wrong_state_is_taken(name):
    change, words = WRONG_STATES[name]
    params = parameters((2,), (3,))
    optimizer, other = optim.AdamW(params), optim.AdamW(parameters((2,), (3,)))
    optimizer.step()
    with pytest.raises(CheckpointError, match=words):
        other.load_state_dict(change(optimizer.state_dict()))
    assert not any(array.any() for n, array in other.state_dict().items() if "param" not in n)


@pytest.mark.parametrize("given", ["weights", None, 3, [np.ones(2)], nn.Linear(2, 2)], ids=repr)
def test_what_cannot_be_clipped_is_told(given):
    with pytest.raises(DTypeError, match="parameters: got"):
        optim.clip_grad_norm_(given, 1.0)


def test_states_come_whole_where_a_part_was_given():
    """As `Trainer` gives the masters, and after a change of dtype between steps."""
    weight, other = parameters((2,), (3,))
    optimizer = optim.AdamW([weight, other])
    optimizer.state[other] = {"step": 0}
    optimizer.step()
    for parameter in (weight, other):
        parameter.assign(parameter.data.astype(BFLOAT16))
        give_gradient(parameter)
    optimizer.step()
    for parameter in (weight, other):
        state = optimizer.state[parameter]
        assert sorted(state) == ["exp_avg", "exp_avg_sq", "master", "step"]
        assert state["step"] == 2


def test_a_master_follows_whoever_else_writes_its_parameter():
    """Weights that are loaded between two steps are those that the next one changes."""
    [weight] = parameters((3,), dtype=BFLOAT16)
    optimizer = optim.SGD([weight], lr=2.0**-12)
    optimizer.step()
    kept = optimizer.state[weight]["master"].copy()
    weight.copy_from(weight.data)  # the same numbers: the master knows more of them
    optimizer.step()
    assert np.array_equal(optimizer.state[weight]["master"], kept - np.float32(2.0**-12))
    weight.copy_from(np.full(3, 100, BFLOAT16))
    optimizer.step()
    assert weight.data.astype(float).tolist() == [100, 100, 100]
    for dtype in (np.float32, BFLOAT16):  # there and back
        weight.copy_from(np.full(3, 50), dtype)
        give_gradient(weight)
        assert ("master.0" in optimizer.state_dict()) == (dtype is BFLOAT16)
        optimizer.step()
    assert weight.data.astype(float).tolist() == [50, 50, 50]


def test_masters_that_were_loaded_are_kept_whatever_comes_first():
    [weight], [other] = parameters((3,), dtype=BFLOAT16), parameters((3,), dtype=BFLOAT16)
    first, second = (optim.SGD([one], lr=2.0**-12) for one in (weight, other))
    first.step()
    second.step()
    second.load_state_dict(first.state_dict())
    other.copy_from(weight.data)
    for optimizer in (first, second):
        optimizer.step()
    assert np.array_equal(first.state[weight]["master"], second.state[other]["master"])

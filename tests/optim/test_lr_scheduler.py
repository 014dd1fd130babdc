"""Schedules against their formulas, written out again here."""

import math

import pytest

from plainformer.errors import ConfigError
from plainformer.optim.lr_scheduler import SCHEDULES, make_schedule

WARMUP, TOTAL, FLOOR = 5, 25, 0.1


def after_warmup(step):
    return (step - WARMUP) / (TOTAL - WARMUP)


FORMULAS = {
    "linear": lambda s: FLOOR + (1 - FLOOR) * (1 - after_warmup(s)),
    "cosine": lambda s: FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * after_warmup(s))) / 2,
    "cosine_with_min_lr": lambda s: (
        FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * after_warmup(s))) / 2
    ),
    "constant_with_warmup": lambda s: 1.0,
    "polynomial": lambda s: FLOOR + (1 - FLOOR) * (1 - after_warmup(s)) ** 3,
    "inverse_sqrt": lambda s: max(FLOOR, math.sqrt(WARMUP / s)),
    "warmup_stable_decay": lambda s: 1.0 if s < 21 else FLOOR + (1 - FLOOR) * (1 - (s - 21) / 4),
}
OPTIONS = {
    "polynomial": {"power": 3},
    "warmup_stable_decay": {"num_decay_steps": 4, "decay_type": "linear"},
}


def make(name, **changes):
    options = {"warmup_steps": WARMUP, "total_steps": TOTAL, "floor": FLOOR,
               "options": OPTIONS.get(name)}  # fmt: skip
    return make_schedule(name, **{**options, **changes})


@pytest.mark.parametrize("name", FORMULAS)
def test_warmup_rises_linearly_from_zero(name):
    assert [make(name)(s) for s in range(WARMUP)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("name", FORMULAS)
def test_every_step_after_the_warmup_follows_the_formula(name):
    steps = range(WARMUP, TOTAL)
    assert [make(name)(s) for s in steps] == pytest.approx([FORMULAS[name](s) for s in steps])


def test_every_schedule_but_constant_is_tested():
    assert set(FORMULAS) == set(SCHEDULES) - {"constant"}


def test_constant_is_one_throughout():
    assert {make_schedule("constant", total_steps=9)(s) for s in range(9)} == {1.0}


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial", "warmup_stable_decay"])
def test_falls_to_the_floor_at_the_end_and_stays_there(name):
    assert make(name)(TOTAL) == pytest.approx(FLOOR)
    assert make(name)(TOTAL + 7) == pytest.approx(FLOOR)


@pytest.mark.parametrize("decay", ["linear", "cosine", "1-sqrt"])
def test_stable_phase_ends_with_a_decay_of_a_tenth_by_default(decay):
    factor = make_schedule("warmup_stable_decay", total_steps=30, options={"decay_type": decay})
    assert factor(27) == 1.0 > factor(28) > factor(29) > factor(30) == pytest.approx(0, abs=1e-12)


def test_num_cycles_and_timescale_change_the_curve():
    whole_wave = make("cosine", options={"num_cycles": 1})
    assert whole_wave(15) == pytest.approx(FLOOR)
    slow = make("inverse_sqrt", options={"timescale": 100})
    assert slow(25) == pytest.approx(1 / math.sqrt(1.2))


def test_warmup_longer_than_the_run_only_rises():
    assert make("linear", warmup_steps=100)(24) == pytest.approx(0.24)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("linear", {"power": 2}, "'power', schedule 'linear' takes none"),
        ("cosine", {"min_lr": 0.1}, "set the field min_lr instead"),
        ("cosine", {"num_cycles": -1}, "num_cycles: got -1, expected a number above 0"),
        ("polynomial", {"power": True}, "power: got True, expected a number above 0"),
        ("warmup_stable_decay", {"decay_type": "step"}, "decay_type: got 'step', expected one of"),
        ("triangle", {}, "lr_scheduler_type: got 'triangle'"),
    ],
)
def test_unknown_names_and_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_schedule(name, total_steps=3, options=options)

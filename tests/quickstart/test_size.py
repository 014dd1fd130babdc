"""How much quickstart trains, and how long it may: what the machine does in time."""

import pytest

from plainformer.models.registry import from_config
from plainformer.quickstart import clock as clocks
from plainformer.quickstart import size as sizes
from plainformer.quickstart.clock import Clock
from plainformer.quickstart.size import SIZES, Choice, choose, estimate


@pytest.mark.parametrize(
    ("update", "max_seconds", "name"),
    [
        ({128: 0.01, 64: 0.005}, None, "large"),
        ({128: 0.03, 64: 0.015}, None, "medium"),
        ({128: 0.06, 64: 0.03}, None, "small"),
        ({128: 0.9, 64: 0.5}, None, "small"),
        ({128: 0.01, 64: 0.005}, 30, "medium"),
        ({128: 0.01, 64: 0.005}, 900, "large"),
        ({128: 0.03, 64: 0.015}, 1, "small"),
    ],
)
def test_the_largest_size_that_fits_is_chosen(monkeypatch, update, max_seconds, name):
    monkeypatch.setattr(sizes, "update_seconds", update.__getitem__)
    choice = choose(None, max_seconds)
    assert choice.size is SIZES[name]
    assert choice.seconds == estimate(choice.size, update[choice.size.width])


def test_a_size_that_is_named_is_taken_and_nothing_is_measured(monkeypatch):
    monkeypatch.delattr(sizes, "update_seconds")
    assert [choose(name, 1.0) for name in SIZES] == [Choice(size) for size in SIZES.values()]


def test_the_sizes_fall():
    costs = [estimate(size, size.width) for size in SIZES.values()]
    assert costs == sorted(costs, reverse=True)
    assert all(from_config({**s.config, "vocab_size": 9}, seed=0) for s in SIZES.values())


def test_measuring_takes_a_moment_and_width_costs():
    narrow, wide = (sizes.update_seconds(width) for width in (32, 128))
    assert 0 < narrow < wide


def test_each_training_gets_its_share_of_the_time_that_is_left(monkeypatch):
    monkeypatch.setattr(clocks.time, "monotonic", lambda: now)
    now = 100.0
    clock = Clock(60)
    assert [limit.max_seconds for limit in clock.limits(0.75)] == [45]
    now = 150.0
    assert [limit.max_seconds for limit in clock.limits(0.5)] == [5]
    assert not clock.is_over()
    now = 161.0
    assert clock.is_over()
    assert Clock(None).limits(0.5) == []
    assert not Clock(None).is_over()

"""Choosing, checking, taking turns: with peers in this process, which a test can bend."""

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest

from plainformer.bench import report
from plainformer.bench.case import Case
from plainformer.bench.peers import Ways
from plainformer.bench.peers.server import Server
from plainformer.bench.process import PeerError
from plainformer.bench.runner import Plan, Result, run_case

CASE = Case("softmax", "forward", "float32", {"rows": 8, "columns": 16})
PLAN = Plan(rounds=3, seconds=0.001, trial_seconds=0.001)
CEILINGS = dict.fromkeys(("float32", "bfloat16", "int8", "copy", "stream", "read"), 1000000000.0)


class LocalChild:
    """A peer's process, without the process; remembers what it was asked."""

    def __init__(self, module):
        self.handlers = Server(module).handlers()
        self.asked = []

    def ask(self, do, *, timeout=None, **values):
        self.asked.append(do)
        try:
            return self.handlers[do](**values)
        except Exception as error:
            raise PeerError(str(error)) from error


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def peer(name, *functions):
    """A peer whose ways to compute softmax are `functions`."""
    ways = Ways("float32")
    for i, function in enumerate(functions):
        ways("softmax", name=f"way {i}")(lambda case, x, grad_output, f=function: lambda: f(x))
    module = SimpleNamespace(WAYS=ways, load=lambda a: a, to_numpy=np.asarray)
    return SimpleNamespace(name=name, children={"default": LocalChild(module)})


def slow_softmax(x):
    for _ in range(20):
        softmax(x)
    return softmax(x)


def test_a_slower_peer_has_a_ratio_above_one():
    cell = run_case(CASE, [peer("ours", softmax), peer("other", slow_softmax)], PLAN)
    assert cell.ratio(cell.others[0]) > 4
    assert not cell.wrong
    assert cell.ours.seconds.count >= PLAN.rounds


def test_the_fastest_way_of_a_peer_is_taken():
    other = peer("other", slow_softmax, softmax)
    cell = run_case(CASE, [peer("ours", softmax), other], PLAN)
    assert cell.others[0].way == "way 1"


def test_turns_are_interleaved():
    order = []

    def noting(name):
        def function(x):
            if not order or order[-1] != name:
                order.append(name)
            return softmax(x)

        return function

    run_case(CASE, [peer("ours", noting("ours")), peer("other", noting("other"))], PLAN)
    assert order == ["ours", "other"] * (1 + PLAN.rounds)  # the check, then the rounds


def test_our_wrong_result_is_said_and_not_timed():
    cell = run_case(CASE, [peer("ours", lambda x: x), peer("other", softmax)], PLAN)
    assert cell.wrong
    assert cell.ours.seconds is None
    assert cell.ratio(cell.others[0]) is None
    assert "WRONG: error" in report.row(cell, CEILINGS)


def test_an_inexact_peer_is_timed_and_marked():
    cell = run_case(CASE, [peer("ours", softmax), peer("other", lambda x: softmax(x) * 1.1)], PLAN)
    assert cell.others[0].error == pytest.approx(0.1, rel=1e-3)
    assert report.row(cell, CEILINGS).endswith("!")


def test_a_peer_that_lacks_the_operation_is_a_dash():
    cell = run_case(CASE, [peer("ours", softmax), peer("other")], PLAN)
    assert cell.others[0].note == "no softmax forward in float32"
    assert report.row(cell, CEILINGS).endswith(" -")


def test_a_peer_that_fails_leaves_the_others_alone():
    def broken(x):
        raise ValueError("cannot")

    cell = run_case(CASE, [peer("ours", softmax), peer("other", broken)], PLAN)
    assert cell.others[0].note == "cannot"
    assert cell.ours.seconds is not None
    assert report.row(cell, CEILINGS).endswith("failed")


def test_a_peer_that_has_died_does_not_end_the_run():
    other = peer("other", softmax)
    other.children["default"].handlers.clear()
    cell = run_case(CASE, [peer("ours", softmax), other], PLAN)
    assert cell.others[0].note == "'prepare'"
    assert not cell.wrong


def test_a_slow_peer_has_fewer_rounds_and_a_ratio_all_the_same():
    def sleepy(x):
        time.sleep(0.02)
        return softmax(x)

    plan = dataclasses.replace(PLAN, rounds=6, limit=0.05)
    cell = run_case(CASE, [peer("ours", softmax), peer("other", sleepy, sleepy)], plan)
    assert len(cell.ours.rounds) == 6
    assert 1 <= len(cell.others[0].rounds) < 6
    assert cell.ratio(cell.others[0]) > 100


def test_arrays_are_released_after_a_cell():
    ours = peer("ours", softmax)
    run_case(CASE, [ours], PLAN)
    assert ours.children["default"].asked[-1] == "release"


def test_ratio_compares_rounds_that_stood_beside_each_other():
    cell = run_case(CASE, [peer("ours", softmax)], PLAN)
    cell.ours.rounds[:] = [1.0, 10.0, 1.0]
    assert cell.ratio(Result("other", rounds=[2.0, 20.0, 2.0])) == 2.0

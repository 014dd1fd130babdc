"""Samples and their percentiles."""

import time

import pytest

from plainformer.bench import timing


def test_summary_has_median_and_outer_fifths():
    summary = timing.summarize([float(x) for x in range(11)])
    assert (summary.p20, summary.median, summary.p80, summary.count) == (2, 5, 8, 11)


def test_a_sample_is_one_call_of_a_long_one():
    samples = timing.sample(lambda: time.sleep(0.01), 0.0)
    assert len(samples) == timing.FEWEST
    assert min(samples) >= 0.01


def test_a_call_longer_than_its_turn_is_made_once():
    calls = []

    def call():
        calls.append(1)
        time.sleep(timing.LONG)

    assert min(timing.sample(call, 0.01)) >= timing.LONG
    assert len(calls) == 1


def test_short_calls_are_repeated_within_a_sample():
    calls = []
    samples = timing.sample(lambda: calls.append(1), 0.0)
    assert len(calls) > 100 * len(samples)
    assert max(samples) < 1e-4


def test_thread_clock_does_not_count_waiting():
    assert max(timing.sample(lambda: time.sleep(0.01), 0.0, "thread")) < 0.005


def test_an_idle_process_is_seen_as_such():
    assert timing.wait_until_idle()


def test_a_spinning_thread_is_noticed():
    from threading import Event, Thread

    stop = Event()

    def spin():
        while not stop.is_set():
            continue

    spinner = Thread(target=spin)
    spinner.start()
    try:
        assert not timing.wait_until_idle(longest=0.1)
    finally:
        stop.set()
        spinner.join()


@pytest.mark.parametrize("clock", timing.CLOCKS)
def test_every_clock_runs(clock):
    assert all(s >= 0 for s in timing.sample(lambda: None, 0.0, clock))


def test_a_device_is_waited_for_in_each_sample():
    """Handing a call over takes nothing, so only the wait can make a sample long."""
    asked, done = [], []

    def finish():
        time.sleep(1e-4 * (len(asked) - len(done)))
        done.extend(asked[len(done) :])

    samples = timing.sample(lambda: asked.append(0), 0.05, finish=finish)
    assert min(samples) >= 1e-4
    assert len(done) == len(asked)

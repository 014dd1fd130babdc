"""Modes: they belong to a thread or a task, in whatever order blocks are left."""

import asyncio
import contextlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plainformer import modes, runtime
from plainformer.errors import DTypeError
from plainformer.functional.random import current, dropout_state, take
from plainformer.modes import Mode
from plainformer.nn import Linear, evaluating
from plainformer.packing import packs_weights, plain_weights
from plainformer.tape import enable_grad, is_grad_enabled, no_grad


def in_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture
def mode():
    return Mode("test", "outside")


def held(mode, value):
    """An iterator that holds a block open between its items."""
    with mode.set(value):
        while True:
            yield mode.get()


def test_the_innermost_block_decides(mode):
    with mode.set("a") as value:
        assert (value, mode.get()) == ("a", "a")
        with mode.set("b"):
            assert mode.get() == "b"
        assert mode.get() == "a"
    assert mode.get() == "outside"


def test_an_error_leaves_it(mode):
    with pytest.raises(KeyError), mode.set("a"):
        raise KeyError
    assert mode.get() == "outside"


def use(mode, block):
    with block, mode.set("inner"):
        mode.get()


def interrupted(step, function, *args):
    """Call it with Ctrl-C at a step of modes.py; returns whether it has so many."""
    left = step

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != modes.__file__:
            return None
        frame.f_trace_opcodes = True
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("outer", [False, True])
def test_ctrl_c_at_any_step_leaves_no_mode(mode, outer):
    step = 0
    around = mode.set("around") if outer else contextlib.nullcontext()
    with around:
        while interrupted(step, lambda: use(mode, mode.set("outer"))):
            assert mode.get() == ("around" if outer else "outside")
            step += 1
    assert step > 100  # it was in the midst of entering and leaving, not beside it
    assert mode.get() == "outside"


@pytest.mark.parametrize("first", [0, 1])
def test_iterators_may_be_closed_in_any_order(mode, first):
    both = [held(mode, "a"), held(mode, "b")]
    assert [next(one) for one in both] == ["a", "b"]
    both.pop(first).close()
    assert mode.get() == ("b" if first == 0 else "a")
    both.pop().close()
    assert mode.get() == "outside"


def test_an_iterator_may_be_closed_by_another_thread(mode):
    one = held(mode, "a")
    next(one)
    in_a_thread(one.close)
    assert mode.get() == "outside"
    other = in_a_thread(lambda: (one := held(mode, "b"), next(one))[0])
    other.close()
    assert mode.get() == "outside"


def test_one_block_may_be_entered_again_and_by_many_threads(mode):
    block, inside, go = mode.set("a"), threading.Barrier(3), threading.Barrier(3)

    def enter():
        with block, block:
            inside.wait(10)
            go.wait(10)
        return mode.get()

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(enter) for _ in range(2)]
        inside.wait(10)
        assert mode.get() == "outside"
        with block:
            assert mode.get() == "a"
        go.wait(10)
        assert [one.result() for one in found] == ["outside"] * 2


def test_a_decorated_function_is_inside_at_every_depth_and_in_every_thread(mode):
    together = threading.Barrier(2)

    @mode.set("a")
    def count(n):
        assert mode.get() == "a"
        if n:
            count(n - 1)
        else:
            together.wait(10)
        assert mode.get() == "a"

    def call():
        for _ in range(50):
            count(3)
        return mode.get()

    with ThreadPoolExecutor(2) as pool:
        assert {f.result() for f in [pool.submit(call), pool.submit(call)]} == {"outside"}


def test_a_decorated_generator_is_inside_at_its_steps_alone(mode):
    @mode.set("a")
    def talk():
        got = yield mode.get()
        try:
            yield got + mode.get()
        except KeyError:
            yield "caught " + mode.get()
        try:
            yield "last"
        finally:
            closed.append(mode.get())
        return "never"

    closed = []
    one = talk()
    assert (next(one), mode.get()) == ("a", "outside")
    assert (one.send("x"), mode.get()) == ("xa", "outside")
    assert (one.throw(KeyError), mode.get()) == ("caught a", "outside")
    assert next(one) == "last"
    one.close()
    assert (closed, mode.get()) == (["a"], "outside")


def test_a_decorated_generator_returns_its_value_and_its_errors(mode):
    @mode.set("a")
    def once(fails):
        yield
        if fails:
            raise KeyError(mode.get())
        return mode.get()

    def outer():
        return (yield from once(False))

    assert [*once(False)] == [None]
    steps = outer()
    next(steps)
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "a"
    with pytest.raises(KeyError, match="a"):
        list(once(True))


def test_tasks_of_one_thread_have_their_own(mode):
    @mode.set("decorated")
    async def decorated():
        await asyncio.sleep(0)
        return mode.get()

    async def block():
        with mode.set("a"):
            await asyncio.sleep(0)
            return mode.get()

    async def plain():
        found = []
        for _ in range(3):
            await asyncio.sleep(0)
            found.append(mode.get())
        return found

    async def main():
        return await asyncio.gather(decorated(), block(), plain())

    assert asyncio.run(main()) == ["decorated", "a", ["outside"] * 3]


def test_an_asynchronous_generator_cannot_be_decorated(mode):
    async def steps():
        yield

    with pytest.raises(DTypeError, match="steps: got an asynchronous generator"):
        mode.set("a")(steps)


# Every mode that there is: how to ask for it, and a block that changes it.
MODES = {
    "no_grad": (is_grad_enabled, no_grad),
    "plain_weights": (packs_weights, plain_weights),
    "dropout_state": (current, lambda: dropout_state(3, 5)),
    "evaluating": (lambda: LAYER.training, lambda: evaluating(LAYER)),
}
LAYER = Linear(1, 1)


@pytest.mark.parametrize("name", MODES)
def test_no_mode_is_left_to_another_thread_or_order(name):
    get, block = MODES[name]

    def hold():
        with block():
            while True:
                yield get()

    elsewhere = in_a_thread(get)
    outside, both = get(), [hold(), hold()]
    assert all(next(one) != outside for one in both)
    assert in_a_thread(get) == elsewhere
    both[0].close()
    assert get() != outside
    in_a_thread(both[1].close)
    assert get() == outside


def test_enable_grad_lasts_as_long_as_its_block():
    with no_grad():
        with enable_grad():
            assert is_grad_enabled()
        assert not is_grad_enabled()


def test_dropout_draws_go_on_where_they_were_outside():
    with dropout_state(1, 7):
        assert [take(), take()] == [(1, 7), (1, 8)]
        with dropout_state(2):
            assert take() == (2, 0)
        assert take() == (1, 9)


@pytest.mark.parametrize(
    ("block", "get", "values"),
    [
        (runtime.num_threads, runtime.get_num_threads, (2, 3)),
        (runtime.use_level, runtime._cpu.current_level, ("generic", "generic")),
    ],
)
def test_settings_of_the_process_end_as_they_began(block, get, values):
    before = get()
    for first in (0, 1):
        blocks = [block(value) for value in values]
        for value, one in zip(values, blocks):
            one.__enter__()
            assert get() == value
        blocks[first].__exit__(None, None, None)
        blocks[1 - first].__exit__(None, None, None)
        assert get() == before


def test_a_refused_setting_changes_nothing():
    before = runtime.get_num_threads()
    with pytest.raises(ValueError, match="num_threads"), runtime.num_threads(0):
        pass
    with runtime.num_threads(2):
        assert runtime.get_num_threads() == 2
    assert runtime.get_num_threads() == before

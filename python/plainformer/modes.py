"""Modes: values that hold for one thread, or one asynchronous task, inside a `with` block.

Whether operations are recorded, whether modules work as in training, where dropout draws from: each
is such a value and none is kept on an object that others can see, so that no thread, task or
iterator that is left half used changes it for another.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from .errors import DTypeError

T = TypeVar("T")


class _Open(Generic[T]):
    """A block that was entered; `value` holds until it is left, or nobody is left to leave it.

    Ctrl-C may come at the first step of `__exit__`, before anything is done. A `with` statement
    then lets go of its block, which ends the entry as well.
    """

    __slots__ = ("_owner", "_was_left", "value")

    def __init__(self, value: T, owner: Block[T]):
        self.value, self._owner, self._was_left = value, weakref.ref(owner), False

    @property
    def is_open(self) -> bool:
        return not self._was_left and self._owner() is not None

    def belongs_to(self, block: Block[T]) -> bool:
        return self._owner() is block

    def leave(self) -> None:
        self._was_left = True


class Mode(Generic[T]):
    """A value, and the `with` blocks that change it.

    Blocks may be left in another order than they were entered, or from another thread: iterators
    that hold one open do both. The innermost block that is still open decides.
    """

    def __init__(self, name: str, default: T):
        self.default = default
        self._opened: ContextVar[tuple[_Open[T], ...]] = ContextVar(name, default=())

    def get(self) -> T:
        """The value here and now."""
        opened = self._opened.get()
        if not opened:  # most often
            return self.default
        for entry in reversed(opened):
            if not entry._was_left and entry._owner() is not None:  # `is_open`, in half the time
                return entry.value
        return self.default

    def set(self, value: T) -> Block[T]:
        """A block in which `get` gives `value`, as context manager or decorator."""
        return Block(self, value)

    def enter(self, entry: _Open[T]) -> None:
        """Let this entry decide, and forget those that were left elsewhere."""
        opened = [other for other in self._opened.get() if other.is_open]
        self._opened.set((*opened, entry))

    def leave(self, entry: _Open[T]) -> None:
        """End this entry, wherever it was entered."""
        entry.leave()
        self._opened.set(tuple([other for other in self._opened.get() if other.is_open]))

    def innermost(self, owner: Block[T]) -> _Open[T] | None:
        """The last open entry of a block that was entered here."""
        for entry in reversed(self._opened.get()):
            if entry.is_open and entry.belongs_to(owner):
                return entry
        return None


class Block(Generic[T]):
    """What `Mode.set` returns: entered any number of times, by any number of threads."""

    __slots__ = ("__weakref__", "_entries", "_mode", "_value")

    def __init__(self, mode: Mode[T], value: T):
        self._mode, self._value = mode, value
        self._entries: list[_Open[T]] = []

    def __enter__(self) -> T:
        entry = _Open(self._value, self)
        try:
            self._entries.append(entry)
            self._mode.enter(entry)
            return self._value
        except BaseException:  # Ctrl-C: nobody would leave what a `with` did not enter
            entry.leave()
            raise

    def __exit__(self, *error: object) -> None:
        entry = self._mode.innermost(self) or self._entries[-1]
        self._entries.remove(entry)
        self._mode.leave(entry)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function inside a block of its own for each call.

        Of a generator the steps are inside, and what happens between them is not.
        """
        if inspect.isasyncgenfunction(function):
            raise DTypeError(
                f"{function.__name__}: got an asynchronous generator, which cannot be decorated; "
                "use a with block inside it"
            )
        return functools.wraps(function)(self._inside(function))

    def _inside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        mode, value = self._mode, self._value
        if inspect.isgeneratorfunction(function):
            return lambda *args, **kwargs: _stepwise(mode, value, function(*args, **kwargs))
        if inspect.iscoroutinefunction(function):

            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with mode.set(value):
                    return await function(*args, **kwargs)

            return coroutine

        def call(*args: Any, **kwargs: Any) -> Any:
            with mode.set(value):
                return function(*args, **kwargs)

        return call


def _stepwise(mode: Mode[T], value: T, steps: Any) -> Any:
    """A generator whose steps run inside the block, and which leaves it where it yields."""
    resume = functools.partial(next, steps)
    try:
        while True:
            with mode.set(value):
                made = resume()
            try:
                sent = yield made
            except GeneratorExit:
                with mode.set(value):
                    steps.close()
                raise
            except BaseException as error:
                resume = functools.partial(steps.throw, error)
            else:
                resume = functools.partial(steps.send, sent)
    except StopIteration as stop:
        return stop.value

"""Calls callbacks, each with what it takes, and carries their states into checkpoints."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError, short, shown
from ..options import did_you_mean
from .callbacks import TrainerCallback

EVENTS = {
    name: list(inspect.signature(method).parameters)[1:]
    for name, method in vars(TrainerCallback).items()
    if name.startswith("on_")
}
EXTRAS = (
    "model", "processing_class", "optimizer", "lr_scheduler", "train_dataset", "eval_dataset",
)  # fmt: skip
_ALL = ("args", "state", "control")  # what every event has, in this order
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_PLACE = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)


class Way(NamedTuple):
    """How a method is called: what of an event's own goes by name, and which extras."""

    named: tuple[str, ...]
    extras: tuple[str, ...]


class CallbackList:
    """Calls every callback in order, and carries their states into checkpoints.

    callbacks : `TrainerCallback` objects or classes, or others with its methods, such as those of
        transformers

    Raises
    ------
    ConfigError : something else, a method that does not take what it is called with, or one of a
        `TrainerCallback` that nothing calls
    """

    def __init__(self, callbacks: Iterable[Any]):
        self.callbacks = [c() if isinstance(c, type) else c for c in callbacks]
        self._ways = [_ways(callback) for callback in self.callbacks]

    def call(self, event: str, *args: Any, extras: Mapping[str, Any] | None = None) -> None:
        """Call the method `event` of every callback.

        args : of the event, in its order
        extras : more by name, for those that ask for it
        """
        given, more = dict(zip(EVENTS[event], args)), extras or {}
        for callback, ways in zip(self.callbacks, self._ways):
            if event not in ways:
                continue
            named, wanted = ways[event]
            by_name = {name: given[name] for name in named}
            by_name |= {name: more[name] for name in wanted if name in more}
            rest = [value for name, value in given.items() if name not in named]
            getattr(callback, event)(*rest, **by_name)

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Class name and place to state, of the callbacks that have one."""
        states = {
            self._key(i): c.state_dict()
            for i, c in enumerate(self.callbacks)
            if hasattr(c, "state_dict")
        }
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, states: dict[str, dict[str, Any]]) -> None:
        """Give each callback its state back; one that was added since starts fresh."""
        for i, callback in enumerate(self.callbacks):
            if self._key(i) in states:
                callback.load_state_dict(states[self._key(i)])

    def _key(self, index: int) -> str:
        """The class name, numbered among callbacks of that class."""
        name = type(self.callbacks[index]).__name__
        same = sum(type(c).__name__ == name for c in self.callbacks[:index])
        return f"{name}.{same}"


def _ways(callback: Any) -> dict[str, Way]:
    """How each method of a callback is called."""
    own = getattr(callback, "__dict__", {})
    methods = [event for event in EVENTS if event in own or hasattr(type(callback), event)]
    if not methods:
        raise ConfigError(f"callbacks: got {shown(callback)}, expected TrainerCallback objects")
    if isinstance(callback, TrainerCallback):
        _check_names(callback)
    return {event: _way(callback, event) for event in methods}


def _check_names(callback: TrainerCallback) -> None:
    """ConfigError for a method that is called like an event and is none."""
    own = type(callback)
    for name in dir(own):
        if name.startswith("on_") and name not in EVENTS and callable(getattr(own, name)):
            near = did_you_mean(name, EVENTS, f"expected one of {', '.join(EVENTS)}")
            raise ConfigError(f"callbacks: {own.__name__}.{name} is called by nothing{near}")


def _signature(callback: Any, event: str) -> inspect.Signature:
    """Of a method without its self, which is looked up in the class where it stands there."""
    kind = type(callback)
    if not hasattr(kind, event):
        return inspect.signature(getattr(callback, event))
    signature = inspect.signature(getattr(kind, event))
    if not inspect.isfunction(inspect.getattr_static(kind, event)):
        return signature
    own, *rest = signature.parameters.values()
    if own.kind is inspect.Parameter.VAR_POSITIONAL:
        return signature
    return signature.replace(parameters=rest)


def _way(callback: Any, event: str) -> Way:
    """Raises ConfigError unless the method takes what it will be called with."""
    given = EVENTS[event]
    try:
        signature = _signature(callback, event)
        kinds = {name: p.kind for name, p in signature.parameters.items()}
        takes_all = inspect.Parameter.VAR_KEYWORD in kinds.values()
        known = {name for name, kind in kinds.items() if kind in _BY_NAME}
        room = sum(kind in _BY_PLACE and name not in EXTRAS for name, kind in kinds.items())
        alone = (
            takes_all
            and room == len(_ALL)
            and inspect.Parameter.VAR_POSITIONAL not in kinds.values()
        )
        named = tuple(n for n in given if n not in _ALL and (n in known or alone))
        extras = tuple(name for name in EXTRAS if takes_all or name in known)
        rest = [name for name in given if name not in named]
        signature.bind(*rest, **dict.fromkeys((*named, *extras)))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"callbacks: {type(callback).__name__}.{event} is called with "
            f"({', '.join(given)}), which it does not take: {short(error)}"
        ) from None
    return Way(named, extras)

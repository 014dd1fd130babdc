"""Flags of the commands that put a model to a task, made from the dataclasses of its options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..tasks import TASKS, Settings
from ..tasks.arguments import OPTIONS
from ..tasks.options import names_of
from ._training_flags import field_option

Decorator = Callable[[Any], Any]
_FILES = ("replay", "replay_validation")  # flags of their own, which take several words


def option_flags(*kinds: Any, exclude: Iterable[str] = ()) -> Decorator:
    """Decorate a command with one flag for each field of these dataclasses, each name once."""
    fields: dict[str, dataclasses.Field] = {}
    for field in (f for kind in kinds for f in dataclasses.fields(kind)):
        fields[field.name] = _joined(fields.get(field.name, field), field)
    chosen = [field for name, field in fields.items() if name not in exclude]

    def decorate(command: Any) -> Any:
        for field in reversed(chosen):
            command = field_option(field)(command)
        return command

    return decorate


def _joined(one: dataclasses.Field, other: dataclasses.Field) -> dataclasses.Field:
    """A field that means something else to another task, with the help of both."""
    helps = (one.metadata["help"], other.metadata["help"])
    if helps[1] in helps[0]:
        return one
    both: Any = dataclasses.field(default=other.default, metadata={"help": " Or: ".join(helps)})
    both.name, both.type = other.name, other.type
    return both


def finetune_flags(command: Any) -> Any:
    """What `finetune` takes beside a task's settings and the training arguments."""
    return option_flags(*OPTIONS, exclude=_FILES)(command)


def settings_flags(command: Any) -> Any:
    """The settings of all tasks; one that a task has not is an error when it is given."""
    return option_flags(Settings, *(task.settings_class for task in TASKS.values()))(command)


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings of all tasks, without those that are for training."""
    names = {name for kind in TASKS.values() for name in names_of(kind.settings_class)}
    return {name: v for name, v in values.items() if name in names and v is not None and v != ()}

"""Flags of the commands that put a model to a task, made from the dataclasses of its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..options import names_of
from ..tasks import TASKS, Task, TaskSettings, open_task
from ..tasks.arguments import OPTIONS, OpeningOptions
from ._option_flags import flags_given, option_flags

_FILES = ("replay", "replay_validation")  # flags of their own, which take several words


def finetune_flags(command: Any) -> Any:
    """What `finetune` takes beside the training arguments, the settings of all tasks included."""
    return option_flags(*OPTIONS, *_settings(), exclude=_FILES)(command)


def settings_flags(command: Any) -> Any:
    """The settings of all tasks; one that a task has not is an error when it is given."""
    return option_flags(*_settings())(command)


def _settings() -> list[type[TaskSettings]]:
    return [TaskSettings, *(task.settings_class for task in TASKS.values())]


def opened_by(directory: Path, flags: Mapping[str, Any]) -> tuple[Task, OpeningOptions]:
    """The task of a directory, opened as the flags say."""
    how = OpeningOptions(**flags_given(OpeningOptions, flags))
    settings = settings_of(flags)
    task = open_task(
        directory, how.task, dtype=how.dtype, device=how.device, adapter=how.adapter, **settings
    )
    return task, how


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings of all tasks, without those that are for training."""
    names = {name for kind in TASKS.values() for name in names_of(kind.settings_class)}
    return {name: v for name, v in values.items() if name in names and v is not None and v != ()}

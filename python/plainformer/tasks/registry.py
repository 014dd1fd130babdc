"""Tasks by name."""

from __future__ import annotations

from ..data import task_name
from .task import Task

TASKS: dict[str, type[Task]] = {}


def register(task: type[Task]) -> type[Task]:
    """Decorate a task to be found by its name."""
    TASKS[task.name] = task
    return task


def task_class(name: str) -> type[Task]:
    """The task of a name or an alias such as `ner`. Raises ConfigError."""
    return TASKS[task_name(name)]

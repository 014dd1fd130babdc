"""Tasks by name."""

from __future__ import annotations

from ..data.examples import task_name
from ..models import fitting_models
from .task import Task

TASKS: dict[str, type[Task]] = {}


def register(task: type[Task]) -> type[Task]:
    """Decorate a task to be found by its name, and put to the models that fit it."""
    task.model_tasks = fitting_models(task.name)
    TASKS[task.name] = task
    return task


def task_class(name: str) -> type[Task]:
    """The task of a name or an alias such as `ner`. Raises ConfigError."""
    return TASKS[task_name(name)]

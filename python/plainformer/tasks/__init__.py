"""Tasks: what a model is put to, from a file of examples to answers. One file a task."""

from .directory import open_task
from .finetune import FineTuneResult, finetune
from .task import TASKS, Feature, Settings, Task, task_class
from .text_classification import TextClassification
from .token_classification import TokenClassification
from .trainer import TaskTrainer

__all__ = [
    "TASKS",
    "Feature",
    "FineTuneResult",
    "Settings",
    "Task",
    "TaskTrainer",
    "TextClassification",
    "TokenClassification",
    "finetune",
    "open_task",
    "task_class",
]

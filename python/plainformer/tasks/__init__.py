"""Tasks: what a model is put to, from a file of examples to answers. One file a task."""

from .directory import open_task
from .finetune import FineTuneResult, finetune
from .multiple_choice import MultipleChoice
from .question_answering import QuestionAnswering
from .registry import TASKS, task_class
from .relation_extraction import RelationExtraction
from .task import Feature, Settings, Task
from .text_classification import TextClassification
from .token_classification import TokenClassification
from .trainer import TaskTrainer

__all__ = [
    "TASKS",
    "Feature",
    "FineTuneResult",
    "MultipleChoice",
    "QuestionAnswering",
    "RelationExtraction",
    "Settings",
    "Task",
    "TaskTrainer",
    "TextClassification",
    "TokenClassification",
    "finetune",
    "open_task",
    "task_class",
]

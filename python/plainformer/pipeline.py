"""`pf.pipeline(task, model)`: text in, answer out.

    classify = pf.pipeline("text-classification", "out")
    classify("a charming film")                 # [{"label": "positive", "score": 0.98}]
    classify(["a charming film", "a bore"])     # a result for each, the same bytes as alone

Inputs are texts, or objects with the fields of the task's data (`data.examples`). Results are what
transformers' pipelines of these names return.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ConfigError
from .tasks import Task, open_task
from .tasks.requests import as_example


class Pipeline:
    """Answers questions with a task's model.

    Parameters
    ----------
    task : Task
    batch_size : int, inputs in one forward pass; it changes no byte of the results
    """

    def __init__(self, task: Task, batch_size: int = 8):
        if batch_size < 1:
            raise ConfigError(f"batch_size: got {batch_size}, expected at least 1")
        self.task = task
        self.batch_size = batch_size

    def __call__(self, inputs: Any = None, **options: Any) -> Any:
        """The result of one input, or a list of the results of a list of inputs.

        Parameters
        ----------
        inputs : a text or an object, or a list of such. Without it the options that are fields of
            the task's examples make one: `question=..., context=...`
        options : of the task's `answer`, such as `top_k` for text-classification

        Raises
        ------
        DataError : an input that is none of the task's
        ConfigError : an option that the task has not
        """
        if inputs is None:
            inputs, options = _fields(options)
        many = isinstance(inputs, (list, tuple))
        results = list(self.stream(inputs if many else [inputs], **options))
        if many:
            return results
        return self.task.alone(results[0]) if isinstance(inputs, str) else results[0]

    def stream(self, inputs: Iterable[Any], **options: Any) -> Iterator[Any]:
        """The result of each input, in order; no more than a batch is held."""
        if options:
            known = inspect.signature(self.task.answer).parameters
            unknown = next((name for name in options if name not in known), None)
            if unknown is not None:
                raise ConfigError(f"{unknown}: {self.task.name} has no such option")
        examples = (as_example(self.task.name, item) for item in inputs)
        for example, prediction in self.task.predict(examples, self.batch_size):
            yield self.task.answer(example, prediction, **options)


def pipeline(
    task: str | None = None,
    model: str | Path | Task | None = None,
    *,
    dtype: Any = None,
    adapter: str | Path | None = None,
    batch_size: int = 8,
    **settings: Any,
) -> Pipeline:
    """A function from texts to answers.

    Parameters
    ----------
    task : such as "text-classification"; None means what `model` was fine-tuned for
    model : a directory that `finetune` wrote, or a Hugging Face directory whose model fits the task
    dtype : float32, bfloat16 or float64; None means the configuration's
    adapter : a LoRA adapter in peft's layout, added to the weights
    batch_size : int, inputs in one forward pass
    settings : the task's own, over those that the directory remembers

    Raises
    ------
    ConfigError, CheckpointError : see `tasks.open_task`
    """
    if model is None:
        raise ConfigError("model: got None, expected a directory")
    if isinstance(model, Task):
        if settings or dtype is not None:
            raise ConfigError("model: got a Task, which is made already; leave out what changes it")
        return Pipeline(model, batch_size)
    return Pipeline(open_task(model, task, dtype=dtype, adapter=adapter, **settings), batch_size)


_FIELDS = {
    "question", "context", "choices", "text", "label", "tokens", "messages", "source", "document",
}  # fmt: skip


def _fields(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options that are fields of an example, and the others."""
    fields = {name: value for name, value in options.items() if name in _FIELDS}
    if not fields:
        raise ConfigError("inputs: got None, expected a text, an object or a list of them")
    return fields, {name: value for name, value in options.items() if name not in _FIELDS}


class _CallableModule(ModuleType):
    """Importing this file binds `plainformer.pipeline` to the module: let it be the function."""

    def __call__(self, *args: Any, **options: Any) -> Pipeline:
        return pipeline(*args, **options)


sys.modules[__name__].__class__ = _CallableModule

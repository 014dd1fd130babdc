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
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from types import ModuleType
from typing import Any

from .data.examples import Example
from .errors import ConfigError, DataError, short, shown
from .kinds import check_kind
from .tasks import Task, open_task
from .tasks.options import hint, names_of
from .tasks.requests import as_example, is_dialogue, keywords


class Pipeline:
    """Answers questions with a task's model.

    Parameters
    ----------
    task : Task
    batch_size : int, inputs in one forward pass; it changes no byte of the results
    """

    def __init__(self, task: Task, batch_size: int = 8):
        check_kind("batch_size", batch_size, int)
        if batch_size < 1:
            raise ConfigError(f"batch_size: got {batch_size}, expected at least 1")
        self.task = task
        self.batch_size = batch_size

    def __call__(self, inputs: Any = None, **options: Any) -> Any:
        """The result of one input, or a list of the results of a list of inputs.

        Parameters
        ----------
        inputs : a text or an object, or a list of such: any array, column or generator of them
            (`stream` holds no more than a batch). Options that are fields of the task's
            examples make one, or complete a text: `question=..., context=...`, or
            `text, head=..., tail=...`
        options : settings of the task for this call, as on the command line: `top_k=3`,
            `num_beams=1`

        Raises
        ------
        DataError : an input that is none of the task's; of a list, which one
        ConfigError : an option that the task has not
        """
        inputs, options = self._asked(inputs, options)
        if _is_several(inputs) and not is_dialogue(self.task.name, inputs):
            return list(self.stream(inputs, **options))
        [result] = self._answers([as_example(self.task.name, inputs)], **options)
        return self.task.alone(result) if isinstance(inputs, str) else result

    def stream(self, inputs: Iterable[Any], **options: Any) -> Iterator[Any]:
        """The result of each input, in order; no more than a batch is held."""
        if not _is_several(inputs):
            raise ConfigError(f"inputs: got {shown(inputs)}, expected a list of inputs")
        return self._answers(self._examples(inputs), **options)

    def _examples(self, inputs: Iterable[Any]) -> Iterator[Example]:
        for i, item in enumerate(inputs):
            try:
                yield as_example(self.task.name, item)
            except DataError as error:
                raise DataError(f"inputs[{i}]: {error}") from error

    def _answers(self, examples: Iterable[Example], **options: Any) -> Iterator[Any]:
        task, options = self._with(options)
        return (
            task.answer(example, prediction, **options)
            for example, prediction in task.predict(examples, self.batch_size)
        )

    def _with(self, options: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
        """The task with the settings among the options, and the options of its `answer`."""
        if not options:
            return self.task, options
        own = names_of(self.task.settings_class)
        answering = list(inspect.signature(self.task.answer).parameters)[2:]
        for name in options:
            if name not in (*own, *answering):
                raise ConfigError(self._unknown(name, [*own, *answering]))
        settings = {k: v for k, v in options.items() if k not in answering}
        left = {k: v for k, v in options.items() if k in answering}
        return self.task.with_settings(**settings), left

    def _unknown(self, name: str, options: list[str]) -> str:
        fields = keywords(self.task.name)
        near = hint(name, [*fields, *options])
        return (
            f"{short(name)}: is no input and no option of {self.task.name}{near}; it takes "
            f"{', '.join(fields)}, and the options {', '.join(options)}"
        )

    def _asked(self, inputs: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Inputs, where fields among the options make or complete them; and the others."""
        names = keywords(self.task.name)
        fields = {name: value for name, value in options.items() if name in names}
        rest = {name: value for name, value in options.items() if name not in names}
        if not fields and inputs is None:
            self._with(rest)  # says which option is unknown
            raise ConfigError("inputs: got None, expected a text, an object or a list of them")
        if not fields:
            return inputs, rest
        if isinstance(inputs, str) and names[0] not in fields:
            fields = {names[0]: inputs, **fields}
        elif inputs is not None:
            [name, *_] = fields
            raise ConfigError(f"{name}: got inputs too; put all of an input into one object")
        return fields, rest


def _is_several(inputs: Any) -> bool:
    """Whether inputs are a list, an array or a column of a table, or come from an iterator.

    Not a set, which has no order, nor a table, whose items are the names of its columns.
    """
    if isinstance(inputs, (str, bytes, bytearray, Mapping, Set)):
        return False
    return isinstance(inputs, Iterable) and getattr(inputs, "ndim", 1) == 1


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


class _CallableModule(ModuleType):
    """Importing this file binds `plainformer.pipeline` to the module: let it be the function."""

    def __call__(self, *args: Any, **options: Any) -> Pipeline:
        return pipeline(*args, **options)


sys.modules[__name__].__class__ = _CallableModule

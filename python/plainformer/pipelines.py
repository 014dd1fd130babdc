"""`pf.pipeline(task, model)`: text in, answer out.

    classify = pf.pipeline("text-classification", "out")
    classify("a charming film")                 # [{"label": "positive", "score": 0.98}]
    classify(["a charming film", "a bore"])     # a result for each, the same bytes as alone

Inputs are texts, or objects with the fields of the task's data (`data.examples`). Results are what
transformers' pipelines of these names return.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from .checkpoints.habits import ANSWERING, LOADING, given_device, given_dtype, without_habits
from .data.examples import FIELDS, Example
from .errors import ConfigError, DataError, short, shown
from .generation.sampling import fresh_seed
from .models import PreTrainedModel
from .options import did_you_mean, names_of, options_of
from .tasks import Task, make_task, open_task
from .tasks.arguments import OpeningOptions
from .tasks.requests import as_example, is_dialogue

_BATCH_SIZE = options_of(OpeningOptions)["batch_size"]
Alone = TypeVar("Alone", covariant=True)  # the answer to a text
Each = TypeVar("Each", covariant=True)  # and to an object
_Model = str | Path | PreTrainedModel | Task | None
_Objects = list[dict[str, Any]]
_Listing = Literal[
    "text-classification", "sentiment-analysis", "translation", "summarization",
    "language-modeling", "text-generation", "text2text-generation",
    "fill-mask",
]  # fmt: skip
_Tagging = Literal["token-classification", "ner"]
_Comparing = Literal["feature-extraction", "sentence-similarity"]
_Answering = Literal["question-answering", "multiple-choice", "relation-extraction", "dialogue"]


class Pipeline(Generic[Alone, Each]):
    """Answers questions with a task's model.

    Parameters
    ----------
    task : Task
    batch_size : int, inputs in one forward pass; it changes no byte of the results

    Where a text is drawn, the answer has the `seed` of its draws: fresh each call, unless
    `sampling_seed` is set.
    """

    def __init__(self, task: Task, batch_size: int = 8):
        self.task = task
        self.batch_size: int = _BATCH_SIZE.read(batch_size)

    @overload
    def __call__(self, inputs: str, **options: Any) -> Alone: ...
    @overload
    def __call__(
        self, inputs: Mapping[str, Any] | Example | None = ..., **options: Any
    ) -> Each: ...
    @overload
    def __call__(self, inputs: Iterable[Any], **options: Any) -> list[Any]: ...
    def __call__(self, inputs: Any = None, **options: Any) -> Any:
        """The result of one input, or a list of the results of a list of inputs; for texts that
        become vectors an array.

        Parameters
        ----------
        inputs : a text or an object, or a list of such: any array, column or generator of them
            (`stream` holds no more than a batch). Options that are fields of the task's
            examples make one, or complete a text: `question=..., context=...`, or
            `text, head=..., tail=...`. A question's context may be a list of documents, or a dict
            of such by name; the answer then says which one it is from
        options : settings of the task for this call, as on the command line: `top_k=3`,
            `num_beams=1`; and `batch_size`

        Raises
        ------
        DataError : an input that is none of the task's; of a list, which one
        ConfigError : an option that the task has not
        """
        inputs, options = self._asked(inputs, options)
        if _is_several(inputs) and not is_dialogue(self.task.name, inputs):
            return self.task.together(list(self.stream(inputs, **options)))
        [result] = self._answers([as_example(self.task.name, inputs)], **options)
        return self.task.alone(result) if isinstance(inputs, str) else result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.task}, batch_size={self.batch_size})"

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
        size = _BATCH_SIZE.read(options.pop("batch_size", self.batch_size))
        task, options = self._with(options)
        if task.seed is not None:
            task = task.drawing(fresh_seed())
        return (
            _with_seed(task.answer(example, prediction, **options), task.seed)
            for example, prediction in task.predict(examples, size)
        )

    def _with(self, options: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
        """The task with the settings among the options, and the options of its `answer`."""
        options = without_habits(options, ANSWERING)
        own = names_of(self.task.settings_class)
        answering = list(inspect.signature(self.task.answer).parameters)[2:]
        for name in options:
            if name not in (*own, *answering):
                raise ConfigError(self._unknown(name, [*own, *answering]))
        settings = {k: v for k, v in options.items() if k not in answering}
        left = {k: v for k, v in options.items() if k in answering}
        return self.task.with_settings(**settings), left

    def _unknown(self, name: str, options: list[str]) -> str:
        fields = FIELDS[self.task.name].asked
        near = did_you_mean(name, [*fields, *options])
        return (
            f"{short(name)}: is no input and no option of {self.task.name}{near}; it takes "
            f"{', '.join(fields)}, and the options {', '.join(dict.fromkeys(options))}"
        )

    def _asked(self, inputs: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Inputs, where fields among the options make or complete them; and the others."""
        names = FIELDS[self.task.name].asked
        fields: Any = {name: value for name, value in options.items() if name in names}
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
        return _each_question(fields), rest


def _with_seed(answer: Any, seed: int | None) -> Any:
    """An answer, or each of several, with the seed of its draws."""
    if seed is None:
        return answer
    if isinstance(answer, list):
        return [_with_seed(one, seed) for one in answer]
    return {**answer, "seed": seed}


def _each_question(fields: dict[str, Any]) -> Any:
    """An object for each question of a list, with the context of all or one for each, as in
    transformers; else the fields."""
    questions, context = fields.get("question"), fields.get("context")
    if not isinstance(questions, (list, tuple)):
        return fields
    each = context if isinstance(context, (list, tuple)) else [context] * len(questions)
    if len(each) != len(questions):
        raise ConfigError(
            f"context: got {len(each)} for {len(questions)} questions, expected one for each, or "
            "one for all"
        )
    return [{**fields, "question": q, "context": c} for q, c in zip(questions, each)]


def _is_several(inputs: Any) -> bool:
    """Whether inputs are a list, an array or a column of a table, or come from an iterator.

    Not a set, which has no order, nor a table, whose items are the names of its columns.
    """
    if isinstance(inputs, (str, bytes, bytearray, Mapping, Set)):
        return False
    return isinstance(inputs, Iterable) and getattr(inputs, "ndim", 1) == 1


@overload
def pipeline(
    task: _Listing, model: _Model = ..., tokenizer: Any = ..., **options: Any
) -> Pipeline[_Objects, Any]: ...
@overload
def pipeline(
    task: _Tagging, model: _Model = ..., tokenizer: Any = ..., **options: Any
) -> Pipeline[_Objects, _Objects]: ...
@overload
def pipeline(
    task: _Answering, model: _Model = ..., tokenizer: Any = ..., **options: Any
) -> Pipeline[dict[str, Any], dict[str, Any]]: ...
@overload
def pipeline(  # of texts an array, of a text or a pair a row or a number
    task: _Comparing, model: _Model = ..., tokenizer: Any = ..., **options: Any
) -> Any: ...
@overload
def pipeline(
    task: str | None = ..., model: _Model = ..., tokenizer: Any = ..., **options: Any
) -> Pipeline[Any, Any]: ...
def pipeline(
    task: str | None = None,
    model: _Model = None,
    tokenizer: Any = None,
    *,
    dtype: Any = None,
    torch_dtype: Any = None,
    device: Any = None,
    device_map: Any = None,
    adapter: str | Path | None = None,
    batch_size: int = 8,
    **settings: Any,
) -> Pipeline[Any, Any]:
    """A function from texts to answers.

    Parameters
    ----------
    task : such as "text-classification"; transformers' words ("sentiment-analysis", "ner",
        "text-generation") too. None means what the directory `model` was fine-tuned for
    model : a directory that `finetune` wrote, or a Hugging Face directory whose model fits the
        task; or a loaded model, with its tokenizer
    tokenizer : a directory, or what `load_tokenizer` returned; None means the one in `model`
    dtype : float32, bfloat16 or float64; None or "auto" means the configuration's.
        `torch_dtype` is its older name
    device : "cpu", "cuda", "cuda:1" or "auto", or a number as in transformers, -1 for the CPU; None
        means the CPU for a directory, and for a model where it is. `device_map` is another word
    adapter : a LoRA adapter in peft's layout, added to the weights
    batch_size : int, inputs in one forward pass
    settings : the task's own, over those that the directory remembers. Options of transformers
        that ask for nothing here (`truncation=True`) are taken

    Raises
    ------
    ConfigError, CheckpointError : see `tasks.open_task`
    DeviceError : the device, or what it needs, is missing
    """
    settings = without_habits(settings, LOADING | ANSWERING)
    dtype, device = given_dtype(dtype, torch_dtype), given_device(device, device_map)
    if isinstance(model, (str, Path)):
        opened = open_task(
            model, task, tokenizer=tokenizer, dtype=dtype, device=device, adapter=adapter,
            **settings,
        )  # fmt: skip
        return Pipeline(opened, batch_size)
    if not isinstance(model, (PreTrainedModel, Task)):
        first = (
            "; the task comes first, or None"
            if isinstance(task, (str, Path)) and Path(task).is_dir()
            else ""
        )
        raise ConfigError(
            f"model: got {shown(model)}, expected a directory or a loaded model{first}"
        )
    if dtype is not None or adapter is not None:
        name, word = ("dtype", "to") if adapter is None else ("adapter", "load_adapter")
        raise ConfigError(
            f"{name}: got a model that is loaded already; leave it out and use `{word}`"
        )
    if device is not None:
        (model.model if isinstance(model, Task) else model).to(device=device)
    if isinstance(model, PreTrainedModel):
        return Pipeline(make_task(task, model, tokenizer, **settings), batch_size)
    if settings or tokenizer is not None:
        raise ConfigError("model: got a Task, which is made already; leave out what changes it")
    return Pipeline(model, batch_size)

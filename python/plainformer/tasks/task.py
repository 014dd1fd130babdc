"""What a task is: how its examples become what a model takes, and what comes out becomes answers.

A task joins a tokenizer and a model. A file a task says how to

    encode   examples to features: what the model takes of one example, or of a window of one
    collate  features to a batch
    decode   what the model gave for the features of an example to a prediction
    score    predictions and examples to metrics
    answer   a prediction to plain values, as pipelines return them

Nothing is padded: a batch holds rows of their own lengths, as models compute them. A prediction is
the same bytes whatever else is in the batch.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from .. import kernels
from ..data import Encoded, LabelMap, TextEncoder
from ..data.examples import FIELDS, texts_of
from ..errors import ConfigError, DataError, NonFiniteError, listed
from ..metrics import bits_per_byte, bits_per_character, perplexity
from ..options import COUNT, check, option
from ..reprs import unusual
from ..training.batches import collate_rows
from ..training.evaluation import run_batches
from ..training.losses import LossSum
from .features import Feature, FeatureDataset, TaskExamples
from .report import Report

Array = np.ndarray
Inputs = Mapping[str, Any]
Batch = dict[str, Any]
_ENCODED_AT_ONCE = 1024  # examples; bounds what the tokenizer's threads hold


@dataclass(frozen=True)
class TaskSettings:
    """Options of a task that its model's directory remembers (`task.json`)."""

    max_length: int | None = option(
        None,
        "Most tokens of an input, special tokens counted; default what the model takes.",
        COUNT,
        words="sequence_len max_seq_length max_seq_len",
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass
class TextLoss(LossSum):
    """The loss of texts, and how many characters and bytes were predicted."""

    characters: int = 0
    bytes: int = 0

    def metrics(self) -> dict[str, float]:
        """Loss and perplexity a token, and bits a character and a byte where they were counted,
        which tokenizers can be compared by.

        A text of which nothing was predicted has 0 characters and no bits.
        """
        metrics = {"loss": self.mean, "perplexity": perplexity(self.total, self.count)}
        if self.characters:
            metrics["bits_per_character"] = bits_per_character(self.total, self.characters)
        if self.bytes:
            metrics["bits_per_byte"] = bits_per_byte(self.total, self.bytes)
        return metrics


class Task:
    """A tokenizer and a model, put to a task.

    `finetune` trains one; by hand it is what any trainer takes, with data that the task encodes and
    collates, and examples that it evaluates:

        Trainer(task.learner(), args, task.dataset(train), task.examples(validation), task.collate)

    Parameters
    ----------
    tokenizer : a `tokenizers.Tokenizer`, as `prepare_tokenizer` left it
    model : of the kind that `model_tasks` names
    settings : `settings_class`; the defaults without

    labels : LabelMap of what a head gives; empty for tasks without
    cut : int, examples evaluated or predicted so far that were longer than the model takes
    cut_fields : of how many a field was, for tasks whose fields have limits of their own
    """

    name: ClassVar[str]
    model_tasks: ClassVar[tuple[str, ...]]  # words of `models.MODELS`, the first one that fits
    metric: str  # the figure that decides which model is best
    learns: ClassVar[bool] = True  # whether `finetune` has something to teach
    any_directory: ClassVar[bool] = False  # whether it opens what was fine-tuned for another task
    labelled: ClassVar[bool] = False  # whether a head gives one of the labels of the data
    opens: ClassVar[tuple[str, ...]] = ()  # other tasks whose directories it can be put to
    smooths: ClassVar[bool] = True  # whether its loss knows label smoothing
    reports: ClassVar[bool] = False  # whether it has a `report`
    settings_class: ClassVar[type[TaskSettings]] = TaskSettings
    reading: Mapping[str, Any] = {}  # how files are read that are like those it learned from
    answer_fields: ClassVar[tuple[str, ...]]  # of `record`, what was found; the main one first
    _seed = 0

    def __init__(self, tokenizer: Tokenizer, model: Any, settings: Any = None):
        self.tokenizer, self.model = tokenizer, model
        self.settings: Any = self.settings_class() if settings is None else settings
        self.encoder = TextEncoder(tokenizer)
        self.max_length = self._limit()
        self.labels = LabelMap.from_id2label(model.config.id2label if self.labelled else {})
        self.cut_fields: Counter[str] = Counter()
        self.cut = 0  # examples evaluated or predicted of which something had to be left out

    # What a trainer needs

    def learner(self) -> Any:
        """What is trained: the model, or what stands for it with a loss that it has not."""
        return self.model

    def watch(self, examples: Sequence[Any]) -> None:
        """Let the examples that decide which model is best say by which figure."""

    def save_files(self, directory: str | Path) -> None:
        """Write what else a directory of the task has, beside model, tokenizer and `task.json`."""

    # What a task adds to a tokenizer and a configuration, before there is a model

    @classmethod
    def prepare_tokenizer(
        cls, tokenizer: Tokenizer, examples: Sequence[Any], word: str, settings: Any
    ) -> None:
        """Add the tokens that the task needs.

        word : of `model_tasks`, what the model is
        settings : as `settings_for` left them
        """

    @classmethod
    def settings_for(cls, settings: Any, examples: Sequence[Any]) -> Any:
        """The settings, with what the training data decides filled in."""
        return settings

    @classmethod
    def settings_in(cls, path: str) -> dict[str, Any]:
        """Settings that the files of a directory tell, `task.json` aside."""
        return {}

    @classmethod
    def problem_for(
        cls, settings: Any, values: Mapping[str, Any], examples: Sequence[Any], *, new_head: bool
    ) -> Any:
        """What kind of labels the head of a model learns, for tasks that have several kinds.

        values : the contents of the model's `config.json`
        """
        return None

    @classmethod
    def with_labels(cls, examples: Sequence[Any], problem: Any, settings: Any) -> Sequence[Any]:
        """Examples with their labels as the problem has them."""
        return examples

    @classmethod
    def texts(cls, examples: Iterable[Any]) -> Iterator[str]:
        """All texts of examples, to train a tokenizer on."""
        return (text for example in examples for _, text in texts_of(example))

    # What each task says

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        """The features of each example."""
        raise NotImplementedError(f"{type(self).__name__} defines no encode")

    def encode_to_learn(self, examples: Sequence[Any]) -> list[list[Feature]]:
        """The features of labelled examples in training, where those of `encode` are not enough."""
        return self.encode(examples, labelled=True)

    def collate(self, inputs: Sequence[Inputs]) -> Batch:
        """A batch of the inputs of some features: ids as ragged rows, which nothing pads."""
        return collate_rows(inputs)

    def outputs(self, output: Any, features: Sequence[Feature]) -> list[Any]:
        """Of what the model returned for a batch, the part of each feature."""
        logits = float_array("logits", output.logits)
        return list(logits)

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Any]) -> Any:
        """The prediction for an example."""
        raise NotImplementedError(f"{type(self).__name__} defines no decode")

    def score(self, predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, float]:
        """Metrics of predictions for labelled examples, without a prefix."""
        raise NotImplementedError(f"{type(self).__name__} defines no score")

    def report(self, predictions: Sequence[Any], examples: Sequence[Any]) -> Report:
        """What is to be said of predictions for labelled examples beyond their metrics."""
        raise NotImplementedError(f"{type(self).__name__} defines no report")

    def answer(self, example: Any, prediction: Any) -> Any:
        """A prediction as plain values, the way pipelines return it."""
        raise NotImplementedError(f"{type(self).__name__} defines no answer")

    def alone(self, answer: Any) -> Any:
        """What a pipeline returns for a single text, where that is not the answer itself."""
        return answer

    def together(self, answers: list[Any]) -> Any:
        """What a pipeline returns for a list, where that is not a list of answers."""
        return answers

    def record(self, example: Any, prediction: Any) -> dict[str, Any]:
        """A line of `plainformer predict`: what was asked and what is answered."""
        raise NotImplementedError(f"{type(self).__name__} defines no record")

    def plain(self, record: Mapping[str, Any]) -> str:
        """The answer in a record as text, "" where it is None."""
        found = record[self.answer_fields[0]]
        return "" if found is None else str(found)

    @classmethod
    def asked_fields(cls) -> tuple[str, ...]:
        """The fields that a request has."""
        return FIELDS[cls.name].given

    def field_limits(self) -> dict[str, int | None]:
        """Most tokens of each field, for tasks whose fields have limits of their own."""
        return {}

    # What all tasks do

    def __repr__(self) -> str:
        """What it is put to, the model, the labels, and settings other than the usual ones."""
        told = [f"{type(self.model).__name__} of {self.model.num_parameters():,} parameters"]
        told += [f"labels {listed(self.labels.labels)}"] if len(self.labels) else []
        return f"{type(self).__name__}({'; '.join([*told, *unusual(self.settings)])})"

    def with_settings(self, **changes: Any) -> Task:
        """The same tokenizer and model with other settings."""
        if not changes:
            return self
        return type(self)(self.tokenizer, self.model, replace(self.settings, **changes))

    def drawing(self, seed: int) -> Task:
        """The same task with another seed of what it draws where its settings say none."""
        other = copy(self)
        other._seed = seed
        return other

    @property
    def seed(self) -> int | None:
        """The seed of what it draws, 0 unless told; None where it draws nothing."""
        own = getattr(self.model, "generation_config", None)  # of models that write
        draws = getattr(self.settings, "do_sample", own is not None and own.do_sample)
        given = getattr(self.settings, "sampling_seed", None)
        return None if not draws else self._seed if given is None else given

    def seeded(self) -> dict[str, int]:
        """The seed as an argument of `generate`, which takes none where nothing is drawn."""
        return {} if self.seed is None else {"seed": self.seed}

    def dataset(self, examples: Sequence[Any]) -> FeatureDataset:
        """All features of labelled examples, to train on."""
        return FeatureDataset(
            own
            for chunk in chunks(examples, _ENCODED_AT_ONCE)
            for own in self.encode_to_learn(chunk)
        )

    def examples(self, examples: Sequence[Any]) -> TaskExamples:
        """Examples, or dicts with the task's fields, as `Trainer` takes them for `eval_dataset`."""
        return TaskExamples(self, examples)

    def evaluate(self, examples: Iterable[Any], batch_size: int = 32) -> dict[str, float]:
        """Loss, a mean over all labels that count, and metrics of labelled examples."""
        loss, predictions, seen = self._found(examples, batch_size)
        return {"loss": loss.mean, **self.score(predictions, seen)}

    def judge(
        self, examples: Iterable[Any], batch_size: int = 32
    ) -> tuple[dict[str, float], Report | None]:
        """What `evaluate` gives, and of tasks with labels a report beside it: the scores of each
        label, confusions, calibration and every answer; None for the others."""
        if not self.reports:
            return self.evaluate(examples, batch_size), None
        loss, predictions, seen = self._found(examples, batch_size)
        metrics = {"loss": loss.mean, **self.score(predictions, seen)}
        return metrics, self.report(predictions, seen)

    def _found(
        self, examples: Iterable[Any], batch_size: int
    ) -> tuple[LossSum, list[Any], list[Any]]:
        """The loss of labelled examples, their predictions, and the examples."""
        loss, seen, predictions = LossSum(), [], []
        for chunk in chunks(examples, batch_size):
            seen += chunk
            predictions += self._run(chunk, batch_size, loss)
        return loss, predictions, seen

    def predict(self, examples: Iterable[Any], batch_size: int = 32) -> Iterator[tuple[Any, Any]]:
        """Each example with its prediction, in order; no more than a batch is held."""
        for chunk in chunks(examples, batch_size):
            yield from zip(chunk, self._run(chunk, batch_size, None))

    def _run(self, examples: list[Any], batch_size: int, loss: LossSum | None) -> list[Any]:
        own = self.encode(examples, labelled=loss is not None)
        self.cut += sum(any(feature.cut for feature in features) for features in own)
        for features in own:
            self.cut_fields.update({name for feature in features for name in feature.cut_fields})
        flat = [feature for features in own for feature in features]
        batches = chunks(flat, batch_size)
        rest = iter([found for batch in batches for found in self._forward(batch, loss)])
        return [
            self.decode(example, features, [next(rest) for _ in features])
            for example, features in zip(examples, own)
        ]

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Any]:
        batch = self.collate([feature.inputs for feature in features])
        [(_, output)] = run_batches(self.model, [batch], loss)
        return self.outputs(output, features)

    def _add_losses(self, inputs: Iterable[Inputs], batch_size: int, loss: LossSum) -> None:
        """Add the losses of what the model takes of labelled examples, and nothing else."""
        batches = (self.collate(batch) for batch in chunks(inputs, batch_size))
        for _ in run_batches(self.model, batches, loss, return_logits=False):
            pass

    def encode_texts(
        self, texts: Sequence[Any], pairs: Sequence[Any] | None = None, **options: Any
    ) -> list[tuple[Encoded, bool]]:
        """Each text (and pair) encoded, and whether it had to be cut to `max_length`."""
        whole = self.encoder.encode(texts, pairs, truncation=False, **options)
        limit = self.max_length
        if limit is None:
            return [(encoded, False) for encoded in whole]
        long = [i for i, encoded in enumerate(whole) if len(encoded) > limit]
        if long:
            shortened = self.encoder.encode(
                [texts[i] for i in long],
                None if pairs is None else [pairs[i] for i in long],
                max_length=limit,
                **options,
            )
            for i, encoded in zip(long, shortened):
                whole[i] = encoded
        cut = set(long)
        return [(encoded, i in cut) for i, encoded in enumerate(whole)]

    def inputs(self, encoded: Encoded) -> dict[str, Array]:
        """What the model takes of an encoded text."""
        return self.model_inputs(encoded.input_ids, encoded.token_type_ids)

    def model_inputs(self, ids: Any, token_types: Any) -> dict[str, Array]:
        """Ids (L,), and token types (L,) where the model has them."""
        inputs = {"input_ids": np.asarray(ids, np.int32)}
        if getattr(self.model, "has_token_types", False):
            inputs["token_type_ids"] = np.asarray(token_types, np.int32)
        return inputs

    def _limit(self) -> int | None:
        """Most tokens of an input: the settings' or else the model's."""
        wanted, context = self.settings.max_length, self.model.config.context_length
        if wanted is None:
            return self.encoder.special.longest_input(context)
        if context is not None and wanted > context:
            raise ConfigError(f"max_length: got {wanted}, the model takes at most {context}")
        return wanted


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items in order, the last one perhaps shorter."""
    COUNT.check("batch_size", size)
    rest = iter(items)
    while chunk := list(islice(rest, min(size, sys.maxsize))):
        yield chunk


@contextmanager
def at_line_of(example: Any) -> Iterator[None]:
    """What is wrong with an example is a DataError, which says where it came from if it is new."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error), example.file or None, example.line) from error


def ends_of(encoded: Encoded) -> tuple[Array, Array]:
    """The special tokens before and after the text."""
    inside = np.flatnonzero(encoded.sequence_ids == 0)
    if not inside.size:  # a text of which the tokenizer leaves nothing: [CLS] and [SEP] at most
        return encoded.input_ids[:1], encoded.input_ids[1:]
    return encoded.input_ids[: inside[0]], encoded.input_ids[inside[-1] + 1 :]


def float_array(name: str, values: Any) -> Array:
    """Float32 numbers that a model returned. Raises NonFiniteError for NaN and infinities."""
    array = np.asarray(values).astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{name}: the model gives NaN or infinite values; its weights are damaged, or diverged "
            "in training",
            tensor=name,
        )
    return array


def probabilities(logits: Array) -> Array:
    """Softmax over the last axis, a row at a time alike in any batch."""
    return kernels.softmax(np.ascontiguousarray(logits))

"""The data of one fine-tuning: read, checked, and told to the person who gave it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import describe, examples_of, read_examples
from ..data.examples import Example
from ..data.labelled.annotated import BAD_SPANS
from ..data.labels import check_labels, label_counts, label_set, sort_labels, unseen_labels
from ..data.records.naming import Remembered
from ..data.records.opening import ENCODING
from ..errors import ConfigError, DataError, shown
from ..options import COUNT, PART, Rule, check, one_of, option
from .features import FeatureDataset
from .problems import MultiLabel, Problem, Regression
from .task import Task


def _names(given: Sequence[str]) -> list[str]:
    """Several names, which may stand in one text between commas."""
    names = given[0].split(",") if len(given) == 1 else list(given)
    if len(names) < 2 or not all(name.strip() for name in names):
        raise ValueError
    return [name.strip() for name in names]


LABEL_NAMES = Rule(_names, "at least two names")
logger = logging.getLogger("plainformer")
_WEIGHTS = 12  # labels whose weights are told


@dataclass(frozen=True)
class DataOptions:
    """How files are read; `data.read_examples` has the details."""

    columns: Mapping[str, Any] | None = option(
        None, 'What the task\'s fields are called in the files, such as {"text": "review"}.'
    )
    skip_bad_lines: bool = option(False, "Count bad lines and leave them out.")
    max_train_samples: int | None = option(
        None, "Learn from the first so many examples of the training data only.", COUNT
    )
    tag_scheme: str | None = option(
        None, "The scheme of tags: IOB2, IOBES, BILOU or IOB1; default by their letters."
    )
    bad_spans: str = option(
        "error",
        "What is done about entities at offsets that end inside words, or overlap: error; skip "
        "leaves them out; expand and contract move their ends to those of words.",
        one_of(*BAD_SPANS, strict="error"),
        words="alignment_mode",
    )

    encoding: str | None = option(
        None,
        "What the text of files is in, such as cp1252, gb18030 or utf-16; default UTF-8, or what "
        "a file's byte order mark says.",
        ENCODING,
    )
    validation_fraction: float | None = option(
        None,
        "Hold back this part of the training data, of each label as much, to validate on; which "
        "examples these are follows from the seed.",
        PART,
    )
    label_names: Sequence[str] | None = option(
        None,
        "What labels or tags that are numbers stand for, in order from 0, such as O,B-PER,I-PER.",
        LABEL_NAMES,
    )

    def __post_init__(self) -> None:
        check(self)


def read(
    paths: Any,
    kind: type[Task],
    options: DataOptions,
    *,
    told: str | None = None,
    remembered: Mapping[str, Any] | None = None,
) -> Any:
    """Labelled examples of files, of objects with the task's fields, or examples as they are.

    told : what the examples are for; their description is logged under this name
    remembered : how a model's directory says that files are read, where the options say nothing

    Raises
    ------
    ConfigError : neither files nor a list, or `tag_scheme` or `bad_spans` for a task without tags
    DataError : bad data, with file and line
    """
    for name, usual in (("tag_scheme", None), ("bad_spans", "error")):
        if getattr(options, name) != usual and kind.name != "token-classification":
            raise ConfigError(f"{name}: has no effect on {kind.name}; leave it out")
    how: dict[str, Any] = {
        "columns": columns_of(options.columns, remembered),
        "skip_bad_lines": options.skip_bad_lines,
        "tag_scheme": options.tag_scheme,
        "bad_spans": options.bad_spans,
        "label_names": options.label_names or (remembered or {}).get("label_names"),
    }
    name = told or "examples"
    if isinstance(paths, Iterator):
        paths = list(paths)
    if _is_dataset(paths):
        if isinstance(paths[0], Example):
            examples = paths
        else:
            rows = (paths[i] for i in range(len(paths)))
            examples = examples_of(rows, kind.name, name=name, **how)
        if told:
            logger.info("%s: %d examples\n%s", told, len(examples), _described(examples))
        return examples
    _check_paths(name, paths)
    if told:
        logger.info("%s:", told)
    examples = read_examples(paths, kind.name, encoding=options.encoding, **how)
    if told:
        logger.info("%s", _described(examples))
    return examples


def _described(examples: Any) -> str:
    """What examples are like, but for where they are from: the first line, told by the reader."""
    return str(describe(examples)).partition("\n")[2]


def columns_of(
    given: Mapping[str, Any] | None, remembered: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """What fields are called: what is said, or else what is remembered."""
    known = (remembered or {}).get("columns")
    return given if given is not None or not known else Remembered(known)


def reading_of(options: DataOptions, remembered: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a model's directory remembers of how the files were read that it learned from."""
    said = {"columns": options.columns, "label_names": options.label_names}
    return {**(remembered or {}), **{n: v for n, v in said.items() if v is not None}}


def read_train(
    paths: Any, kind: type[Task], options: DataOptions, remembered: Mapping[str, Any]
) -> Any:
    """The examples to learn from: all, or the first ones."""
    examples = read(paths, kind, options, told="train", remembered=remembered)
    limit = options.max_train_samples
    if limit is None or limit >= len(examples):
        return examples
    logger.info("train: the first %d of %d examples", limit, len(examples))
    return [examples[i] for i in range(limit)]


def _is_dataset(value: Any) -> bool:
    """Whether this is what has a length and items by number, and the items are no paths."""
    if isinstance(value, (str, Mapping)) or not hasattr(value, "__getitem__"):
        return False
    try:
        return len(value) > 0 and not _is_path(value[0])
    except (KeyError, TypeError):  # a table, whose items are columns
        return False


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _check_paths(name: str, value: Any) -> None:
    paths = [value] if _is_path(value) else value
    if not isinstance(paths, (list, tuple)) or not paths or not all(map(_is_path, paths)):
        got = None if value is None else type(value).__name__
        raise ConfigError(
            f"{name}: got {'an empty list' if value == [] else got}, expected files, or a list of "
            "examples or of objects with the task's fields"
        )


def training_labels(
    kind: type[Task],
    examples: Sequence[Any],
    *,
    adds: bool = False,
    problem: type[Problem] | None = None,
) -> list[str] | None:
    """The labels that a head for these examples gives; None for tasks without.

    adds : the model knows labels already, so that one more is enough
    problem : what examples have, where that is not one label each

    Raises
    ------
    DataError : fewer than two labels
    """
    if not kind.labelled:
        return None
    if problem is Regression:
        return [f"LABEL_{i}" for i in range(len(examples[0].label))]
    counts = label_counts(examples)
    adds = adds or problem is MultiLabel
    return sort_labels(counts) if adds and len(counts) == 1 else label_set(examples)


def check_known(task: Task, name: str, examples: Sequence[Any]) -> None:
    """Raise DataError, naming `name`, if examples have labels that the model cannot give."""
    if not task.labelled:
        return
    problem = getattr(task, "problem", None)
    if problem is not None:
        examples = task.with_labels(examples, type(problem), task.settings)
    try:
        check_labels(examples, task.labels.labels)
    except DataError as error:
        count = sum(unseen_labels(examples, task.labels.labels).values())
        raise DataError(
            f"{name}: {count} labels were not seen in training: {error}", None, None
        ) from error


def class_weights(task: Task, wanted: str | Mapping[str, float], examples: Any) -> np.ndarray:
    """What the loss of each label is multiplied with, float32 (labels,).

    "balanced" is n / (labels in the data x count), so that all labels weigh the same in sum; a
    label that does not occur gets 1. A mapping names weights; other labels get 1.

    Raises
    ------
    ConfigError : a task without labels, an unknown label, a weight that is no number above 0
    """
    if not task.labelled:
        raise ConfigError(f"class_weights: {task.name} has no labels; leave it out")
    if isinstance(getattr(task, "problem", None), Regression):
        raise ConfigError("class_weights: regression has no classes; leave it out")
    if wanted == "balanced":
        counts = label_counts(examples)
        share = sum(counts.values()) / len(counts)
        values = [share / counts[name] if counts[name] else 1.0 for name in task.labels.labels]
        return np.array(values, np.float32)
    if not isinstance(wanted, Mapping):
        raise ConfigError(
            f"class_weights: got {shown(wanted)}, expected 'balanced' or an object of "
            "label to weight"
        )
    unknown = next((name for name in wanted if name not in task.labels.label2id), None)
    if unknown is not None:
        raise ConfigError(f"class_weights: {shown(unknown)} is none of the labels")
    for name, weight in wanted.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not weight > 0:
            raise ConfigError(f"class_weights: {shown(name)} has {shown(weight)}, expected above 0")
    return np.array([wanted.get(name, 1.0) for name in task.labels.labels], np.float32)


def tell_weights(task: Task, weights: np.ndarray) -> None:
    """Log what the losses of labels are multiplied with; of very many labels the ends."""
    order = np.argsort(-weights, kind="stable")
    told = [f"{task.labels.labels[i]} {weights[i]:.4g}" for i in order]
    if len(told) > _WEIGHTS:
        half = _WEIGHTS // 2
        told = [*told[:half], f"... ({len(told) - 2 * half} more) ...", *told[-half:]]
    logger.info("class weights: %s", ", ".join(told))


def tell_lengths(name: str, task: Task, dataset: Any) -> None:
    """Log how long the inputs are, how many examples had to be cut, and what the tokenizer does
    not know. dataset : from `task.dataset`"""
    examples = f"{dataset.examples} example{'s' * (dataset.examples != 1)}"
    points = np.percentile(dataset.lengths(), (50, 90, 99, 100), method="inverted_cdf")
    p50, p90, p99, longest = (int(x) for x in points)
    fields = getattr(dataset, "cut_fields", {})  # blocks of a language model have none
    cut = f"; {_cuts(task, dataset.cut, fields)}" if dataset.cut else ""
    is_plain = isinstance(dataset, FeatureDataset)
    unknown = dataset.share_of(task.encoder.special.unk_token_id) if is_plain else 0
    strange = f"; {100 * unknown:.2g} % of tokens unknown" if unknown else ""
    inputs = f" in {len(dataset)} inputs" if len(dataset) != dataset.examples else ""
    logger.info(
        "%s: %s%s, tokens: 50 %% %d, 90 %% %d, 99 %% %d, longest %d%s%s",
        name, examples, inputs, p50, p90, p99, longest, cut, strange,
    )  # fmt: skip


def tell_cut(name: str, task: Task, count: int) -> None:
    """Log how many of so many examples, evaluated or predicted, had to be cut."""
    if task.cut:
        if task.cut_fields:
            cuts = _cuts(task, task.cut, task.cut_fields)
            logger.info("%s: %d example%s; %s", name, count, "s" * (count != 1), cuts)
        else:
            logger.info("%s: %d of %d cut to %s tokens", name, task.cut, count, task.max_length)


def _cuts(task: Task, count: int, fields: Mapping[str, int]) -> str:
    """How many examples were cut to how many tokens, field by field where those differ."""
    if not fields:
        return f"{count} cut to {task.max_length}"
    limits = task.field_limits()
    return ", ".join(f"{fields[n]} with {n} cut to {limits[n]}" for n in limits if n in fields)

"""What a head for texts answers: one label, several, or a number.

`problem_type` of a configuration says which, in transformers' words, and decides with the number of
labels what becomes of logits, as transformers' own pipeline does: softmax over one label of many,
a sigmoid for each of several labels and for the score of a head with one, nothing for numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..data import LabelMap
from ..errors import shown
from ..metrics import (
    classification_metrics,
    multi_label_metrics,
    multi_label_scores,
    regression_metrics,
)
from .report import Report, labels_report, numbers_report, several_report
from .task import Array, probabilities

Label = str | float | tuple[str | float, ...]
SINGLE, MULTI = "single_label_classification", "multi_label_classification"
REGRESSION = "regression"
_EACH = 20  # labels whose F1 is told each


class Problem:
    """What labels of a problem type are, what a head's logits say, and how that is scored."""

    name: ClassVar[str]
    metric: ClassVar[str]  # the figure that decides which model is best

    def __init__(self, labels: LabelMap, *, separator: str | None = None, threshold: float = 0.5):
        self.labels, self.threshold = labels, threshold
        self.separator = separator

    @classmethod
    def label(cls, given: Label, separator: str | None = None) -> Label:
        """A label as this problem has it; a ValueError says what was expected."""
        raise NotImplementedError(f"{cls.__name__} defines no label")

    def target(self, label: Any) -> Any:
        """What the model takes of a label."""
        raise NotImplementedError(f"{type(self).__name__} defines no target")

    def decode(self, logits: Array) -> Array:
        """Scores (labels,) of logits (labels,), float32."""
        raise NotImplementedError(f"{type(self).__name__} defines no decode")

    def score(self, predictions: Sequence[Array], wanted: Sequence[Any]) -> dict[str, float]:
        """Metrics of scores for labels."""
        raise NotImplementedError(f"{type(self).__name__} defines no score")

    def report(
        self,
        predictions: Sequence[Array],
        wanted: Sequence[Any],
        asked: Sequence[dict[str, Any]],
    ) -> Report:
        """What is to be said of scores for labels, beside what was asked."""
        raise NotImplementedError(f"{type(self).__name__} defines no report")

    def found(self, prediction: Array) -> dict[str, Any]:
        """The answer in a line of `predict`."""
        best = int(prediction.argmax())
        return {"label": self.labels.labels[best], "score": float(prediction[best])}

    def plain(self, found: Mapping[str, Any]) -> str:
        """What such an answer says, as text; several labels or numbers as files have them."""
        return str(found["label"])

    def _joined(self, several: Iterable[Any]) -> str:
        return (self.separator or ",").join(map(str, several))


class SingleLabel(Problem):
    """One label a text. Scores are probabilities."""

    name, metric = SINGLE, "accuracy"

    @classmethod
    def label(cls, given: Label, separator: str | None = None) -> str:
        if isinstance(given, str):
            return given
        if isinstance(given, tuple):
            raise ValueError(
                f"label: got several ({shown(list(given))}), expected one; problem_type "
                f"{MULTI} takes several"
            )
        raise ValueError(
            f"label: got {given}, expected text or a whole number; problem_type {REGRESSION} "
            "takes numbers"
        )

    def target(self, label: str) -> Any:
        return np.int64(self.labels.label2id[label])

    def decode(self, logits: Array) -> Array:
        return probabilities(logits[None])[0]

    def score(self, predictions: Sequence[Array], wanted: Sequence[str]) -> dict[str, float]:
        return classification_metrics(predictions=self.named(predictions), references=list(wanted))

    def report(
        self,
        predictions: Sequence[Array],
        wanted: Sequence[Any],
        asked: Sequence[dict[str, Any]],
    ) -> Report:
        return labels_report("label", self.labels.labels, predictions, wanted, asked)

    def named(self, predictions: Sequence[Array]) -> list[str]:
        """The most probable label of each."""
        return self.labels.names(int(p.argmax()) for p in predictions)


class MultiLabel(Problem):
    """Any number of labels a text. A label's score is its own probability."""

    name, metric = MULTI, "micro_f1"

    @classmethod
    def label(cls, given: Label, separator: str | None = None) -> tuple[str, ...]:
        if isinstance(given, str):
            given = tuple(given.split(separator)) if separator else (given,)
        if not isinstance(given, tuple) or not all(isinstance(one, str) for one in given):
            raise ValueError(f"label: got {shown(given)}, expected a list of labels")
        return tuple(dict.fromkeys(one.strip() for one in given if one.strip()))  # type: ignore[union-attr]

    def target(self, label: Sequence[str]) -> Array:
        target = np.zeros(len(self.labels), np.float32)
        target[self.labels.ids(label)] = 1
        return target

    def decode(self, logits: Array) -> Array:
        return sigmoid(logits)

    def score(self, predictions: Sequence[Array], wanted: Sequence[Any]) -> dict[str, float]:
        """Micro and macro F1, subset accuracy, and the F1 of each label where they are few."""
        found = [self.above(p) for p in predictions]
        metrics = multi_label_metrics(predictions=found, references=wanted)
        if len(self.labels) <= _EACH:
            each = multi_label_scores(predictions=found, references=wanted)
            metrics |= {f"f1_{name}": each[name].f1 for name in self.labels.labels if name in each}
        return metrics

    def report(
        self,
        predictions: Sequence[Array],
        wanted: Sequence[Any],
        asked: Sequence[dict[str, Any]],
    ) -> Report:
        found = [self.above(p) for p in predictions]
        return several_report(self.labels.labels, predictions, found, wanted, asked)

    def above(self, prediction: Array) -> list[str]:
        """The labels whose score reaches the threshold, best first."""
        order = np.argsort(-prediction, kind="stable")
        return self.labels.names(i for i in order if prediction[i] >= self.threshold)

    def found(self, prediction: Array) -> dict[str, Any]:
        chosen = self.above(prediction)
        scores = [float(prediction[self.labels.label2id[name]]) for name in chosen]
        return {"label": chosen, "score": scores}

    def plain(self, found: Mapping[str, Any]) -> str:
        return self._joined(found["label"])


class Regression(Problem):
    """A number for each label of the head, mostly one."""

    name, metric = REGRESSION, "spearman"

    @classmethod
    def label(cls, given: Label, separator: str | None = None) -> tuple[float, ...]:
        if isinstance(given, str) and separator:
            given = tuple(given.split(separator))
        several = given if isinstance(given, tuple) else (given,)
        try:
            numbers = tuple(float(one) for one in several)
        except ValueError:
            numbers = ()
        if not numbers or not np.isfinite(numbers).all():
            raise ValueError(
                f"label: got {shown(given)}, expected a number, as problem_type {REGRESSION} has "
                "it; another problem_type takes classes"
            )
        return numbers

    def target(self, label: Sequence[float]) -> Array:
        if len(label) != len(self.labels):
            raise ValueError(
                f"label: got {len(label)} numbers, expected {len(self.labels)}, one for each "
                "output of the model"
            )
        return np.array(label, np.float32)

    def decode(self, logits: Array) -> Array:
        return logits

    def score(self, predictions: Sequence[Array], wanted: Sequence[Any]) -> dict[str, float]:
        """Pearson, Spearman and the mean error, each a mean over the outputs."""
        found, gold = np.array(predictions), np.array(wanted)
        each = [
            regression_metrics(predictions=found[:, i], references=gold[:, i])
            for i in range(gold.shape[1])
        ]
        return {name: float(np.mean([own[name] for own in each])) for name in each[0]}

    def report(
        self,
        predictions: Sequence[Array],
        wanted: Sequence[Any],
        asked: Sequence[dict[str, Any]],
    ) -> Report:
        return numbers_report(predictions, wanted, asked)

    def found(self, prediction: Array) -> dict[str, Any]:
        """The number; of a head of several all of them: the largest is no answer."""
        if len(prediction) == 1:
            return super().found(prediction)
        return {"label": list(self.labels.labels), "score": [float(x) for x in prediction]}

    def plain(self, found: Mapping[str, Any]) -> str:
        score = found["score"]
        return self._joined(score if isinstance(score, list) else [score])


class Score(Regression):
    """One score between 0 and 1, of a head with one label whose configuration says no more.

    Rerankers have such heads. Learned from numbers it becomes a regression, as in transformers.
    """

    def decode(self, logits: Array) -> Array:
        return sigmoid(logits)


_PROBLEMS: dict[str, type[Problem]] = {p.name: p for p in (SingleLabel, MultiLabel, Regression)}


def problem_of(config: Any) -> type[Problem]:
    """The problem of a model that is there, as transformers' pipeline decides it."""
    if config.problem_type is not None:
        return _PROBLEMS[config.problem_type]
    return Score if config.num_labels == 1 else SingleLabel


def problem_to_learn(
    wanted: str | None, values: Mapping[str, Any], labels: Sequence[Any], *, new_head: bool
) -> type[Problem]:
    """The problem that a head learns.

    wanted : what was asked for, if anything was
    values : the contents of the model's `config.json`
    labels : those of the data, as they were read
    new_head : whether what the configuration says is of a head that is given up
    """
    if wanted is not None:
        return _PROBLEMS[wanted]
    said = values.get("problem_type")
    if said in _PROBLEMS and not new_head:
        return _PROBLEMS[said]
    if any(isinstance(label, tuple) for label in labels):
        numbers = all(isinstance(one, float) for given in labels for one in _several(given))
        return Regression if numbers else MultiLabel
    if any(isinstance(label, float) for label in labels):
        return Regression
    if said in _PROBLEMS:
        return _PROBLEMS[said]
    if values.get("num_labels") == 1 or len(values.get("id2label") or ()) == 1:
        return Regression if not new_head and all(map(_is_number, labels)) else SingleLabel
    return SingleLabel


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)), float32, without overflow."""
    small = np.exp(-np.abs(logits))
    return (np.where(logits >= 0, 1, small) / (1 + small)).astype(np.float32)


def _several(label: Any) -> tuple[Any, ...]:
    return label if isinstance(label, tuple) else (label,)


def _is_number(label: Any) -> bool:
    try:
        float(label)
    except (TypeError, ValueError):
        return False
    return True

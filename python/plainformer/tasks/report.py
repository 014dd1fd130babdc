"""What an evaluation says beyond one figure: the scores of each label, what is taken for what,
whether probabilities can be believed, and every answer, the confident errors first.

    report = open_task("out").judge(examples)[1]
    print(report)                       # tables for a terminal
    report.rows()[:10]                  # the ten most confident errors
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.examples import texts_of
from ..metrics import (
    CalibrationBin,
    LabelScore,
    calibration_bins,
    confusion_matrix,
    label_scores,
    multi_label_scores,
)
from .report_text import report_text

Array = np.ndarray


@dataclass(frozen=True)
class Verdict:
    """One answer beside what is right.

    row : what was asked, `gold`, `prediction`, `correct`, `score`, `probabilities`, file and line
    confidence : of the answer; of numbers how far it is off
    """

    row: dict[str, Any]
    correct: bool
    confidence: float

    @property
    def place(self) -> tuple[bool, float]:
        """What sorts errors before the rest, the most confident ones first; of what is right the
        most doubtful."""
        return self.correct, self.confidence if self.correct else -self.confidence


@dataclass(frozen=True)
class Report:
    """The report of an evaluation; `str()` gives the tables for a terminal.

    unit : what scores are of: "label", "type" of entities, "relation"
    scores : precision, recall, F1 and support of each; none for numbers
    verdicts : every answer, in the order of the data
    confusion : labels, and how often each (row) was taken for each (column)
    calibration : answers by confidence; none where answers have no probability
    errors : of numbers how far each is off
    """

    unit: str
    scores: Mapping[Any, LabelScore]
    verdicts: Sequence[Verdict]
    confusion: tuple[list[Any], Array] | None = None
    calibration: Sequence[CalibrationBin] = ()
    errors: Array | None = None

    @property
    def ece(self) -> float | None:
        """The expected calibration error; None without probabilities."""
        total = sum(one.size for one in self.calibration)
        apart = (one.size * abs(one.accuracy - one.confidence) for one in self.calibration)
        return sum(apart) / total if total else None

    def rows(self) -> list[dict[str, Any]]:
        """Every answer beside what is right, the most confident errors first."""
        return [one.row for one in sorted(self.verdicts, key=lambda one: one.place)]

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON takes them; rows are apart."""
        found: dict[str, Any] = {"ece": self.ece} if self.calibration else {}
        if self.scores:
            found[f"{self.unit}s"] = {str(k): v._asdict() for k, v in self.scores.items()}
        if self.confusion is not None:
            labels, matrix = self.confusion
            found["confusion"] = {"labels": labels, "matrix": matrix.tolist()}
        if self.calibration:
            found["calibration"] = [one._asdict() for one in self.calibration]
        return found

    def text(self, width: int = 100) -> str:
        """The tables, as wide as a terminal of so many columns."""
        return report_text(self, width)

    def __str__(self) -> str:
        return self.text()


def labels_report(
    unit: str,
    labels: Sequence[str],
    predictions: Sequence[Array],
    wanted: Sequence[str],
    asked: Sequence[dict[str, Any]],
    scores: Mapping[Any, LabelScore] | None = None,
) -> Report:
    """The report where each answer is one of some labels.

    predictions : the probability of each label, a row (labels,) an answer
    asked : what was asked, and where it stands; see `asked_of`
    scores : of each label, default those of all that occur
    """
    best = [int(row.argmax()) for row in predictions]
    found = [labels[i] for i in best]
    sure = [float(row[i]) for row, i in zip(predictions, best)]
    verdicts = []
    for given, gold, name, score, row in zip(asked, wanted, found, sure, predictions):
        fields = {"gold": gold, "prediction": name, "correct": gold == name, "score": score,
                  "probabilities": _named(labels, row)}  # fmt: skip
        verdicts.append(Verdict(_beside(given, fields), gold == name, score))
    if scores is None:
        scores = label_scores(references=wanted, predictions=found)
    names, matrix = confusion_matrix(
        references=wanted, predictions=found, labels=_ordered(labels, wanted, found)
    )
    bins = calibration_bins(_within(sure), [one.correct for one in verdicts])
    return Report(unit, scores, verdicts, (names, matrix), bins)


def several_report(
    labels: Sequence[str],
    predictions: Sequence[Array],
    found: Sequence[Sequence[str]],
    wanted: Sequence[Sequence[str]],
    asked: Sequence[dict[str, Any]],
) -> Report:
    """The report where each answer is any number of labels, each with a probability of its own."""
    verdicts = []
    gold = np.array([[name in own for name in labels] for own in wanted])
    chosen = np.array([[name in own for name in labels] for own in found])
    for given, own, names, row, said, right in zip(asked, wanted, found, predictions, chosen, gold):
        sure = np.where(said, row, 1 - row)
        wrong = said != right
        score = float(sure[wrong].max() if wrong.any() else sure.min())
        fields = {"gold": list(own), "prediction": list(names), "correct": not wrong.any(),
                  "score": score, "probabilities": _named(labels, row)}  # fmt: skip
        verdicts.append(Verdict(_beside(given, fields), not wrong.any(), score))
    scores = multi_label_scores(references=wanted, predictions=found)
    bins = calibration_bins(_within(np.concatenate(predictions)), gold.reshape(-1))
    return Report("label", scores, verdicts, None, bins)


def numbers_report(
    predictions: Sequence[Array], wanted: Sequence[Sequence[float]], asked: Sequence[dict[str, Any]]
) -> Report:
    """The report where answers are numbers: how far each is off, the farthest first."""
    verdicts = []
    off = [np.abs(np.asarray(p, np.float64) - np.asarray(w)) for p, w in zip(predictions, wanted)]
    for given, row, gold, error in zip(asked, predictions, wanted, off):
        values = {
            "gold": list(gold),
            "prediction": [float(x) for x in row],
            "error": error.tolist(),
        }
        if len(gold) == 1:
            values = {name: value[0] for name, value in values.items()}
        verdicts.append(Verdict(_beside(given, values), False, float(error.mean())))
    return Report("label", {}, verdicts, errors=np.concatenate(off))


def choices_report(predictions: Sequence[Array], examples: Sequence[Any]) -> Report:
    """The report where each answer is one of an example's own choices."""
    verdicts = []
    for example, row in zip(examples, predictions):
        best, choices = int(row.argmax()), example.choices
        fields = {"gold": choices[example.label], "prediction": choices[best],
                  "correct": best == example.label, "score": float(row[best]),
                  "probabilities": _named(choices, row)}  # fmt: skip
        asked = asked_of(example, {"question": example.question})
        verdicts.append(Verdict(_beside(asked, fields), best == example.label, float(row[best])))
    sure, right = ([getattr(v, name) for v in verdicts] for name in ("confidence", "correct"))
    return Report("choice", {}, verdicts, None, calibration_bins(_within(sure), right))


def asked_of(example: Any, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What was asked, as a row has it: the texts of an example or its fields, file and line."""
    given = dict(texts_of(example)) if fields is None else dict(fields)
    place = {"file": example.file or None, "line": example.line}
    return given | {name: value for name, value in place.items() if value is not None}


def _beside(given: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """What was answered, what was asked, and at the end all probabilities, which may be many."""
    chances = {name: value for name, value in fields.items() if name == "probabilities"}
    first = {name: value for name, value in fields.items() if name not in chances}
    asked = {name: value for name, value in given.items() if name not in fields}
    return {**first, **asked, **chances}


def _named(labels: Sequence[str], row: Array) -> dict[str, float]:
    return {name: float(value) for name, value in zip(labels, row)}


def _ordered(labels: Sequence[str], *sides: Sequence[str]) -> list[str]:
    """The labels that occur, in the order of the model's."""
    occurring = {name for side in sides for name in side}
    return [*(name for name in labels if name in occurring), *sorted(occurring - {*labels})]


def _within(chances: Any) -> Array:
    """Probabilities without the rounding that takes a float32 past 1."""
    return np.clip(np.asarray(chances, np.float64), 0, 1)

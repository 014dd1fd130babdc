"""Text classification: a label for a text, such as a sentiment, a topic or an intent; or several
labels, or a number, as `problem_type` of the model's configuration says (`problems.py`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Encoded, TextExample
from ..data.examples import texts_of
from ..errors import ConfigError, shown
from ..metrics import intent_metrics
from ..models.config import PROBLEM_TYPES
from ..options import COUNT, NOT_EMPTY, PART, one_of, option, options_of
from .features import Feature
from .problems import MULTI, SINGLE, Problem, SingleLabel, problem_of, problem_to_learn
from .registry import register
from .report import Report, asked_of
from .task import Array, Task, TaskSettings, at_line_of

_OUT_OF_SCOPE = "oos"
_BEST = "best"


@dataclass(frozen=True)
class TextClassificationSettings(TaskSettings):
    """Options of text classification."""

    out_of_scope: str | None = option(
        None,
        "The label of queries outside of all intents, for metrics of its own; default oos, where "
        "there is such a label.",
    )
    top_k: int | None = option(None, "So many labels are answered, best first.", COUNT)
    problem_type: str | None = option(
        None,
        "What a text has: single_label_classification, multi_label_classification or regression; "
        "default what the model's configuration says, else what the labels look like.",
        one_of(*PROBLEM_TYPES),
    )
    label_separator: str | None = option(
        None,
        "What stands between the labels of a text in a table, such as ; where it has several.",
        NOT_EMPTY,
    )
    threshold: float | None = option(
        None, "The score from which on a text has a label, where it has several; default 0.5.", PART
    )


@register
class TextClassification(Task):
    """Labels of a text. A prediction is the score of each label, float32 (labels,)."""

    name = "text-classification"
    metric = "accuracy"
    labelled = reports = True
    settings_class = TextClassificationSettings
    answer_fields = ("label", "score")

    def __init__(self, tokenizer: Any, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        wanted = self.settings.out_of_scope
        if wanted is not None and wanted not in self.labels.label2id:
            raise ConfigError(f"out_of_scope: got {shown(wanted)}, which is none of the labels")
        self._out_of_scope = wanted or _OUT_OF_SCOPE
        self.problem = problem_of(model.config)(
            self.labels,
            separator=self.settings.label_separator,
            threshold=self.settings.threshold or 0.5,
        )
        self.metric = self.problem.metric
        self._check_settings()

    def _check_settings(self) -> None:
        """A setting that would do nothing, or that says other than the model, is an error."""
        name, wanted = self.problem.name, self.settings.problem_type
        if wanted is not None and wanted != name:
            raise ConfigError(f"problem_type: got {wanted}, but the model is for {name}")
        if self.settings.threshold is not None and name != MULTI:
            raise ConfigError(f"threshold: has no effect on {name}; leave it out")
        if self.settings.out_of_scope is not None and name != SINGLE:
            raise ConfigError(f"out_of_scope: has no effect on {name}; leave it out")

    @classmethod
    def problem_for(
        cls, settings: Any, values: Mapping[str, Any], examples: Sequence[Any], *, new_head: bool
    ) -> type[Problem]:
        labels = [example.label for example in examples]
        return problem_to_learn(settings.problem_type, values, labels, new_head=new_head)

    @classmethod
    def with_labels(
        cls, examples: Sequence[Any], problem: type[Problem], settings: Any
    ) -> Sequence[Any]:
        return [
            dataclasses.replace(e, label=_label_of(e, problem, settings.label_separator))
            for e in examples
        ]

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        features = []
        for example, (one, cut) in zip(examples, self._encoded(examples)):
            inputs: dict[str, Any] = self.inputs(one)
            if labelled:
                inputs["labels"] = self._target(example)
            features.append([Feature(inputs, cut=cut)])
        return features

    def _encoded(self, examples: Sequence[Any]) -> list[tuple[Encoded, bool]]:
        """Each text, or both of a pair, encoded, and whether something was cut."""
        found: dict[int, tuple[Encoded, bool]] = {}
        for paired in (False, True):
            own = [i for i, e in enumerate(examples) if (e.text_pair is not None) == paired]
            pairs = [examples[i].text_pair for i in own] if paired else None
            if own:
                found |= zip(own, self.encode_texts([examples[i].text for i in own], pairs))
        return [found[i] for i in range(len(examples))]

    def decode(
        self, example: TextExample, features: Sequence[Feature], outputs: Sequence[Array]
    ) -> Array:
        return self.problem.decode(outputs[0])

    def score(self, predictions: Sequence[Array], examples: Sequence[Any]) -> dict[str, float]:
        wanted = [self._label(example) for example in examples]
        metrics = self.problem.score(predictions, wanted)
        if isinstance(self.problem, SingleLabel):
            found = self.problem.named(predictions)
            if self._out_of_scope in {*found, *wanted}:
                metrics |= intent_metrics(
                    predictions=found, references=wanted, out_of_scope=self._out_of_scope
                )
        return metrics

    def report(self, predictions: Sequence[Array], examples: Sequence[Any]) -> Report:
        asked = [asked_of(example) for example in examples]
        return self.problem.report(predictions, [self._label(e) for e in examples], asked)

    def _label(self, example: Any) -> Any:
        return _label_of(example, type(self.problem), self.problem.separator)

    def _target(self, example: Any) -> Any:
        label = self._label(example)
        with at_line_of(example):
            return self.problem.target(label)

    def answer(
        self, example: TextExample, prediction: Array, *, top_k: int | str | None = _BEST
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The most probable label; with `top_k` a list of so many, all with None, best first."""
        if isinstance(top_k, str) and top_k == _BEST:
            if self.settings.top_k is None:
                return self._ranked(prediction, 1)[0]
            top_k = self.settings.top_k
        known = options_of(TextClassificationSettings)["top_k"]
        return self._ranked(prediction, known.read(top_k))

    def alone(self, answer: Any) -> Any:
        """As transformers: a list, also of one label."""
        return [answer] if isinstance(answer, dict) else answer

    def record(self, example: TextExample, prediction: Array) -> dict[str, Any]:
        found = {**dict(texts_of(example)), **self.problem.found(prediction)}
        count = self.settings.top_k
        return found if count is None else {**found, "top_k": self._ranked(prediction, count)}

    def plain(self, record: Mapping[str, Any]) -> str:
        """The label or the labels; the score where that is the answer."""
        return "" if record["label"] is None else self.problem.plain(record)

    def _ranked(self, prediction: Array, count: int | None) -> list[dict[str, Any]]:
        order = np.argsort(-prediction, kind="stable")[:count]
        return [
            {"label": label, "score": float(prediction[i])}
            for i, label in zip(order, self.labels.names(order))
        ]


def _label_of(example: Any, problem: type[Problem], separator: str | None) -> Any:
    """The label of an example as its problem has it. Raises DataError with file and line."""
    with at_line_of(example):
        return problem.label(example.label, separator)

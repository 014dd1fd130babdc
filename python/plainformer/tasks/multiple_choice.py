"""Multiple choice: which of several continuations or answers fits best.

Each choice is encoded with the question, and a score a pair says how well they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from ..metrics import multiple_choice_accuracy
from ..training.batches import collate_groups
from ..training.losses import LossSum
from .features import Feature
from .registry import register
from .report import Report, choices_report
from .task import Array, Batch, Inputs, Task, probabilities


@register
class MultipleChoice(Task):
    """The index of a choice. A prediction is the probability of each, float32 (choices,)."""

    name = "multiple-choice"
    answer_fields = ("answer", "label", "score")
    metric = "accuracy"
    reports = True

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        questions = [example.question for example in examples for _ in example.choices]
        choices = [choice for example in examples for choice in example.choices]
        pairs = iter(self.encode_texts(questions, choices))
        features = []
        for example in examples:
            own = [next(pairs) for _ in example.choices]
            columns = [self.inputs(encoded) for encoded, _ in own]
            inputs: dict[str, Any] = {key: [c[key] for c in columns] for key in columns[0]}
            if labelled:
                inputs["labels"] = np.int64(example.label)
            features.append([Feature(inputs, cut=any(cut for _, cut in own))])
        return features

    def collate(self, inputs: Sequence[Inputs]) -> Batch:
        """A batch (B, choices, L). Raises ShapeError where examples have not as many choices."""
        return collate_groups("choices", inputs)

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Array]:
        """Questions with as many choices as the one before are computed together."""
        alike = groupby(features, key=lambda feature: len(feature.inputs["input_ids"]))
        return [x for _, own in alike for x in super(MultipleChoice, self)._forward([*own], loss)]

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> Array:
        return probabilities(outputs[0][None])[0]

    def score(self, predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, float]:
        labels = [example.label for example in examples]
        return {
            "accuracy": multiple_choice_accuracy(predictions=list(predictions), references=labels)
        }

    def report(self, predictions: Sequence[Array], examples: Sequence[Any]) -> Report:
        """Choices have no names that scores could be of: calibration, and every answer."""
        return choices_report(predictions, examples)

    def answer(self, example: Any, prediction: Array) -> dict[str, Any]:
        """The choice, its index and its probability."""
        best = int(prediction.argmax())
        return {"label": best, "answer": example.choices[best], "score": float(prediction[best])}

    def record(self, example: Any, prediction: Array) -> dict[str, Any]:
        return {
            "question": example.question,
            "choices": list(example.choices),
            **self.answer(example, prediction),
        }

"""Text classification: one label a text, such as a sentiment, a topic or an intent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import TextExample
from ..errors import ConfigError, shown
from ..metrics import classification_metrics, intent_metrics
from .options import check_at_least, option
from .registry import register
from .task import Array, Feature, Settings, Task, probabilities

_OUT_OF_SCOPE = "oos"
_BEST = "best"


@dataclass(frozen=True)
class TextClassificationSettings(Settings):
    """Options of text classification."""

    out_of_scope: str | None = option(
        None,
        "The label of queries outside of all intents, for metrics of its own; default oos, where "
        "there is such a label.",
    )
    top_k: int | None = option(None, "So many labels are answered, best first.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "top_k")


@register
class TextClassification(Task):
    """One label a text. A prediction is the probability of each label, float32 (labels,)."""

    name = "text-classification"
    model_tasks = ("sequence-classification",)
    metric = "accuracy"
    labelled = True
    settings_class = TextClassificationSettings
    answer_fields = ("label", "score")

    def __init__(self, tokenizer: Any, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        wanted = self.settings.out_of_scope
        if wanted is not None and wanted not in self.labels.label2id:
            raise ConfigError(f"out_of_scope: got {shown(wanted)}, which is none of the labels")
        self._out_of_scope = wanted or _OUT_OF_SCOPE

    @classmethod
    def texts(cls, examples: Iterable[TextExample]) -> Iterator[str]:
        return (example.text for example in examples)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        encoded = self.encode_texts([example.text for example in examples])
        features = []
        for example, (one, cut) in zip(examples, encoded):
            inputs: dict[str, Any] = self.inputs(one)
            if labelled:
                inputs["labels"] = np.int64(self.labels.label2id[example.label])
            features.append([Feature(inputs, cut=cut)])
        return features

    def decode(
        self, example: TextExample, features: Sequence[Feature], outputs: Sequence[Array]
    ) -> Array:
        return probabilities(outputs[0][None])[0]

    def score(self, predictions: Sequence[Array], examples: Sequence[Any]) -> dict[str, float]:
        found = self.labels.names(int(p.argmax()) for p in predictions)
        wanted = [example.label for example in examples]
        metrics = classification_metrics(found, wanted)
        if self._out_of_scope in {*found, *wanted}:
            metrics |= intent_metrics(found, wanted, out_of_scope=self._out_of_scope)
        return metrics

    def answer(
        self, example: TextExample, prediction: Array, *, top_k: int | str | None = _BEST
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The most probable label; with `top_k` a list of so many, all with None, best first."""
        if isinstance(top_k, str) and self.settings.top_k is not None:
            top_k = self.settings.top_k
        if isinstance(top_k, str):
            return self._ranked(prediction, 1)[0]
        if top_k is not None and top_k < 1:
            raise ConfigError(f"top_k: got {top_k}, expected at least 1, or None for all")
        return self._ranked(prediction, top_k)

    def alone(self, answer: Any) -> Any:
        """As transformers: a list, also of one label."""
        return [answer] if isinstance(answer, dict) else answer

    def record(self, example: TextExample, prediction: Array) -> dict[str, Any]:
        return {"text": example.text, **self._ranked(prediction, 1)[0], **self._top(prediction)}

    def _top(self, prediction: Array) -> dict[str, Any]:
        """The best labels, where a setting says how many."""
        count = self.settings.top_k
        return {} if count is None else {"top_k": self._ranked(prediction, count)}

    def _ranked(self, prediction: Array, count: int | None) -> list[dict[str, Any]]:
        order = np.argsort(-prediction, kind="stable")[:count]
        return [
            {"label": label, "score": float(prediction[i])}
            for i, label in zip(order, self.labels.names(order))
        ]

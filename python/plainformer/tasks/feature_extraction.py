"""Feature extraction: a vector of a text, by which texts can be compared, searched and grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import TextExample
from .features import Feature
from .registry import register
from .task import Array
from .vectors import VectorTask


@register
class FeatureExtraction(VectorTask):
    """A vector of a text. A prediction is float32 (C,)."""

    name = "feature-extraction"
    learns = False
    answer_fields = ("embedding",)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        encoded = self.encode_prompted([example.text for example in examples])
        return [[Feature(self.inputs(one), cut=cut)] for one, cut in encoded]

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> Array:
        return outputs[0]

    def answer(self, example: TextExample, prediction: Array) -> Array:
        """The vector."""
        return prediction

    def together(self, answers: list[Any]) -> Any:
        """All vectors as one array (N, C)."""
        return np.stack(answers) if answers else np.empty((0, self.width), np.float32)

    def record(self, example: TextExample, prediction: Array) -> dict[str, Any]:
        return {"text": example.text, "embedding": prediction}

    def plain(self, record: Mapping[str, Any]) -> str:
        """The numbers, a blank between them."""
        found = record["embedding"]
        return "" if found is None else " ".join(map(str, found))

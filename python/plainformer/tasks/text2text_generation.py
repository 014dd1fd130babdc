"""Text-to-text generation: any text for a text. Answers, rewritten questions, corrections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..metrics import chrf
from .registry import register
from .writing import Writer


@register
class Text2TextGeneration(Writer):
    """The target of a source, under transformers' name for it."""

    name = "text2text-generation"
    metric = "chrf"
    opens = ("translation", "summarization")
    answer_fields = ("generated_text",)
    several = "generated_texts"

    def score_texts(self, texts: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
        """The share of texts that are their targets, white space aside, and chrF, 0 to 100."""
        same = [text.split() == target.split() for text, target in zip(texts, targets)]
        return {
            "exact_match": float(np.mean(same)),
            "chrf": chrf(predictions=texts, references=targets).score,
        }

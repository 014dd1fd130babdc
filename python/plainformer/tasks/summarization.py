"""Summarization: a short text that says what a long one does."""

from __future__ import annotations

from collections.abc import Sequence

from ..characters import is_chinese
from ..metrics import rouge_characters, rouge_metrics
from .registry import register
from .writing import Writer


@register
class Summarization(Writer):
    """The summary of a document."""

    name = "summarization"
    metric = "rougeL"
    answer_fields = ("summary_text",)
    several = "summary_texts"

    def score_texts(self, texts: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
        """ROUGE-1, 2 and L of words, or of Chinese characters, 0 to 100."""
        tokenize = rouge_characters if is_chinese(targets) else None
        return rouge_metrics(predictions=texts, references=targets, tokenize=tokenize)

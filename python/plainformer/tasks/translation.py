"""Translation: a text in another language."""

from __future__ import annotations

from collections.abc import Sequence

from ..characters import is_chinese
from ..metrics import bleu, chrf
from .registry import register
from .writing import Writer


@register
class Translation(Writer):
    """The translation of a text."""

    name = "translation"
    metric = "bleu"
    answer_fields = ("translation_text",)
    several = "translation_texts"

    def score_texts(self, texts: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
        """BLEU (13a, or by Chinese characters) and chrF, 0 to 100."""
        tokenize = "zh" if is_chinese(targets) else None
        return {
            "bleu": bleu(predictions=texts, references=targets, tokenize=tokenize).score,
            "chrf": chrf(predictions=texts, references=targets).score,
        }

"""Translation: a text in another language. BLEU and chrF need sacrebleu (extra `metrics`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from ..characters import is_chinese
from ..errors import warn_once
from ..metrics import bleu, chrf
from .registry import register
from .writing import Writer


@register
class Translation(Writer):
    """The translation of a text."""

    name = "translation"
    metric = "bleu"
    answer_fields = ("translation_text",)

    @classmethod
    def key_metric(cls) -> str:
        return cls.metric if _has_sacrebleu() else "loss"

    def score(self, predictions: Sequence[str], examples: Sequence[Any]) -> dict[str, float]:
        """BLEU (13a, or by Chinese characters) and chrF, 0 to 100."""
        if not _has_sacrebleu():
            warn_once(
                "BLEU and chrF are left out, the loss decides: pip install 'plainformer[metrics]'"
            )
            return {}
        targets = [example.target for example in examples]
        tokenize = "zh" if is_chinese(targets) else None
        return {
            "bleu": bleu(predictions, targets, tokenize=tokenize).score,
            "chrf": chrf(predictions, targets).score,
        }


def _has_sacrebleu() -> bool:
    return importlib.util.find_spec("sacrebleu") is not None

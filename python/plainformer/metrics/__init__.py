"""Scores of what models predict, each as its original defines it. NumPy only.

The two sides are `references` (what is right) and `predictions` (what a model gave), one of each an
example, and are named: `bleu(references=..., predictions=...)`. Libraries differ in their order
(scikit-learn has references first, sacrebleu predictions), and exchanged sides give a figure that
looks right; so arguments without names are an error, except where exchanging the sides changes
nothing, as in `accuracy`. Fractions are 0 to 1, except BLEU, chrF and ROUGE, which are 0 to 100 as
they are always quoted. No figure depends on what else is installed.
"""

from ._scores import LabelScore
from .calibration import CalibrationBin, calibration_bins, expected_calibration_error
from .classification import (
    accuracy,
    classification_metrics,
    confusion_matrix,
    f1_score,
    label_scores,
    matthews_corrcoef,
)
from .code import function_body, function_heads, parse_rate
from .entities import entity_metrics, entity_scores
from .intent import intent_metrics
from .language import bits_per_byte, bits_per_character, distinct_n, perplexity
from .multi_label import multi_label_metrics, multi_label_scores
from .multiple_choice import multiple_choice_accuracy
from .regression import pearson_correlation, regression_metrics, spearman_correlation
from .relations import relation_metrics, relation_scores
from .rouge import RougeScore, rouge_characters, rouge_metrics, rouge_scores, rouge_words
from .squad import answer_f1, best_no_answer_threshold, exact_match, normalize_answer, squad_metrics
from .tags import Span, check_tags, detect_scheme, spans_of, tags_of
from .translation import SignedScore, bleu, chrf

__all__ = [
    "CalibrationBin",
    "LabelScore",
    "RougeScore",
    "SignedScore",
    "Span",
    "accuracy",
    "answer_f1",
    "best_no_answer_threshold",
    "bits_per_byte",
    "bits_per_character",
    "bleu",
    "calibration_bins",
    "check_tags",
    "chrf",
    "classification_metrics",
    "confusion_matrix",
    "detect_scheme",
    "distinct_n",
    "entity_metrics",
    "entity_scores",
    "exact_match",
    "expected_calibration_error",
    "f1_score",
    "function_body",
    "function_heads",
    "intent_metrics",
    "label_scores",
    "matthews_corrcoef",
    "multi_label_metrics",
    "multi_label_scores",
    "multiple_choice_accuracy",
    "normalize_answer",
    "parse_rate",
    "pearson_correlation",
    "perplexity",
    "regression_metrics",
    "relation_metrics",
    "relation_scores",
    "rouge_characters",
    "rouge_metrics",
    "rouge_scores",
    "rouge_words",
    "spans_of",
    "spearman_correlation",
    "squad_metrics",
    "tags_of",
]

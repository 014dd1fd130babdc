"""Metrics and runtime settings: valid arguments of each, and odd ones in their place."""

from __future__ import annotations

import numpy as np

from plainformer import metrics
from plainformer.metrics import Span

from .function import Call, Strategy, one_of, whole

M = metrics
LABELS: Strategy = one_of(["a", "b", "a"], [0, 1, 0], np.array([0, 1, 1]))
NAMES = one_of(["a", "b", "Other"])
TEXTS = one_of(["the cat sat", "a dog", ""])
TAGS = one_of([["B-PER", "I-PER", "O"], ["O", "B-LOC", "O"]])
ANSWERS = one_of([["cat", "the cat"], ["dog"], []])
SCORES = one_of([0.1, 0.5, 0.9])
RIGHT = one_of([True, False, True], [0, 1, 0])
SETS = one_of([["a", "b"], [], ["a"]])
NUMBERS = one_of([0.1, 2.0, 3.5], np.array([1.0, 2.0, 0.5]))
TEXT = one_of("the cat sat on the mat")
FUNCTIONS: dict[str, Call] = {
    "accuracy": Call(M.accuracy, predictions=LABELS, references=LABELS),
    "answer_f1": Call(M.answer_f1, prediction=TEXT, reference=TEXT),
    "best_no_answer_threshold": Call(M.best_no_answer_threshold, predictions=TEXTS,
                                     references=ANSWERS, no_answer_scores=SCORES),
    "bits_per_byte": Call(M.bits_per_byte, negative_log_likelihood=one_of(3.0),
                          n_bytes=one_of(7)),
    "bits_per_character": Call(M.bits_per_character, negative_log_likelihood=one_of(3.0),
                               characters=one_of(7)),
    "bleu": Call(M.bleu, predictions=TEXTS, references=TEXTS, tokenize=one_of(None, "zh", "char"),
                 lowercase=one_of(False)),
    "calibration_bins": Call(M.calibration_bins, confidences=SCORES, correct=RIGHT,
                             bins=one_of(3)),
    "check_tags": Call(M.check_tags, tags=one_of(["B-A", "O"]), scheme=one_of("IOB2", "IOBES")),
    "chrf": Call(M.chrf, predictions=TEXTS, references=TEXTS, char_order=one_of(6),
                 word_order=one_of(0, 2), beta=one_of(2)),
    "classification_metrics": Call(M.classification_metrics, predictions=LABELS,
                                   references=LABELS),
    "confusion_matrix": Call(M.confusion_matrix, predictions=LABELS, references=LABELS,
                             labels=one_of(None, ["a", "b"])),
    "detect_scheme": Call(M.detect_scheme, tags=one_of(["B-A", "I-A", "O"])),
    "distinct_n": Call(M.distinct_n, texts=TEXTS, n=one_of(1, 2)),
    "entity_metrics": Call(M.entity_metrics, predictions=TAGS, references=TAGS,
                           mode=one_of(None, "strict"), scheme=one_of(None, "IOB2")),
    "entity_scores": Call(M.entity_scores, predictions=TAGS, references=TAGS,
                          mode=one_of(None, "strict"), scheme=one_of(None, "IOB2")),
    "exact_match": Call(M.exact_match, prediction=TEXT, reference=TEXT),
    "expected_calibration_error": Call(M.expected_calibration_error, confidences=SCORES,
                                       correct=RIGHT, bins=one_of(15)),
    "f1_score": Call(M.f1_score, predictions=LABELS, references=LABELS,
                     average=one_of("macro", "micro"), labels=one_of(None, ["a", "b"])),
    "function_body": Call(M.function_body, head=one_of("def f(x):"), completion=TEXT),
    "function_heads": Call(M.function_heads, source=one_of("def f(x):\n    return x\n")),
    "intent_metrics": Call(M.intent_metrics, predictions=NAMES, references=NAMES,
                           out_of_scope=one_of("Other")),
    "label_scores": Call(M.label_scores, predictions=LABELS, references=LABELS,
                         labels=one_of(None, ["a", "b"])),
    "matthews_corrcoef": Call(M.matthews_corrcoef, predictions=LABELS, references=LABELS),
    "multi_label_metrics": Call(M.multi_label_metrics, predictions=SETS, references=SETS),
    "multi_label_scores": Call(M.multi_label_scores, predictions=SETS, references=SETS),
    "multiple_choice_accuracy": Call(M.multiple_choice_accuracy, references=whole(0, 1),
                                     predictions=one_of([[0.1, 0.2], [0.3, 0.1]])),
    "normalize_answer": Call(M.normalize_answer, text=TEXT),
    "parse_rate": Call(M.parse_rate, completions=one_of([" return 1\n", "x"]),
                       heads=one_of(["def f():\n", "def g():\n"])),
    "perplexity": Call(M.perplexity, negative_log_likelihood=one_of(3.0), tokens=one_of(7)),
    "pearson_correlation": Call(M.pearson_correlation, predictions=NUMBERS, references=NUMBERS),
    "regression_metrics": Call(M.regression_metrics, predictions=NUMBERS, references=NUMBERS),
    "spearman_correlation": Call(M.spearman_correlation, predictions=NUMBERS, references=NUMBERS),
    "relation_metrics": Call(M.relation_metrics, predictions=NAMES, references=NAMES,
                             other=one_of("Other")),
    "relation_scores": Call(M.relation_scores, predictions=NAMES, references=NAMES,
                            other=one_of("Other")),
    "rouge_characters": Call(M.rouge_characters, text=TEXT),
    "rouge_metrics": Call(M.rouge_metrics, predictions=TEXTS, references=TEXTS,
                          rouge_types=one_of(("rouge1", "rougeL")), use_stemmer=one_of(True)),
    "rouge_scores": Call(M.rouge_scores, prediction=TEXT, references=TEXT,
                         rouge_types=one_of(("rouge1", "rougeL")), use_stemmer=one_of(True)),
    "rouge_words": Call(M.rouge_words, text=TEXT, use_stemmer=one_of(True, False)),
    "spans_of": Call(M.spans_of, tags=one_of(["B-A", "I-A", "O"]), scheme=one_of(None, "IOB2"),
                     strict=one_of(True, False)),
    "squad_metrics": Call(M.squad_metrics, predictions=TEXTS, references=ANSWERS,
                          version=one_of(None, "2.0"), no_answer_scores=SCORES,
                          no_answer_threshold=one_of(0.5)),
    "tags_of": Call(M.tags_of, spans=one_of([Span("A", 0, 2)]), length=one_of(3),
                    scheme=one_of("IOB2", "IOBES")),
}  # fmt: skip
FUNCTIONS = {f"metrics.{name}": call for name, call in FUNCTIONS.items()}

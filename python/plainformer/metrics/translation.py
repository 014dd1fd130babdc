"""BLEU and chrF by sacrebleu (extra `metrics`), with the signature that makes a figure comparable.

Papineni and others, "BLEU", ACL 2002; Popovic, "chrF", WMT 2015; Post, "A Call for Clarity in
Reporting BLEU Scores", arXiv:1804.08771.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from plainformer.errors import ConfigError, DTypeError, PlainformerError, ShapeError, shown

from ._scores import check_pairs, check_texts

References = Sequence[str] | Sequence[Sequence[str]]


class SignedScore(NamedTuple):
    """A figure, 0 to 100, and sacrebleu's signature: what to quote beside it."""

    score: float
    signature: str


def bleu(
    predictions: Sequence[str],
    references: References,
    *,
    tokenize: str | None = None,
    lowercase: bool = False,
) -> SignedScore:
    """Corpus BLEU of detokenised text.

    Parameters
    ----------
    predictions : (N,) strings
    references : (N,) strings, or N lists of them; an example may have fewer than others
    tokenize : sacrebleu's name, default "13a"; "zh" for Chinese, "char" for characters
    lowercase : bool

    Raises
    ------
    PlainformerError : sacrebleu is not installed
    ShapeError : no texts, different lengths, an example without references
    ConfigError : a tokenizer that sacrebleu has not
    DTypeError : a text that is no string
    """
    streams = _streams(predictions, references)
    metrics = _sacrebleu()
    known = metrics.BLEU.TOKENIZERS
    if tokenize is not None and tokenize not in known:
        raise ConfigError(f"tokenize: got {shown(tokenize)}, expected one of {', '.join(known)}")
    metric = metrics.BLEU(tokenize=tokenize, lowercase=lowercase)
    score = metric.corpus_score(list(predictions), streams).score
    return SignedScore(float(score), str(metric.get_signature()))


def chrf(
    predictions: Sequence[str],
    references: References,
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: int = 2,
) -> SignedScore:
    """Corpus chrF2: F of character n-grams up to `char_order`; chrF++ with `word_order=2`.

    Parameters
    ----------
    predictions, references : as `bleu`
    char_order, word_order, beta : int, sacrebleu's

    Raises
    ------
    PlainformerError : sacrebleu is not installed
    ShapeError, DTypeError : as `bleu`
    ConfigError : an order below 0, `char_order` or `beta` below 1
    """
    for name, value, least in (("char_order", char_order, 1), ("word_order", word_order, 0)):
        if value < least:
            raise ConfigError(f"{name}: got {shown(value)}, expected at least {least}")
    if beta < 1:
        raise ConfigError(f"beta: got {beta}, expected at least 1")
    streams = _streams(predictions, references)
    metric = _sacrebleu().CHRF(char_order=char_order, word_order=word_order, beta=beta)
    score = metric.corpus_score(list(predictions), streams).score
    return SignedScore(float(score), str(metric.get_signature()))


def _sacrebleu() -> ModuleType:
    try:
        return importlib.import_module("sacrebleu.metrics")
    except ImportError as error:
        raise PlainformerError(
            "BLEU and chrF need sacrebleu: pip install 'plainformer[metrics]'"
        ) from error


def _streams(predictions: Sequence[str], references: References) -> list[list[str | None]]:
    """References as sacrebleu takes them: the first of every example, the second, ..."""
    check_pairs(predictions, references)
    check_texts("predictions", predictions)
    golds: list[list[str]] = []
    for i, given in enumerate(references):
        if not isinstance(given, (str, list, tuple)):
            raise DTypeError(f"references[{i}]: got {type(given).__name__}, expected a string")
        golds.append([given] if isinstance(given, str) else check_texts(f"references[{i}]", given))
        if not golds[-1]:
            raise ShapeError(f"references[{i}]: got none, expected at least one")
    most = max(map(len, golds))
    return [[g[k] if k < len(g) else None for g in golds] for k in range(most)]

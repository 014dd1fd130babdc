"""BLEU and chrF of a corpus, with sacrebleu's figures and a signature that makes them comparable.

Papineni and others, "BLEU", ACL 2002; Popovic, "chrF", WMT 2015; Post, "A Call for Clarity in
Reporting BLEU Scores", arXiv:1804.08771. Tested beside sacrebleu 2.6 (`tests/peers`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import DTypeError, ShapeError
from ..options import one_of
from ._scores import by_name, check_pairs, check_texts, check_whole, ngrams
from ._tokenize import TOKENIZERS

References = Sequence[str] | Sequence[Sequence[str]]
_BLEU_ORDER = 4
_LONGEST_GRAM, _LARGEST_BETA = 100, 1_000_000  # nobody counts longer ones
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class SignedScore(NamedTuple):
    """A figure, 0 to 100, and its signature in sacrebleu's words: what to quote beside it."""

    score: float
    signature: str


@by_name
def bleu(
    *,
    references: References,
    predictions: Sequence[str],
    tokenize: str | None = None,
    lowercase: bool = False,
) -> SignedScore:
    """Corpus BLEU of detokenised text: n-grams up to 4, smoothed as sacrebleu does ("exp").

    100 brevity exp(mean of log p_n), with p_n the share of the predictions' n-grams that a
    reference has, and brevity = exp(1 - r / c) where the predictions have c words, fewer than the r
    of the references nearest in length.

    Parameters
    ----------
    references : (N,) strings, or N lists of them; an example may have fewer than others
    predictions : (N,) strings
    tokenize : sacrebleu's name, default "13a"; "zh" for Chinese, "char" for characters, "none"
    lowercase : bool

    Raises
    ------
    ShapeError : no texts, different lengths, an example without references
    ConfigError : a tokenizer that is none of these
    DTypeError : a text that is no string
    """
    name = one_of(*TOKENIZERS).check("tokenize", "13a" if tokenize is None else tokenize)
    texts, golds = _checked(predictions, references)
    words = _cutter(name, lowercase)
    counts = np.zeros((2, _BLEU_ORDER), np.int64)  # n-grams that are right, and all
    lengths = np.zeros(2, np.int64)  # words of predictions, and of references
    for text, own in zip(texts, golds):
        found, wanted = words(text), [words(gold) for gold in own]
        counts += _matches(found, wanted)
        nearest = min((abs(len(found) - len(gold)), len(gold)) for gold in wanted)[1]
        lengths += len(found), nearest
    case = "lc" if lowercase else "mixed"
    signature = f"{_nrefs(golds)}|case:{case}|eff:no|tok:{name}|smooth:exp|version:plainformer"
    return SignedScore(_bleu_of(counts, lengths), signature)


@by_name
def chrf(
    *,
    references: References,
    predictions: Sequence[str],
    char_order: int = 6,
    word_order: int = 0,
    beta: int = 2,
) -> SignedScore:
    """Corpus chrF2: F of character n-grams up to `char_order`; chrF++ with `word_order=2`.

    Of several references the one with the best F counts. White space is left out.

    Parameters
    ----------
    references, predictions : as `bleu`
    char_order, word_order, beta : int; recall counts beta times as much as precision

    Raises
    ------
    ShapeError, DTypeError : as `bleu`
    ConfigError : an order below 0 or above 100, `char_order` or `beta` below 1
    """
    char_order = check_whole("char_order", char_order, 1, _LONGEST_GRAM)
    word_order = check_whole("word_order", word_order, 0, _LONGEST_GRAM)
    beta = check_whole("beta", beta, 1, _LARGEST_BETA)
    texts, golds = _checked(predictions, references)
    total = np.zeros((3, char_order + word_order), np.int64)  # of prediction, of reference, of both
    for text, own in zip(texts, golds):
        found = _all_ngrams(text, char_order, word_order)
        each = [_overlap(found, _all_ngrams(gold, char_order, word_order)) for gold in own]
        total += max(each, key=lambda counts: _f_of(counts, beta))  # the first of equals
    signature = (
        f"{_nrefs(golds)}|case:mixed|eff:yes|nc:{char_order}|nw:{word_order}|space:no"
        "|version:plainformer"
    )
    return SignedScore(_f_of(total, beta), signature)


def _checked(
    predictions: Sequence[str], references: References
) -> tuple[list[str], list[list[str]]]:
    """The texts, and the references of each."""
    check_pairs(predictions, references)
    texts = check_texts("predictions", predictions)
    golds: list[list[str]] = []
    for i, given in enumerate(references):
        if not isinstance(given, (str, list, tuple)):
            raise DTypeError(f"references[{i}]: got {type(given).__name__}, expected a string")
        golds.append([given] if isinstance(given, str) else check_texts(f"references[{i}]", given))
        if not golds[-1]:
            raise ShapeError(f"references[{i}]: got none, expected at least one")
    return texts, golds


def _nrefs(golds: list[list[str]]) -> str:
    counts = {len(own) for own in golds}
    return f"nrefs:{counts.pop() if len(counts) == 1 else 'var'}"


def _cutter(name: str, lowercase: bool) -> Callable[[str], list[str]]:
    tokenizer = TOKENIZERS[name]
    return lambda text: tokenizer((text.lower() if lowercase else text).rstrip())


def _matches(found: list[str], wanted: list[list[str]]) -> list[list[int]]:
    """How many n-grams of each order are in a reference, no oftener than there, and how many."""
    right, total = [], []
    for n in range(1, _BLEU_ORDER + 1):
        own = ngrams(found, n)
        gold: Counter[tuple[str, ...]] = Counter()
        for words in wanted:
            gold |= ngrams(words, n)
        right.append(sum(min(count, gold[gram]) for gram, count in own.items() if gram in gold))
        total.append(own.total())
    return [right, total]


def _bleu_of(counts: np.ndarray, lengths: np.ndarray) -> float:
    """BLEU of the counts a order (2, 4) and the words (2,) of both sides.

    Each order without a match counts half as much as the one before.
    """
    if not counts[0].any():
        return 0.0
    found, wanted = lengths.tolist()
    smallest, logs = 1.0, []
    for matched, count in counts.T.tolist():
        if not count:  # texts shorter than n: mteval gives them nothing
            return 0.0
        if not matched:
            smallest *= 2
        logs.append(math.log(100.0 * matched / count if matched else 100.0 / (smallest * count)))
    brevity = math.exp(1 - wanted / found) if found < wanted else 1.0
    return brevity * math.exp(sum(logs) / _BLEU_ORDER)


def _all_ngrams(text: str, char_order: int, word_order: int) -> list[Counter[str]]:
    """n-grams of characters, order by order, then of words."""
    words = text.split()
    line = "".join(words)
    grams = [
        Counter(line[i : i + n] for i in range(len(line) - n + 1)) for n in range(1, char_order + 1)
    ]
    pieces = [piece for word in words for piece in _punctuated(word)] if word_order else []
    for n in range(1, word_order + 1):
        grams.append(Counter(" ".join(pieces[i : i + n]) for i in range(len(pieces) - n + 1)))
    return grams


def _punctuated(word: str) -> list[str]:
    """A word without the punctuation at its end, or else at its beginning, and that."""
    if len(word) > 1 and word[-1] in _PUNCTUATION:
        return [word[:-1], word[-1]]
    if len(word) > 1 and word[0] in _PUNCTUATION:
        return [word[0], word[1:]]
    return [word]


def _overlap(found: list[Counter[str]], wanted: list[Counter[str]]) -> np.ndarray:
    """(3, orders): n-grams of a prediction, of its reference, and of both."""
    both = [
        sum(min(count, gold[gram]) for gram, count in own.items() if gram in gold)
        for own, gold in zip(found, wanted)
    ]
    own = [counts.total() if gold else 0 for counts, gold in zip(found, wanted)]
    return np.array([own, [gold.total() for gold in wanted], both], np.int64)


def _f_of(counts: np.ndarray, beta: int) -> float:
    """F in percent of mean precision and mean recall, over the orders that both sides have."""
    found, wanted, both = counts[:, (counts[0] > 0) & (counts[1] > 0)].tolist()
    if not any(both):
        return 0.0
    precision = sum(b / f for b, f in zip(both, found)) / len(both)
    recall = sum(b / w for b, w in zip(both, wanted)) / len(both)
    factor = beta**2
    return 100 * (1 + factor) * precision * recall / (factor * precision + recall)

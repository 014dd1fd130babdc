"""ROUGE-N, ROUGE-L and ROUGE-Lsum with the tokens and the counting of rouge-score.

Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004; rouge-score 0.1.2.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..characters import CJK
from ..errors import ConfigError, ShapeError, shown
from ._scores import by_name, check_pairs, check_text, check_texts, mean, ngrams, ratio
from .porter import porter_stem

_WORD = re.compile(r"[a-z0-9]+")
_TYPE = re.compile(r"rouge([1-9]|L|Lsum)")
_CHARACTER = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
TYPES = ("rouge1", "rouge2", "rougeL")
Tokenize = Callable[[str], Sequence[str]]
Tokens = Sequence[str]


class RougeScore(NamedTuple):
    """Of one text, 0 to 1: P = hits / prediction, R = hits / reference, F = 2 P R / (P + R)."""

    precision: float
    recall: float
    fmeasure: float


@by_name
def rouge_metrics(
    *,
    references: Sequence[str] | Sequence[Sequence[str]],
    predictions: Sequence[str],
    rouge_types: Sequence[str] = TYPES,
    use_stemmer: bool = False,
    tokenize: Tokenize | None = None,
) -> dict[str, float]:
    """The mean F measure of each type over all texts, 0 to 100.

    Parameters
    ----------
    references : (N,) strings, or N lists of strings of which the best counts, type by type
    predictions : (N,) strings; an empty one scores 0
    rouge_types : of "rouge1" ... "rouge9" (n-grams), "rougeL" (longest common subsequence of the
        whole texts) and "rougeLsum" (of sentences, one a line)
    use_stemmer : bool, Porter's stemmer on words of more than three letters
    tokenize : function from a text to tokens; default `rouge_words`, which knows a-z and 0-9 only;
        `rouge_characters` for Chinese

    Returns
    -------
    dict : type to figure

    Raises
    ------
    ShapeError : no texts, different lengths, an example without references
    ConfigError : an unknown type, or `use_stemmer` with a `tokenize` of your own
    DTypeError : a text that is no string
    """
    check_pairs(predictions, references)
    scores = [
        rouge_scores(
            prediction=p,
            references=r,
            rouge_types=rouge_types,
            use_stemmer=use_stemmer,
            tokenize=tokenize,
        )
        for p, r in zip(check_texts("predictions", predictions), references)
    ]
    return {kind: 100 * mean(s[kind].fmeasure for s in scores) for kind in rouge_types}


@by_name
def rouge_scores(
    *,
    references: str | Sequence[str],
    prediction: str,
    rouge_types: Sequence[str] = TYPES,
    use_stemmer: bool = False,
    tokenize: Tokenize | None = None,
) -> dict[str, RougeScore]:
    """The scores of one text; of several references the first with the best F measure.

    Parameters, errors: `rouge_metrics`.
    """
    golds = [references] if isinstance(references, str) else check_texts("references", references)
    if not golds:
        raise ShapeError("references: got an example without any, expected at least one")
    check_text("prediction", prediction)
    tokens_of = _tokenizer(use_stemmer, tokenize)
    return {
        kind: max(
            (_score(_check_type(kind), prediction, gold, tokens_of) for gold in golds),
            key=lambda score: score.fmeasure,
        )
        for kind in check_texts("rouge_types", rouge_types)
    }


def rouge_words(text: str, use_stemmer: bool = False) -> list[str]:
    """Runs of a-z and 0-9 of the lower-cased text; words of four letters or more stemmed if so
    asked. Letters with accents and other scripts part words, as in rouge-score."""
    words = _WORD.findall(check_text("text", text).lower())
    return [porter_stem(w) if len(w) > 3 else w for w in words] if use_stemmer else words


def rouge_characters(text: str) -> list[str]:
    """Each Chinese (or kana) character, and each run of other letters and digits, lower-cased."""
    return _CHARACTER.findall(check_text("text", text).lower())


def _tokenizer(use_stemmer: bool, tokenize: Tokenize | None) -> Tokenize:
    if tokenize is None:
        return lambda text: rouge_words(text, use_stemmer)
    if use_stemmer:
        raise ConfigError("use_stemmer: expected False with a tokenize function of your own")
    return tokenize


def _check_type(kind: str) -> str:
    match = _TYPE.fullmatch(kind)
    if not match:
        raise ConfigError(
            f"rouge_types: got {shown(kind)}, expected rouge1 to rouge9, rougeL or rougeLsum"
        )
    return match[1]


def _score(kind: str, prediction: str, reference: str, tokens_of: Tokenize) -> RougeScore:
    if kind == "Lsum":
        found, wanted = _sentences(prediction, tokens_of), _sentences(reference, tokens_of)
        return _rouge(_union_hits(found, wanted), sum(map(len, found)), sum(map(len, wanted)))
    p, r = tokens_of(prediction), tokens_of(reference)
    if kind == "L":
        return _rouge(int(_lcs_table(r, p)[-1, -1]), len(p), len(r))
    grams_p, grams_r = ngrams(p, int(kind)), ngrams(r, int(kind))
    return _rouge((grams_p & grams_r).total(), grams_p.total(), grams_r.total())


def _rouge(hits: int, predicted: int, actual: int) -> RougeScore:
    precision, recall = ratio(hits, predicted), ratio(hits, actual)
    return RougeScore(precision, recall, ratio(2 * precision * recall, precision + recall))


def _sentences(text: str, tokens_of: Tokenize) -> list[Tokens]:
    return [tokens_of(line) for line in text.split("\n") if line]


def _lcs_table(a: Tokens, b: Tokens) -> np.ndarray:
    """int array (A + 1, B + 1): the longest common subsequence of every pair of beginnings."""
    index = {token: i for i, token in enumerate(dict.fromkeys((*a, *b)))}
    codes = np.array([index[token] for token in b], np.int64)
    table = np.zeros((len(a) + 1, len(b) + 1), np.int32)
    for i, token in enumerate(a):
        longer = table[i, :-1] + (codes == index[token])
        # max(above, left, diagonal + 1 where equal), the left one by the running maximum
        np.maximum.accumulate(np.maximum(table[i, 1:], longer), out=table[i + 1, 1:])
    return table


def _lcs_positions(a: Tokens, b: Tokens) -> Iterable[int]:
    """Where in `a` the tokens of one longest common subsequence are: rouge-score's choice."""
    table = _lcs_table(a, b)
    i, j = len(a), len(b)
    while i > 0 and j > 0:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            yield i
        elif table[i, j - 1] > table[i - 1, j]:
            j -= 1
        else:
            i -= 1


def _union_hits(found: list[Tokens], wanted: list[Tokens]) -> int:
    """Tokens of each reference sentence that are in its common subsequence with any predicted one;
    no token counts more often than either text holds it."""
    left = Counter(t for s in found for t in s) & Counter(t for s in wanted for t in s)
    hits = 0
    for sentence in wanted:
        positions = {i for other in found for i in _lcs_positions(sentence, other)}
        for i in sorted(positions):
            if left[sentence[i]] > 0:
                left[sentence[i]] -= 1
                hits += 1
    return hits

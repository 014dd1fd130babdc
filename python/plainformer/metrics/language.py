"""Perplexity, bits a character or a byte, and how varied generated text is."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ..errors import DataError, DTypeError, ShapeError, shown
from ._scores import check_texts, check_whole, ngrams, ratio


def perplexity(negative_log_likelihood: float, tokens: int) -> float:
    """exp(sum / tokens): the sum of -ln p over all predicted tokens, and their number.

    Infinite where the mean is beyond float64's exponent (about 709 nats).

    Raises
    ------
    DataError : a sum that is NaN or negative
    ConfigError : no tokens
    """
    mean = _mean(negative_log_likelihood, tokens, "tokens")
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf


def bits_per_character(negative_log_likelihood: float, characters: int) -> float:
    """sum / (characters ln 2): the sum of -ln p over all tokens, and the characters they make.

    Does not depend on the tokenizer, which perplexity a token does.

    Raises
    ------
    DataError : a sum that is NaN or negative
    ConfigError : no characters
    """
    return _mean(negative_log_likelihood, characters, "characters") / math.log(2)


def bits_per_byte(negative_log_likelihood: float, n_bytes: int) -> float:
    """sum / (bytes ln 2): the sum of -ln p over all tokens, and the bytes of their text in UTF-8.

    Does not depend on the tokenizer either, and compares languages better than characters do.

    Raises
    ------
    DataError : a sum that is NaN or negative
    ConfigError : no bytes
    """
    return _mean(negative_log_likelihood, n_bytes, "n_bytes") / math.log(2)


def distinct_n(
    texts: Sequence[str], n: int, *, tokenize: Callable[[str], Iterable[str]] = str.split
) -> float:
    """Different n-grams over all n-grams of a set of texts, 0 to 1; 0 where there are none.

    Li and others, "A Diversity-Promoting Objective Function for Neural Conversation Models",
    NAACL 2016, arXiv:1510.03055. (The paper divides by the number of words; with the number of
    n-grams, as here and in the code in common use, 1 means that nothing repeats.)

    Parameters
    ----------
    texts : strings, at least one
    n : int >= 1
    tokenize : function from a text to its tokens; `list` counts characters

    Raises
    ------
    ShapeError : no texts
    ConfigError : n < 1
    DTypeError : a text that is no string
    """
    check_whole("n", n, 1)
    texts = check_texts("texts", texts)
    if not texts:
        raise ShapeError("texts: got none, expected at least one")
    found: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        found.update(ngrams(list(tokenize(text)), n))
    return ratio(len(found), found.total())


def _mean(total: float, count: int, name: str) -> float:
    if isinstance(total, (bool, str)) or not hasattr(total, "__float__"):
        raise DTypeError(f"negative_log_likelihood: got {shown(total)}, expected a number")
    if not 0 <= total <= sys.float_info.max and total != math.inf:
        wanted = "a sum of -ln p, >= 0"
        raise DataError(f"negative_log_likelihood: got {shown(total)}, expected {wanted}")
    return float(total) / check_whole(name, count, 1)

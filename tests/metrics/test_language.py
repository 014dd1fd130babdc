"""Perplexity, bits a character and distinct-n."""

import math

import pytest

from plainformer import metrics
from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices():
    assert metrics.perplexity(10 * math.log(50), 10) == pytest.approx(50)
    assert metrics.perplexity(0.0, 3) == 1
    assert metrics.perplexity(1e6, 1) == math.inf


def test_bits_a_character():
    assert metrics.bits_per_byte(8 * math.log(2), 4) == pytest.approx(2)
    assert metrics.bits_per_character(8 * math.log(2), 4) == pytest.approx(2)


@pytest.mark.parametrize(
    "function", [metrics.perplexity, metrics.bits_per_character, metrics.bits_per_byte]
)
def test_bad_sums_are_named(function):
    with pytest.raises(DataError, match="got nan"):
        function(math.nan, 1)
    with pytest.raises(DataError, match="got -1"):
        function(-1.0, 1)
    with pytest.raises(ConfigError, match="got 0, expected at least 1"):
        function(1.0, 0)


def test_distinct_n():
    texts = ["a b a b", "a b", ""]
    assert metrics.distinct_n(texts, 1) == 2 / 6
    assert metrics.distinct_n(texts, 2) == 2 / 4  # ab ba ab ab: none across texts
    assert metrics.distinct_n(texts, 5) == 0
    assert metrics.distinct_n(["我我你"], 1, tokenize=list) == 2 / 3


def test_bad_distinct_n_is_named():
    with pytest.raises(ConfigError, match="n: got 0"):
        metrics.distinct_n(["a"], 0)
    with pytest.raises(ShapeError, match="got none"):
        metrics.distinct_n([], 1)
    with pytest.raises(DTypeError, match=r"texts\[0\]: got 1"):
        metrics.distinct_n([1], 1)

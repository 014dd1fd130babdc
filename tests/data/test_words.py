"""Words of plain text; tests/tasks/test_plain_text.py puts them to tagging."""

import time

import pytest

from plainformer.data.words import JOINERS, joiners_of, word_spans
from plainformer.errors import DataError

CUT = {
    "नई दिल्ली में": ["नई", "दिल्ली", "में"],
    "O'Neill joined AT&T in U.S.": ["O'Neill", "joined", "AT&T", "in", "U.S."],
    "J. Smith's. Plan B.": ["J.", "Smith", "'s", ".", "Plan", "B", "."],
    "Dr. No can't, he’d": ["Dr.", "No", "ca", "n't", ",", "he", "’d"],
    "l'Italia, D'Angelo": ["l'", "Italia", ",", "D'Angelo"],
    "A.-B. U.S.-based x-": ["A", ".", "-", "B.", "U.S.-based", "x", "-"],
    "e.g. 10:30 a:1 1-2": ["e.g.", "10:30", "a", ":", "1", "1-2"],
    "see https://a.org/x?y=1. (www.b.de)": [
        "see",
        "https://a.org/x?y=1",
        ".",
        "(",
        "www.b.de",
        ")",
    ],
    "wait... no -- ''so``": ["wait", "...", "no", "--", "''", "so", "``"],
    "北京𠀀𲎯人々ﾊﾞ": ["北", "京", "𠀀", "𲎯", "人", "々", "ﾊﾞ"],
    "กรุง-ไทย": ["ก", "รุ", "ง", "-", "ไ", "ท", "ย"],
    "a\u00a0b\u3000c\u2028d\u0085e\u200b \x00": ["a", "b", "c", "d", "e"],
    "👨‍👩‍👧🇩🇪🇫🇷é": ["👨‍👩‍👧", "🇩🇪", "🇫🇷", "é"],
    "": [],
}


def words_of(text, joiners=JOINERS):
    return [text[a:b] for a, b in word_spans(text, joiners)]


@pytest.mark.parametrize("text", CUT)
def test_words(text):
    assert words_of(text) == CUT[text]


@pytest.mark.parametrize(
    ("corpus", "joiners"),
    [
        ([], JOINERS),
        ([["Anglo", "-", "Dutch"]], "&/"),
        ([["Anglo", "-", "Dutch", "so-so", "x-y"]], JOINERS),
        ([["-", "Dutch"], ["so", "-"], [",", "-", ","], ["x-y"]], JOINERS),  # dashes
        ([["AT", "&", "T", "1/2"]], "-/"),
        ([["Ann's", "don't", "l'", "Italie"]], JOINERS + "'"),
        ([["Ann", "'s", "O'Neill"]], JOINERS),
    ],
)
def test_joiners_are_those_of_the_corpus(corpus, joiners):
    assert joiners_of(corpus) == joiners


def test_joiners_decide():
    assert words_of("so-so‐so AT&T's", "") == [
        "so",
        "-",
        "so",
        "‐",
        "so",
        "AT",
        "&",
        "T",
        "'s",
    ]
    assert words_of("so-so‐so AT&T's", "-'") == ["so-so‐so", "AT", "&", "T's"]


@pytest.mark.parametrize(
    "part",
    ["a", "a.", "-", "A. ", "'s", "www.", "a-", "http:", "北", "न", "क\u094d", "\u0301", "."],
)
def test_the_time_is_linear(part):
    start = time.perf_counter()
    word_spans(part * 10_000)
    assert time.perf_counter() - start < 5  # 0.05 s


def test_half_a_character_is_a_clear_error():
    with pytest.raises(DataError, match="holds half a character"):
        word_spans("a\ud800b")

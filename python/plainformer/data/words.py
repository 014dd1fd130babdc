"""Words of plain text, cut as the corpora are from which taggers learn.

Unicode's word boundaries (UAX 29, by the regular expressions of the `tokenizers` library) keep
combining marks, contractions, numbers and emoji whole. On top of them come the habits of the Penn
Treebank and CoNLL, so that what is asked as text looks like what was learned as words:

    whole     AT&T  Anglo-Dutch  10:30  U.S.  J. (Smith)  ...  ann@example.org  https://a.org/b?c=1
    apart     Ann 's   do n't   l' Italie   every Chinese character and kana

Corpora differ in the signs inside words (OntoNotes parts Anglo - Dutch): `joiners_of` finds out.

Scripts without spaces that need a dictionary (Thai, Lao, Khmer, Burmese) are cut into clusters of a
letter and its marks, of which any word is made.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from tokenizers import Regex, pre_tokenizers

from ..characters import CJK, is_alphanumeric
from ..errors import DataError, shown
from ._library import library_errors

_UNICODE = pre_tokenizers.Split(Regex(r"(?y{w})\X"), "isolated")
JOINERS = "&-/"  # signs that are part of words unless said otherwise
_HYPHENS = "-\u2010\u2011"
_ALWAYS = "@.:"  # between letters and digits; the colon between digits alone
_APOSTROPHE = "'"  # among joiners it keeps Ann's and l'Italie whole
_UNSPACED = re.compile(
    rf"[{CJK}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
)
_TITLES = "Mr|Mrs|Ms|Dr|Prof|St|Mt|Jr|Sr|Inc|Corp|Co|Ltd|Gen|Sen|Rep|Gov|Lt|Col|Capt|Sgt|vs"
_WHOLE = re.compile(
    r"(?:\b[A-Za-z][A-Za-z0-9+.-]{1,15}://|\bwww\.)[!-~]*[A-Za-z0-9/_=&%#~+-]"  # addresses
    r"|(?P<abbreviation>(?<![\w.])(?:[^\W\d_]\.){2,}(?!\w)|\bPh\.D\.)"  # U.S., e.g.
    rf"|(?P<initial>\b(?:[^\W\d_]|{_TITLES})\.(?=\s+\S))"  # not at the end: a full stop
    r"|(?P<sign>[.\-=*_!?~`'])(?P=sign)+"
)
_CLITIC = r"n['’]t|['’](?:s|re|ve|ll|d|m)"
_ELISION = r"(?:[ldjmtnscLCJ]|[Qq]u|(?:jus|lors|puis)qu|dell|nell|all|dall|sull)['’]"
_APART = re.compile(rf"(?<=[^\s'’])(?=(?i:{_CLITIC})(?![\w'’]))|(?<![\w'’]){_ELISION}(?=\w)")
_PART = re.compile(rf"(?i:{_CLITIC})|{_ELISION}")
_CHINESE = re.compile(
    rf"[{CJK}][\u3099\u309a\uff9e\uff9f\ufe00-\ufe0f\U000e0100-\U000e01ef]*"  # and its marks
)
_NOTHING = ("Z", "Cc", "Cf")  # categories of what is no word: white space and control characters


def word_spans(text: str, joiners: str = JOINERS) -> list[tuple[int, int]]:
    """Begin and end of each word of a text, in characters. Punctuation is words too.

    joiners : signs that, between letters or digits, are inside a word; with an apostrophe among
        them words keep their `'s` and `l'`

    Raises
    ------
    DataError : half a character (a surrogate), which is no text
    """
    with library_errors(lambda _: DataError(f"text: {shown(text)} holds half a character")):
        pieces = _UNICODE.pre_tokenize_str(text)
    cuts = np.zeros(len(text) + 1, bool)
    cuts[[0, len(text), *(begin for _, (begin, _) in pieces)]] = True
    for begin, end in _held_together(text, joiners):
        cuts[begin + 1 : end] = False
    for place in _cut_apart(text, joiners):
        cuts[place] = True
    spans = pairwise(np.flatnonzero(cuts).tolist())
    return [(begin, end) for begin, end in spans if _is_word(text[begin:end])]


def joiners_of(sentences: Iterable[Sequence[str]]) -> str:
    """The joiners of a corpus of words: the signs of `JOINERS`, and the apostrophe, that are inside
    its words more often than they are words between words. What it never has is as usual."""
    inside: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for words in sentences:
        for i, word in enumerate(words):
            if len(word) == 1:
                around = words[i - 1 : i] and words[i + 1 : i + 2]
                if word in JOINERS and around and _is_wordy(words[i - 1][-1:], around[0][:1]):
                    alone[word] += 1
                continue
            inside.update(c for i, c in enumerate(word) if c in JOINERS and _joins(word, i))
            if _PART.fullmatch(word):
                alone[_APOSTROPHE] += 1
            elif _APART.search(word):
                inside[_APOSTROPHE] += 1
    kept = [c for c in JOINERS if inside[c] > alone[c] or not (inside[c] or alone[c])]
    return "".join([*kept, *([_APOSTROPHE] if inside[_APOSTROPHE] > alone[_APOSTROPHE] else [])])


def _held_together(text: str, joiners: str) -> Iterator[tuple[int, int]]:
    """Stretches that are one word, as (begin, end)."""
    ends = set()
    for match in _WHOLE.finditer(text):
        if match["initial"] and not text[match.start()].isupper():
            continue
        if match["abbreviation"]:
            ends.add(match.end())
        yield match.span()
    joiners += _ALWAYS + (_HYPHENS if "-" in joiners else "")
    for i, character in enumerate(text):
        if character in joiners and _joins(text, i, after_abbreviation=i in ends):
            yield i - 1, i + 2


def _joins(text: str, i: int, after_abbreviation: bool = False) -> bool:
    """Whether the sign at `i` joins what is on both sides; also what follows U.S. (U.S.-based)."""
    before, after = text[max(0, i - 1) : i], text[i + 1 : i + 2]
    if text[i] == ":":
        return before.isdecimal() and after.isdecimal()
    return _is_wordy(after) and (after_abbreviation or _is_wordy(before))


def _cut_apart(text: str, joiners: str) -> Iterator[int]:
    """Places where words begin or end."""
    for match in _APART.finditer(text) if _APOSTROPHE not in joiners else ():
        yield match.end()
    for match in _CHINESE.finditer(text):
        yield from match.span()


def _is_wordy(*characters: str) -> bool:
    """Whether all are letters, marks or digits of scripts with spaces between words."""
    return all(is_alphanumeric(c) and not _UNSPACED.match(c) for c in characters)


def _is_word(text: str) -> bool:
    return not all(unicodedata.category(c).startswith(_NOTHING) for c in text)

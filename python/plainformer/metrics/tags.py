"""Entity tags: `O`, or a prefix and a type such as `B-PER`. Spans from tags and back.

| scheme | an entity of 1, 2, 3 words | |
|---|---|---|
| IOB2 | B, B I, B I I | the usual one |
| IOBES | S, B E, B I E | also written BILOU (L for E, U for S) and BMES (M for I) |
| IOB1 | I, I I, I I I | B only where an entity follows another of its type at once |

Ramshaw and Marcus, "Text Chunking using Transformation-Based Learning", 1995, arXiv:cmp-lg/9505040;
Tjong Kim Sang and Veenstra, "Representing Text Chunks", EACL 1999, arXiv:cs/9907006.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..errors import ConfigError, DataError, DTypeError, shown
from ..options import one_of
from ._scores import check_text, check_texts, check_whole

SCHEMES = ("IOB2", "IOBES", "BILOU", "IOB1")
_MOST_WORDS = 100_000_000  # of a sentence
OUTSIDE = "O"
LETTERS = {"IOB2": "BI", "IOB1": "BI", "IOBES": "BIES", "BILOU": "BILU"}
_PREFIXES = {**LETTERS, "IOBES": "BIESM"}
_SAME = {"L": "E", "U": "S", "M": "I"}  # other letters for the same thing
_LETTERS = "BIESLUM"


class Span(NamedTuple):
    """An entity: words `start` to `end`, the end not included. Untyped tags have type `""`."""

    type: str
    start: int
    end: int


Tag = tuple[str, str]  # prefix (one of O B I E S), type
_OUT: Tag = (OUTSIDE, "")


def split_tag(tag: str) -> Tag:
    """(prefix, type) of a tag, the prefix one of O, B, I, E, S; the type is what follows `-`.

    Raises
    ------
    DataError : neither `O` nor a prefix with a type
    """
    if tag == OUTSIDE:
        return _OUT
    check_text("tag", tag)
    prefix, dash, kind = tag.partition("-")
    if len(prefix) != 1 or prefix not in _LETTERS or (dash and not kind):
        raise DataError(f"tag {shown(tag)}: expected O, or B-, I-, E- or S- and a type")
    return _SAME.get(prefix, prefix), kind


def is_tag(tag: str) -> bool:
    """Whether a tag has a prefix or is `O`, as entity tags do and part-of-speech tags do not."""
    return tag == OUTSIDE or (len(tag) > 2 and tag[0] in _LETTERS and tag[1] == "-")


def detect_scheme(tags: Iterable[str]) -> str:
    """BILOU where an L- or U- occurs, IOBES where an E-, S- or M- does, else IOB2.

    IOB1 uses the same letters as IOB2 and is never guessed.
    """
    if not isinstance(tags, Iterable):
        raise DTypeError(f"tags: got {shown(tags)}, expected strings")
    letters = {tag[0] for tag in tags if check_text("tag", tag) != OUTSIDE and tag}
    if letters & {"L", "U"}:
        return "BILOU"
    return "IOBES" if letters & {"E", "S", "M"} else "IOB2"


def check_tags(tags: Sequence[str], scheme: str) -> tuple[int, str] | None:
    """The first word whose tag cannot stand where it does, and why; None if all is in order.

    Raises
    ------
    ConfigError : an unknown scheme
    """
    one_of(*SCHEMES).check("scheme", scheme)
    before, written = _OUT, "the beginning"
    for i, tag in enumerate((*check_texts("tags", tags), OUTSIDE)):
        try:
            now = split_tag(tag)
        except DataError as error:
            return i, str(error)
        if tag != OUTSIDE and tag[0] not in _PREFIXES[scheme]:
            letters = ", ".join(f"{p}-" for p in _PREFIXES[scheme])
            return i, f"tag {shown(tag)}: expected O or one of {letters} as in {scheme}"
        wrong = _disorder(scheme, before, now)
        if wrong:
            place = tag if i < len(tags) else "the end"
            return min(i, len(tags) - 1), f"{place} after {written}: {wrong}"
        before, written = now, tag
    return None


def spans_of(tags: Sequence[str], *, scheme: str | None = None, strict: bool = False) -> list[Span]:
    """The entities of one sentence.

    By default as conlleval and seqeval count them: whatever begins or changes type begins an
    entity, in any scheme (`I-PER` after `O` counts as if it were `B-PER`). Strictly, as seqeval
    with `mode="strict"`: only what is well formed in `scheme` is an entity.

    Parameters
    ----------
    tags : (W,) strings
    scheme : one of SCHEMES; needed when strict, default `detect_scheme(tags)`
    strict : bool

    Raises
    ------
    DataError : a tag without a prefix; when strict, one whose prefix is not the scheme's
    ConfigError : an unknown scheme
    """
    pairs = [split_tag(tag) for tag in check_texts("tags", tags)]
    if not strict:
        return _lenient(pairs)
    scheme = one_of(*SCHEMES).check("scheme", scheme or detect_scheme(tags))
    for tag in tags:
        if tag != OUTSIDE and tag[0] not in _PREFIXES[scheme]:
            raise DataError(f"tag {shown(tag)}: not of scheme {scheme}")
    return _strict_iob1(pairs) if scheme == "IOB1" else _strict(pairs, closed=scheme != "IOB2")


def tags_of(spans: Iterable[Span], length: int, *, scheme: str = "IOB2") -> list[str]:
    """The tags of a sentence of `length` words with these entities, in IOB2, IOBES or BILOU.

    Raises
    ------
    ConfigError : another scheme
    DataError : spans that overlap or leave the sentence
    """
    if scheme not in ("IOB2", "IOBES", "BILOU"):
        raise ConfigError(f"scheme: got {shown(scheme)}, expected IOB2, IOBES or BILOU")
    last, single = {"IOB2": ("I", "B"), "IOBES": ("E", "S"), "BILOU": ("L", "U")}[scheme]
    tags = [OUTSIDE] * check_whole("length", length, 0, _MOST_WORDS)
    for span in spans if isinstance(spans, Iterable) else (spans,):
        if not isinstance(span, Span):
            raise DTypeError(f"spans: got {shown(span)}, expected Spans")
        size = span.end - span.start
        if size < 1 or span.start < 0 or span.end > length:
            raise DataError(f"span {tuple(span)}: not inside {length} words")
        if any(tag != OUTSIDE for tag in tags[span.start : span.end]):
            raise DataError(f"span {tuple(span)}: overlaps another")
        letters = single if size == 1 else "B" + "I" * (size - 2) + last
        kind = f"-{span.type}" if span.type else ""
        tags[span.start : span.end] = [letter + kind for letter in letters]
    return tags


def _disorder(scheme: str, before: Tag, now: Tag) -> str | None:
    """Why `now` cannot follow `before`, or None."""
    goes_on = before[0] in "BI" and now[1] == before[1]  # the entity before may have more words
    if scheme == "IOB1":
        follows = before[0] != OUTSIDE and now[1] == before[1]
        return None if now[0] != "B" or follows else "in IOB1 B- only parts entities of one type"
    if now[0] in "IE" and not goes_on:
        hint = "; if the data is IOB1, say tag_scheme='IOB1'" if scheme == "IOB2" else ""
        return f"an entity must begin with B-{hint}"
    if scheme != "IOB2" and before[0] in "BI" and not (goes_on and now[0] in "IE"):
        return f"in {scheme} an entity of several words must end with {_last_of(scheme)}-"
    return None


def _last_of(scheme: str) -> str:
    return "L" if scheme == "BILOU" else "E"


def _lenient(pairs: list[Tag]) -> list[Span]:
    spans: list[Span] = []
    start = 0
    before = _OUT
    for i, now in enumerate((*pairs, _OUT)):
        changed = now[1] != before[1]
        if before[0] != OUTSIDE and (before[0] in "ES" or now[0] in "BSO" or changed):
            spans.append(Span(before[1], start, i))
        if now[0] in "BS" or (now[0] in "IE" and (before[0] in "ESO" or changed)):
            start = i
        before = now
    return spans


def _strict(pairs: list[Tag], closed: bool) -> list[Span]:
    """`closed`: entities end with E or are S; else B and the I that follow."""
    spans = []
    i = 0
    while i < len(pairs):
        start, (prefix, kind) = i, pairs[i]
        i += 1
        if prefix not in "BS":
            continue
        last = prefix
        while last in "BI" and i < len(pairs) and pairs[i] in (("I", kind), ("E", kind)):
            last = pairs[i][0]
            i += 1
        if not closed or last in "ES":
            spans.append(Span(kind, start, i))
    return spans


def _strict_iob1(pairs: list[Tag]) -> list[Span]:
    spans = []
    before = _OUT
    i = 0
    while i < len(pairs):
        start, now = i, pairs[i]
        i += 1
        same = before[1] == now[1] and before[0] != OUTSIDE
        # An I that goes on was taken by the loop below; here it begins, unless it follows an I of
        # its type that was no entity. A B begins only after an entity of its type.
        begins = same if now[0] == "B" else now[0] == "I" and not (before[0] == "I" and same)
        while begins and i < len(pairs) and pairs[i] == ("I", now[1]):
            i += 1
        # seqeval: a lone B before a B of another type, which may not stand there, is none either
        after = pairs[i] if i < len(pairs) else _OUT
        ill_closed = pairs[i - 1][0] == "B" and after[0] == "B" and after[1] != now[1]
        if begins and not ill_closed:
            spans.append(Span(now[1], start, i))
        before = pairs[i - 1]
    return spans

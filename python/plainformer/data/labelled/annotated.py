"""Texts with entities at offsets to words with tags.

The text is cut into words as plain text is (`data.words`), at every hyphen and apostrophe: what is
learned from such words is asked so too. Offsets count code points of the text. White space at the
ends of an entity is left out, and so is an entity that stands there twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import short, shown
from ...metrics.tags import Span, tags_of
from ..examples import CharSpan
from ..records.annotations import entity_parts
from ..words import word_spans
from .build import check_string

BAD_SPANS = ("error", "skip", "expand", "contract")
_HINT = (
    'bad_spans "expand" or "contract" moves the ends to those of words, "skip" leaves such '
    "entities out"
)


class Entity(NamedTuple):
    """A stretch of a text, `start` to `end` in characters, and what it is."""

    start: int
    end: int
    label: str


class TaggedWords(NamedTuple):
    """The words of a text, where they are, and their tags; `left_out` counts entities without."""

    tokens: list[str]
    spans: list[CharSpan]
    tags: list[str]
    left_out: list[str]


def words_of(text: str) -> tuple[list[str], list[CharSpan]]:
    """The words of a text with entities, and the characters of each."""
    spans = [CharSpan(*span) for span in word_spans(text, joiners="")]
    return [text[start:end] for start, end in spans], spans


def tagged_words(text: str, given: Sequence[Sequence[Any]], how: str, scheme: str) -> TaggedWords:
    """The words of a text and the tags that its entities give them.

    given : `[start, end, label, text or None]` of each entity
    how : one of BAD_SPANS, what is done about entities that end inside words, or overlap: an error;
        those left out; ends moved outwards, or inwards, to those of words. Of entities that overlap
        all but "error" keep the longest, of such as are as long the first.
    scheme : of the tags, IOB2, IOBES or BILOU

    Raises
    ------
    ValueError : an entity that is none, or outside the text; in the way of "error" one that ends
        inside a word or overlaps another, with its text and place
    """
    tokens, spans = words_of(text)
    left_out: list[str] = []
    found: list[tuple[Entity, Span]] = []
    for entity in dict.fromkeys(_entity(one, text) for one in given):
        try:
            found.append((entity, _aligned(entity, text, spans, how)))
        except MisalignedError as error:
            if how == "error":
                raise
            left_out.append(str(error))
    kept = _apart(found, text, how, left_out)
    return TaggedWords(tokens, spans, tags_of(kept, len(tokens), scheme=scheme), left_out)


def entity_of(value: Any, text: str) -> Entity:
    """A checked entity of a text, in any of the spellings of `records.annotations`."""
    return _entity(entity_parts(value), text)


class MisalignedError(ValueError):
    """An entity that does not consist of words."""


def _entity(given: Sequence[Any], text: str) -> Entity:
    """A checked entity, without white space at its ends."""
    start, end, label, own = given
    label = check_string(label, f"the label of entity [{start}, {end}]")
    for offset in (start, end):
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise ValueError(
                f"entity [{shown(start)}, {shown(end)}, {shown(label)}]: expected whole numbers, "
                "begin and end in characters"
            )
    if isinstance(own, str):
        start, end = _proved(start, end, own, text)
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"entity [{start}, {end}, {shown(label)}] is not inside the text's {len(text)} "
            "characters"
        )
    inner = text[start:end]
    if not inner.strip():
        raise ValueError(f"entity [{start}, {end}, {shown(label)}] holds white space alone")
    start += len(inner) - len(inner.lstrip())
    return Entity(start, start + len(inner.strip()), label)


def _proved(start: int, end: int, own: str, text: str) -> tuple[int, int]:
    """Offsets of an entity that says its text; counted in UTF-16, as in a browser, where that is
    what fits."""
    if text[max(start, 0) : end].strip() == own.strip():
        return start, end
    units = text.encode("utf-16-le", "surrogatepass")
    in_units = units[2 * max(start, 0) : 2 * end].decode("utf-16-le", "replace")
    if in_units.strip() == own.strip():
        before = units[: 2 * start].decode("utf-16-le", "replace")
        return len(before), len(before) + len(in_units)
    there = text[max(start, 0) : end]
    raise ValueError(
        f"entity {shown(own)} is not at characters {start} to {end} of the text, {shown(there)} is"
    )


def _aligned(entity: Entity, text: str, spans: list[CharSpan], how: str) -> Span:
    """The words of an entity."""
    first = bisect_right(spans, entity.start, key=lambda span: span.end)
    last = bisect_left(spans, entity.end, key=lambda span: span.start)
    if first >= last:
        raise MisalignedError(f"{_told(entity, text)} has no word in it")
    cut_first = spans[first].start < entity.start
    cut_last = spans[last - 1].end > entity.end
    if (cut_first or cut_last) and how in ("error", "skip"):
        begin, end = spans[first if cut_first else last - 1]
        place = "begins" if cut_first else "ends"
        raise MisalignedError(
            f"{_told(entity, text)} {place} inside the word {shown(text[begin:end])} "
            f"({begin} to {end}); {_HINT}"
        )
    if how == "contract":
        first, last = first + cut_first, last - cut_last
    if first >= last:
        raise MisalignedError(f"{_told(entity, text)} holds no whole word")
    return Span(entity.label, first, last)


def _apart(
    found: list[tuple[Entity, Span]], text: str, how: str, left_out: list[str]
) -> list[Span]:
    """Those that share no word, in order."""
    kept: list[Span] = []
    owners: list[Entity | None] = [None] * max((span.end for _, span in found), default=0)
    wanted = sorted(found, key=lambda pair: (pair[1].start - pair[1].end, pair[1].start))
    for entity, span in wanted:
        other = next((e for e in owners[span.start : span.end] if e is not None), None)
        if other is None:
            owners[span.start : span.end] = [entity] * (span.end - span.start)
            kept.append(span)
            continue
        told = f'{_told(other, text)} and {_told(entity, text)} overlap; bad_spans "skip" keeps '
        if how == "error":
            raise ValueError(f"{told}the longer")
        left_out.append(f"{told}the longer")
    return sorted(kept, key=lambda span: span.start)


def _told(entity: Entity, text: str) -> str:
    start, end, label = entity
    return f"entity {shown(text[start:end])} ({start} to {end}, {short(label)})"

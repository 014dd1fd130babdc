"""Entities marked in their text, for terminals, notebooks and pages.

    pf.highlight("Ann saw Rome", find("Ann saw Rome"))      in a notebook, coloured
    print(pf.highlight(texts, find(texts)))                 on a terminal
    pf.highlight(texts, find(texts)).save("found.html")     one file, which needs no other

As displaCy's entities; without colours a stretch is written `[Ann PER]`. Colour is for terminals
alone, and for none where NO_COLOR is set (https://no-color.org) or TERM is "dumb".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any
from unicodedata import category
from zlib import crc32

from ..checkpoints.atomic import write_bytes_atomic
from ..data.labelled.annotated import Entity, entity_of
from ..errors import DataError, DTypeError, ShapeError, shown

# Light enough for black letters on them, for a page and from the 256 colours of terminals.
_COLOURS = (
    ("#9ad0f5", 117), ("#ffd27f", 222), ("#a8e6a1", 150), ("#f7a8b8", 217), ("#c9b6f2", 183),
    ("#f5b895", 216), ("#8fe0d4", 116), ("#e3e07f", 186), ("#f0a6e8", 219), ("#c6cdd6", 252),
)  # fmt: skip
_STYLE = "padding:.1em .3em;border-radius:.3em;color:#000;background:{colour}"
_TYPE = "font-size:.75em;font-weight:bold;margin-left:.4em;vertical-align:middle"
_TEXT = "line-height:2.2;white-space:pre-wrap;overflow-wrap:anywhere;margin:0 0 1em"
PAGE_BEGINS = (
    '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n</head>\n'
    '<body style="font-family:sans-serif;max-width:50em;margin:2em auto;padding:0 1em">\n'
)
PAGE_ENDS = "</body>\n</html>\n"


class Palette:
    """A colour for each label, mostly the same one in all files; `[label]` is its place."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def __getitem__(self, label: str) -> tuple[str, int]:
        if label not in self._places:
            taken = {place % len(_COLOURS) for place in self._places.values()}
            place = crc32(label.encode("utf-8", "replace"))
            while len(taken) < len(_COLOURS) and place % len(_COLOURS) in taken:
                place += 1
            self._places[label] = place
        return _COLOURS[self._places[label] % len(_COLOURS)]


def stretches(text: str, entities: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """The text in pieces, each with its label, "" outside of entities.

    Raises
    ------
    DataError : what is no entity of the text, or two that overlap
    """
    at = 0
    for start, end, label in _in_order(text, entities):
        if start < at:
            raise DataError(
                f"entities: {shown(text[start:end])} ({start} to {end}) overlaps another"
            )
        if start > at:
            yield text[at:start], ""
        yield text[start:end], label
        at = end
    if at < len(text):
        yield text[at:], ""


def as_fragment(text: str, entities: Iterable[Any], palette: Palette) -> str:
    """A paragraph of HTML, everything of the text escaped."""
    parts = []
    for piece, label in stretches(text, entities):
        if label:
            style = _STYLE.format(colour=palette[label][0])
            kind = f'<span style="{_TYPE}">{escape(label)}</span>'
            parts.append(f'<mark style="{style}">{escape(piece)}{kind}</mark>')
        else:
            parts.append(escape(piece))
    return f'<p dir="auto" style="{_TEXT}">{"".join(parts)}</p>\n'


def for_terminal(text: str, entities: Iterable[Any], palette: Palette, *, colour: bool) -> str:
    """The text with its entities marked; what a terminal would obey is left out of it."""
    parts = []
    for piece, label in stretches(text, entities):
        plain, kind = _printable(piece), _printable(label)
        if not label:
            parts.append(plain)
        elif colour:
            parts.append(f"\x1b[38;5;16;48;5;{palette[label][1]}m {plain} \x1b[1m{kind} \x1b[0m")
        else:
            parts.append(f"[{plain} {kind}]")
    return "".join(parts)


def takes_colour(file: Any) -> bool:
    """Whether a file is a terminal that shows colours, and nobody asked for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(getattr(file, "isatty", lambda: False)())


class Highlighted:
    """Texts with their entities marked: shown by notebooks, printed, or saved as a page.

    `pf.highlight` makes one.
    """

    def __init__(self, texts: Sequence[str], entities: Sequence[Sequence[Any]]):
        self.texts, self.entities = list(texts), [list(own) for own in entities]
        for text, own in zip(self.texts, self.entities):
            list(stretches(text, own))

    def __str__(self) -> str:
        """A text a line, in colours where standard output is a terminal that shows them."""
        palette, colour = Palette(), takes_colour(sys.stdout)
        return "\n".join(
            for_terminal(text, own, palette, colour=colour)
            for text, own in zip(self.texts, self.entities)
        )

    def __repr__(self) -> str:
        count = sum(map(len, self.entities))
        return f"{type(self).__name__}({len(self.texts)} texts, {count} entities)"

    def _repr_html_(self) -> str:
        palette = Palette()
        both = zip(self.texts, self.entities)
        return "".join(as_fragment(text, own, palette) for text, own in both)

    def html(self, title: str = "Entities") -> str:
        """A whole page, which needs no other file."""
        return PAGE_BEGINS.format(title=escape(title)) + self._repr_html_() + PAGE_ENDS

    def save(self, path: str | Path) -> None:
        """Write the page."""
        write_bytes_atomic(path, self.html().encode("utf-8", "backslashreplace"))


def highlight(text: str | Sequence[str], entities: Sequence[Any]) -> Highlighted:
    """Mark entities in their text, or in each of several texts.

    Parameters
    ----------
    text : a text, or a list of texts
    entities : of the text, as a "token-classification" pipeline returns them, as
        `{"start", "end", "label"}`, or as (start, end, label); for a list of texts a list of each

    Raises
    ------
    DataError : an entity that is not in its text, or overlaps another
    ShapeError : as many lists of entities as texts are wanted
    DTypeError : something that is no text
    """
    texts = [text] if isinstance(text, str) else list(text)
    lists = [entities] if isinstance(text, str) else list(entities)
    if any(not isinstance(one, str) for one in texts):
        raise DTypeError(f"text: got {shown(text)}, expected a text or a list of texts")
    if len(lists) != len(texts):
        raise ShapeError(f"entities: got {len(lists)} lists, expected {len(texts)}, one a text")
    return Highlighted(texts, lists)


def _in_order(text: str, entities: Iterable[Any]) -> list[Entity]:
    try:
        return sorted(entity_of(one, text) for one in entities)
    except (TypeError, ValueError) as error:
        raise DataError(f"entities: {error}") from error


def _printable(text: str) -> str:
    """What a terminal obeys, or cannot write, as escapes; line ends and tabs stay."""
    return "".join(
        repr(c)[1:-1] if category(c) in ("Cc", "Cs") and c not in "\n\t" else c for c in text
    )

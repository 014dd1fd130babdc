"""CoNLL columns: a token a line, its tag in the last column, a blank line between sentences.

Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task", arXiv:cs/0306050.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import shown
from ...metrics.tags import is_tag
from .rows import RETURN_INSIDE
from .source import Record, Source, utf8

_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")  # not \s: a no-break space can be a token


def read_conll(source: Source, names: Mapping[str, Any], labelled: bool) -> Iterator[Record]:
    """A record for each sentence. A bad line costs its sentence.

    Columns are parted by tabs in a line that has one, else by blanks, and are as many in every
    line. `names` may have positions for tokens (default 0) and tags (default -1).
    """
    token_column = names["tokens"] if isinstance(names["tokens"], int) else 0
    tag_column = names["tags"] if isinstance(names["tags"], int) else -1
    width: int | None = None
    for sentence in _sentences(source):
        if isinstance(sentence, Record):
            yield sentence
            continue
        tokens, tags, lines = [], [], []
        for number, line in sentence:
            row = _columns(line)
            width = width or len(row)
            problem = _problem(row, width, token_column, tag_column, labelled)
            if problem:
                yield Record({}, number, problem=problem)
                break
            tokens.append(row[token_column])
            tags.append(row[tag_column])
            lines.append(number)
        else:
            fields: dict[str, Any] = {"tokens": tokens}
            if width and width > 1:
                fields["tags"] = tags
            yield Record(fields, lines[0], lines=lines)


def _sentences(source: Source) -> Iterator[list[tuple[int, str]] | Record]:
    """The numbered lines of each sentence, and records of lines that are none of one."""
    sentence: list[tuple[int, str]] = []
    whole = True
    for number, data in source:
        try:
            line = utf8(data)
        except ValueError as error:
            yield Record({}, number, problem=str(error))
            whole = False  # the sentence goes with its line
            continue
        if line.startswith(_DOCUMENT):
            yield Record({}, number, ignored="-DOCSTART- line")
        elif line.strip(" \t\r\n"):
            sentence.append((number, line.rstrip("\r\n")))
        else:
            if sentence and whole:
                yield sentence
            sentence, whole = [], True
    if sentence and whole:
        yield sentence


def _columns(line: str) -> list[str]:
    return line.rstrip("\t ").split("\t") if "\t" in line else _BLANKS.split(line.strip(" "))


def _problem(
    row: list[str], width: int, token_column: int, tag_column: int, labelled: bool
) -> str | None:
    if any("\r" in cell for cell in row):
        return RETURN_INSIDE
    if labelled and len(row) < 2:
        return f"got 1 column ({shown(row[0])}), expected a token and its tag"
    if len(row) != width:
        return f"got {len(row)} columns, expected {width} as in the lines before"
    if not (-width <= token_column < width and -width <= tag_column < width):
        return f"columns: tokens {token_column} and tags {tag_column} asked for, but it has {width}"
    if not labelled and width > 1 and not is_tag(row[tag_column]):
        return f"got {width} columns and no tag in the last, expected a token a line"
    return None if row[token_column].strip(" ") else "got an empty token"

"""Bytes of a file to blocks and parts of text, with memory bounded by one of them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import DataError

BLOCK = 1 << 18  # bytes: several blocks make one batch for a tokenizer, whose threads share them
_CONTINUATION = range(0x80, 0xC0)  # bytes inside a UTF-8 sequence


@contextmanager
def open_text(path: Path) -> Iterator[BinaryIO]:
    """The file, past a byte order mark. What the system refuses is a DataError."""
    try:
        with open(path, "rb") as stream:
            if stream.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
                stream.read(len(codecs.BOM_UTF8))
            yield cast(BinaryIO, stream)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", str(path)) from error


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of about `BLOCK` bytes that end at a line end; a line longer than that is cut
    between two characters."""
    while data := stream.read(BLOCK):
        data += stream.readline(BLOCK)
        while not data.endswith(b"\n") and (byte := _peek(stream)) and byte[0] in _CONTINUATION:
            data += stream.read(1)
        yield data


def part_end(text: str) -> int:
    """Where to cut a long text so that its parts give the tokens of the whole.

    The last place between a letter or digit and a space, else a line feed: pre-tokenizers cut
    there anyway, whatever they do with white space and punctuation. Text without one (a page of
    Chinese on one line) is cut at its end.
    """
    for white in (" ", "\n"):
        end = len(text)
        while (end := text.rfind(white, 0, end)) > 0:
            if text[end - 1].isalnum():
                return end
    return len(text)


def _peek(stream: Any) -> bytes:
    return stream.peek(1)[:1]

"""Ids to text: whole, and in pieces while they come that join to the whole.

What a token writes can depend on those before it (a space, a `##`) and, where characters are
written as bytes, on those behind it. Two kinds of tokenizers write bytes:

    ByteLevel     GPT-2's: bytes that are no UTF-8 become U+FFFD, each stretch of them for itself
    ByteFallback  Llama 2's: tokens `<0xE4>`; a run of them is UTF-8 from end to end, or each of
                  its bytes is U+FFFD
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer

from ..characters import CONTINUATION, WIDE
from ..errors import DataError
from ._library import library_errors, parts_of

_LOST = "\ufffd"
_WINDOW = 96  # tokens that are decoded again for each new one, at most
_OVERLAP = 32  # of which so many are kept when it moves, for decoders that look back
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# WordPiece makes a word of each Chinese character, and its decoder puts spaces between words.
_CHINESE_SPACE = re.compile(f"(?<=[{WIDE}]) (?=[{WIDE}])")


class Decoder:
    """What is to know of a tokenizer when its ids become text. Special tokens write nothing.

    tokenizer : a `tokenizers.Tokenizer`, or any object with `decode(ids)`
    """

    def __init__(self, tokenizer: Any):
        inner = getattr(tokenizer, "backend_tokenizer", tokenizer)  # of one in transformers' way
        self._tokenizer = inner if isinstance(inner, Tokenizer) else None
        self._decode = tokenizer.decode if self._tokenizer is None else inner.decode
        parts = [] if self._tokenizer is None else parts_of(inner.decoder)
        kinds = [part["type"] for part in parts]  # in their order
        fuse = kinds.index("Fuse") if "Fuse" in kinds else len(kinds)
        self._falls_back = "ByteFallback" in kinds[:fuse]
        self._byte_level = "ByteLevel" in kinds
        self._spaces_words = "WordPiece" in kinds
        self.rewrites = bool(set(kinds[fuse:]) - {"Fuse", "Strip"})  # the whole text at once
        added = {} if self._tokenizer is None else inner.get_added_tokens_decoder()
        self._special = frozenset(i for i, token in added.items() if token.special)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; of WordPiece without its spaces between Chinese characters."""
        ids = self.visible(ids)
        if not ids:
            return ""  # some decoders fail here
        with library_errors(lambda reason: self._refused(len(ids), reason)):
            text = self._decode(ids)
        return _CHINESE_SPACE.sub("", text) if self._spaces_words else text

    @staticmethod
    def _refused(count: int, reason: str) -> DataError:
        return DataError(f"the tokenizer cannot decode {count} ids: {reason}")

    def visible(self, ids: Iterable[int]) -> list[int]:
        """The ids that write something: a window full of special tokens would tell nothing."""
        return [i for i in ids if i not in self._special] if self._special else list(ids)

    def byte_of(self, token: int) -> int | None:
        """The byte that a token of the byte fallback stands for, None of other tokens."""
        if not self._falls_back or self._tokenizer is None:
            return None
        match = _BYTE.fullmatch(self._tokenizer.id_to_token(token) or "")
        return int(match[1], 16) if match else None

    def whole_from(self, ids: Sequence[int], start: int) -> int:
        """A place at or shortly before `start` at which no character is cut."""
        for place in range(start, max(start - 4, -1), -1):
            if place == 0 or self.byte_of(ids[place]) not in CONTINUATION:
                return place
        return start

    def unfinished(self, text: str, ids: Sequence[int]) -> int:
        """How many characters at the end of the text of `ids` the next token may change."""
        if not text.endswith(_LOST):
            return 0
        if self._tokenizer is None:
            return 1
        return int(self._byte_level and _is_cut(self._last_bytes(self._tokenizer, ids)))

    @staticmethod
    def _last_bytes(tokenizer: Tokenizer, ids: Sequence[int]) -> bytes:
        """At least the last four bytes of byte-level tokens, if there are so many."""
        letters, found = byte_letters(), b""
        for token in reversed(ids):
            written = tokenizer.id_to_token(token) or ""
            known = letters.keys() >= set(written)
            found = (bytes(letters[c] for c in written) if known else written.encode()) + found
            if len(found) >= 4:
                break
        return found


class TextStream:
    """Ids of one text to pieces of it, each as soon as no later id can change it.

    Joined the pieces are `decode_text` of all ids, whatever the decoder. The time is linear in the
    number of ids: a few are decoded again for each new one, and of a run of byte tokens, which is
    held back while it may become UTF-8, none before its end.
    """

    def __init__(self, tokenizer: Any):
        self._decoder = tokenizer if isinstance(tokenizer, Decoder) else Decoder(tokenizer)
        self._ids: list[int] = []  # what the next ids may look back at
        self._done = 0  # characters of their text that were given
        self._run = _ByteRun()

    def skip(self, ids: Sequence[int]) -> str:
        """Take ids that are known, a prompt; their text, but for an unfinished character."""
        closed = self._take(self._decoder.visible(ids))
        text = self._decoder.decode(closed)
        text = text[: len(text) - self._decoder.unfinished(text, closed)]
        self._look_back(closed)
        return text + self._run.known()

    def push(self, ids: Sequence[int], last: bool = False) -> str:
        """The text that is certain now, after these ids; all of it with `last`."""
        before = self._run
        closed = self._take(self._decoder.visible(ids))
        if last:
            closed += self._run.ids
            self._run = _ByteRun()
        if self._decoder.rewrites and not last:
            self._ids += closed
            return ""
        piece = self._settle(closed, before.end(), last) if closed or last else ""
        return piece + self._run.hopeless()

    def _take(self, ids: list[int]) -> list[int]:
        """Ids up to the last one that ends a run of bytes; what is behind it opens one."""
        closed: list[int] = []
        for token in ids:
            byte = self._decoder.byte_of(token)
            if byte is None:
                closed += [*self._run.ids, token]
                self._run = _ByteRun()
            else:
                self._run.add(token, byte)
        return closed

    def _settle(self, ids: list[int], given: int, last: bool) -> str:
        """The new text of ids that later ones only add to; `given` characters are known."""
        self._ids += ids
        text = self._decoder.decode(self._ids)
        end = len(text) - (0 if last else self._decoder.unfinished(text, self._ids))
        piece = text[self._done + given : end]
        self._done = max(end, self._done + given)
        if len(self._ids) > _WINDOW and not self._decoder.rewrites:
            self._look_back(self._ids)
        return piece

    def _look_back(self, ids: list[int]) -> None:
        """Keep the last ids, whose text was given."""
        self._ids = ids if self._decoder.rewrites else ids[-_OVERLAP:]
        text = self._decoder.decode(self._ids)
        self._done = len(text) - self._decoder.unfinished(text, self._ids)


class _ByteRun:
    """Byte tokens that follow each other, not yet ended by another token.

    given : characters of their text that were given out
    """

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.given = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._lost = False

    def add(self, token: int, byte: int) -> None:
        """Take the next byte."""
        self.ids.append(token)
        if self._lost:
            return
        try:
            self._text += self._utf8.decode(bytes([byte]))
        except UnicodeDecodeError:
            self._lose()

    def known(self) -> str:
        """The characters so far, which count as given."""
        text = _LOST * len(self.ids) if self._lost else self._text
        self.given = len(text)
        return text

    def hopeless(self) -> str:
        """What can be said of bytes that cannot become UTF-8 any more; "" of others."""
        if not self._lost:
            return ""
        new, self.given = len(self.ids) - self.given, len(self.ids)
        return _LOST * new

    def end(self) -> int:
        """No more bytes come. Characters of its text that were given out."""
        if not self._lost and self._utf8.getstate()[0]:
            self._lose()
        return self.given

    def _lose(self) -> None:
        """The run is no UTF-8: each byte is a character, those of characters given out too."""
        self._lost = True
        self.given = len(self._text[: self.given].encode())


def decode_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of ids, without special tokens.

    As the tokenizer decodes them; of WordPiece without the spaces that its decoder puts between
    Chinese characters.

    Raises
    ------
    DataError : ids that the tokenizer cannot decode
    """
    return Decoder(tokenizer).decode(ids)


def decode_continuation(tokenizer: Any, before: Sequence[int], ids: Sequence[int]) -> str:
    """The text that `ids` add behind the ids `before`."""
    stream = TextStream(tokenizer)
    stream.skip(before)
    return stream.push(ids, last=True)


def byte_letters() -> dict[str, int]:
    """GPT-2's table: printable bytes are written as themselves, the others from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(other)}


def _is_cut(data: bytes) -> bool:
    """Whether bytes end inside a UTF-8 sequence."""
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    utf8.decode(data)
    return bool(utf8.getstate()[0])

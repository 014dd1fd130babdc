"""Text as it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import ShapeError
from ..tensor import Array
from .stopping import find_stop, possible_start

_WINDOW = 96  # tokens that are decoded again for each new one, at most
_OVERLAP = 32  # of which so many are kept when it moves, for decoders that look back


class Streamer(Protocol):
    """Gets the prompt (B, L), then each step's tokens (B,), then `end`; as in transformers."""

    def put(self, value: Array) -> None:
        """Take the prompt, or the tokens of one step."""

    def end(self) -> None:
        """Generation is over."""


class TextPieces:
    """Tokens of one row to pieces of text, which joined are the text.

    Tokens may be parts of a character or of a word with its space, so the last tokens are decoded
    together each time and what is new is the piece; an unfinished character is held back, and so
    is what may become a stop string.

    tokenizer : object with `decode(ids)`, such as `tokenizers.Tokenizer`
    stop_strings : the text is cut before the first of them
    """

    def __init__(self, tokenizer: Any, stop_strings: Sequence[str] = ()):
        self.tokenizer = tokenizer
        self.stop_strings = stop_strings
        self._ids: list[int] = []
        self._done = 0  # characters of the decoded ids that were given out or are held
        self._held = ""
        self._stopped = False

    def skip(self, ids: Sequence[int]) -> None:
        """Take tokens that give context but no text, except for an unfinished character."""
        self._ids = list(ids[-_OVERLAP:])
        self._done = len(self.tokenizer.decode(self._ids).rstrip("\ufffd"))

    def push(self, ids: Sequence[int], last: bool = False) -> str:
        """The text that can be shown now, after these tokens; all of it with `last`."""
        self._ids += ids
        text = self.tokenizer.decode(self._ids)
        if text.endswith("\ufffd") and not last:
            return ""
        piece = self._release(text[self._done :], last)
        self._done = len(text)
        if len(self._ids) > _WINDOW:
            self.skip(self._ids)
        return piece

    def _release(self, new: str, last: bool) -> str:
        if self._stopped:
            return ""
        text = self._held + new
        stop = find_stop(text, self.stop_strings)
        if stop is not None:
            self._stopped = True
            return text[:stop]
        end = len(text) if last else possible_start(text, self.stop_strings)
        self._held = text[end:]
        return text[:end]


class TextStreamer:
    """Writes the text of one row as its tokens come.

    Parameters
    ----------
    tokenizer : object with `decode(ids)`, such as `tokenizers.Tokenizer`
    write : function that takes a string
    skip_prompt : bool, leave out the prompt
    stop_strings : as given to `generate`; what is written ends before the first of them
    """

    def __init__(
        self,
        tokenizer: Any,
        write: Callable[[str], object],
        skip_prompt: bool = False,
        stop_strings: Sequence[str] = (),
    ):
        self.tokenizer = tokenizer
        self.write = write
        self.skip_prompt = skip_prompt
        self.stop_strings = stop_strings
        self._pieces: TextPieces | None = None

    def put(self, value: Array) -> None:
        """Write what this prompt or token adds to the text."""
        if len(value) != 1:
            raise ShapeError(f"input_ids: got {len(value)} rows, a TextStreamer shows one")
        ids = value.reshape(-1).tolist()
        if self._pieces is not None:
            self._show(self._pieces.push(ids))
            return
        self._pieces = TextPieces(self.tokenizer, self.stop_strings)
        self._pieces.skip(ids)
        if not self.skip_prompt:
            self._show(self.tokenizer.decode(ids).rstrip("\ufffd"))

    def end(self) -> None:
        """Write what was held back; the next `put` starts a new text."""
        if self._pieces is not None:
            self._show(self._pieces.push([], last=True))
        self._pieces = None

    def _show(self, text: str) -> None:
        if text:
            self.write(text)

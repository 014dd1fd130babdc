"""Text as it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..data.decoding import TextStream
from ..errors import ShapeError
from ..tensor import Array
from .stopping import find_stop, possible_start


class Streamer(Protocol):
    """Gets the prompt (B, L), then each step's tokens (B,), then `end`; as in transformers."""

    def put(self, value: Array) -> None:
        """Take the prompt, or the tokens of one step."""

    def end(self) -> None:
        """Generation is over."""


class TextPieces:
    """Tokens of one row to pieces of text, which joined are the text.

    A piece is what no later token can change: an unfinished character is held back, and so is what
    may become a stop string.

    tokenizer : object with `decode(ids)`, such as `tokenizers.Tokenizer`, or a `Decoder` of one
    stop_strings : the text is cut before the first of them
    """

    def __init__(self, tokenizer: Any, stop_strings: Sequence[str] = ()):
        self.stop_strings = stop_strings
        self._stream = TextStream(tokenizer)
        self._held = ""
        self._stopped = False

    def skip(self, ids: Sequence[int]) -> str:
        """Take tokens that give context but no text, except for an unfinished character.

        Returns their text, without that.
        """
        return self._stream.skip(ids)

    def push(self, ids: Sequence[int], last: bool = False) -> str:
        """The text that can be shown now, after these tokens; all of it with `last`."""
        return self._release(self._stream.push(ids, last), last)

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
        prompt = self._pieces.skip(ids)
        if not self.skip_prompt:
            self._show(prompt)

    def end(self) -> None:
        """Write what was held back; the next `put` starts a new text."""
        if self._pieces is not None:
            self._show(self._pieces.push([], last=True))
        self._pieces = None

    def _show(self, text: str) -> None:
        if text:
            self.write(text)

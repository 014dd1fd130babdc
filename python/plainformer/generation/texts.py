"""Texts from prompts: what `generate` does with ids, between a tokenizer's two ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from ..data.control_codes import ControlCodes
from ..data.tokenizer import encode_text
from ..errors import DataError
from .streamers import TextPieces, TextStreamer


@dataclass(frozen=True)
class Text:
    """One text: whole, and what is new in it."""

    text: str
    new_text: str
    new_tokens: int


class TextWriter:
    """Continues prompts, or writes what source texts lead to.

    Parameters
    ----------
    model : a decoder or an encoder-decoder
    tokenizer : that of the model
    options : of `generate`; what they leave open is as in the model's generation_config
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, options: Mapping[str, Any]):
        self.model, self.tokenizer, self.options = model, tokenizer, dict(options)
        stops = self.option("stop_strings") or []
        self._stops: Sequence[str] = [stops] if isinstance(stops, str) else stops
        self._of_source = hasattr(model, "encode")

    def option(self, name: str) -> Any:
        """The option, or what the model's own files say."""
        return self.options.get(name, getattr(self.model.generation_config, name))

    @property
    def is_single(self) -> bool:
        """Whether a prompt leads to one text that only grows."""
        return all((self.option(name) or 1) == 1 for name in ("num_beams", "num_return_sequences"))

    def stream(self, ids: list[int], show: Callable[[str], object]) -> Text:
        """The text of one prompt (L,); `show` gets it piece by piece, the prompt first."""
        streamer = TextStreamer(self.tokenizer, show, stop_strings=self._stops)
        [text] = self._texts([ids], {**self.options, "streamer": streamer})
        return text

    def write(self, rows: Sequence[list[int]], batch_size: int = 16) -> Iterator[Text]:
        """The texts of prompts, `num_return_sequences` of each, in order."""
        options = dict(self.options)
        for first in range(0, len(rows), batch_size):
            if first and self.option("do_sample"):
                options["seed"] = options.get("seed", 0) + 1  # other draws a batch
            yield from self._texts(rows[first : first + batch_size], options)

    def _texts(self, rows: Sequence[list[int]], options: Mapping[str, Any]) -> Iterator[Text]:
        tokenizer = self.tokenizer if self._stops else None
        output = self.model.generate(
            rows, return_dict_in_generate=True, tokenizer=tokenizer, **options
        )
        new = output.sequences.shape[1] - int(output.lengths.max())
        count = len(output.lengths) // len(rows)
        for i, (row, length) in enumerate(zip(output.sequences, output.lengths.tolist())):
            before = row[:new].tolist() if self._of_source else rows[i // count]
            pieces = TextPieces(self.tokenizer, self._stops)
            prompt = pieces.skip(before)
            new_text = pieces.push(row[new : new + length].tolist(), last=True)
            yield Text(new_text if self._of_source else prompt + new_text, new_text, length)


def prompt_ids(model: Any, tokenizer: Tokenizer, text: str, label: str | None = None) -> list[int]:
    """Ids of a prompt, behind the beginning-of-text id if the tokenizer would put it there; of a
    source text for an encoder, with all special tokens that the tokenizer adds. With a label the
    ids of the text, which may be empty, behind the label's control code.

    Raises
    ------
    DataError : an empty text without a label, or a label that the tokenizer has no code of
    """
    if label is not None:
        return ControlCodes(tokenizer).encode(text, label).tolist()
    ids = encode_text(tokenizer, text).tolist()
    if not ids:
        raise DataError("PROMPT: got an empty text, expected at least one token")
    with_special = tokenizer.encode(text).ids
    if hasattr(model, "encode"):
        return with_special
    begin = model.config.bos_token_id
    adds = begin is not None and with_special[0] == begin and ids[0] != begin
    return [begin, *ids] if adds else ids

"""What objectives ask of a tokenizer, found once: special ids, where words and sentences border."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tokenizers import Tokenizer

from ...errors import ConfigError
from .._library import METASPACE
from ..decoding import byte_letters
from ..special_tokens import special_ids
from ..tokenizer import vocab_size

_SENTENCE_ENDS = tuple(".!?\u3002\uff01\uff1f")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tables over the ids of a tokenizer.

    size : ids are below it
    special : bool (size,), tokens that stand for no text
    prefix, suffix : ids (P,), (S,) that the tokenizer puts around one text, such as [CLS] and [SEP]
    sentinels : ids of `<extra_id_0>`, `<extra_id_1>`, ...; as many as follow each other
    end, mask, pad : ids, or None where the tokenizer has none
    """

    tokenizer: Tokenizer
    size: int
    special: np.ndarray
    prefix: np.ndarray
    suffix: np.ndarray
    sentinels: np.ndarray
    end: int | None
    mask: int | None
    pad: int | None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        """The tables of `tokenizer`."""
        size, roles = vocab_size(tokenizer), special_ids(tokenizer)
        special = np.zeros(size, bool)
        added = tokenizer.get_added_tokens_decoder().items()
        special[[i for i, token in added if token.special]] = True
        prefix, suffix = _frame(tokenizer)
        return cls(
            tokenizer, size, special, prefix, suffix, _sentinels(tokenizer),
            roles.end_token_id, roles.mask_token_id, roles.pad_token_id,
        )  # fmt: skip

    def need_mask(self, objective: str) -> int:
        """The id of the mask token; ConfigError without one."""
        if self.mask is None:
            raise ConfigError(
                f"tokenizer: has no mask token, which objective {objective} needs; use one that "
                "has, or train wordpiece:SIZE or bpe:SIZE"
            )
        return self.mask

    def room(self, block_size: int) -> int:
        """What prefix and suffix leave of `block_size`."""
        return block_size - len(self.prefix) - len(self.suffix)

    def framed(self, text: np.ndarray) -> np.ndarray:
        """A text (N,) as the tokenizer frames one."""
        return np.concatenate([self.prefix, text, self.suffix])

    @cached_property
    def ordinary(self) -> np.ndarray:
        """Ids (n,) of tokens that stand for text."""
        ids = np.zeros(self.size, bool)
        ids[list(self.tokenizer.get_vocab(with_added_tokens=True).values())] = True
        return np.flatnonzero(ids & ~self.special)

    @cached_property
    def word_borders(self) -> tuple[np.ndarray, np.ndarray]:
        """Bool (size,) twice: tokens that begin a word, tokens after which one begins.

        WordPiece marks what goes on with a word (`##`); byte-level and metaspace tokens carry the
        white space before a word; `</w>` ends one. Special tokens are words of their own.
        """
        begins, ends = self.special.copy(), self.special.copy()
        model = json.loads(self.tokenizer.to_str())["model"]
        inside = model.get("continuing_subword_prefix") or ""
        last = model.get("end_of_word_suffix") or ""
        for token, i in self._ordinary_tokens:
            text = self._text(token)
            begins[i] |= not token.startswith(inside) if inside else text[:1].isspace()
            ends[i] |= token.endswith(last) if last else text[-1:].isspace()
        return begins, ends

    @cached_property
    def ends_sentence(self) -> np.ndarray:
        """Bool (size,): tokens that end with a full stop, exclamation or question mark."""
        ends = np.zeros(self.size, bool)
        last = json.loads(self.tokenizer.to_str())["model"].get("end_of_word_suffix") or ""
        for token, i in self._ordinary_tokens:
            ends[i] = self._text(token.removesuffix(last)).rstrip().endswith(_SENTENCE_ENDS)
        return ends

    def word_starts(self, ids: np.ndarray) -> np.ndarray:
        """Bool (N,): whether a word begins at each of `ids` (N,)."""
        begins, ends = self.word_borders
        starts = begins[ids]
        starts[:1] = True
        starts[1:] |= ends[ids[:-1]]
        return starts

    @cached_property
    def _ordinary_tokens(self) -> list[tuple[str, int]]:
        vocab = self.tokenizer.get_vocab(with_added_tokens=True)
        return [(token, i) for token, i in vocab.items() if not self.special[i]]

    @cached_property
    def _bytes(self) -> dict[str, int] | None:
        """From the letters of byte-level tokens to their bytes; None for other tokenizers."""
        state = json.loads(self.tokenizer.to_str())
        parts = [state["pre_tokenizer"] or {}, state["decoder"] or {}]
        parts += [p for part in parts for p in part.get("pretokenizers", part.get("decoders", []))]
        return byte_letters() if any(p.get("type") == "ByteLevel" for p in parts) else None

    def _text(self, token: str) -> str:
        """What a token of the vocabulary writes; parts of characters are U+FFFD."""
        if self._bytes is None or not self._bytes.keys() >= set(token):
            return token.replace(METASPACE, " ")
        return bytes(self._bytes[letter] for letter in token).decode("utf-8", "replace")


def _frame(tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """The ids that `encode` adds before and after one text."""
    if tokenizer.post_processor is None:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    vocab = tokenizer.get_vocab(with_added_tokens=False)
    text = min((token for token in vocab if token.isalpha()), default="a")  # one that it can encode
    encoding = tokenizer.encode(text, add_special_tokens=True)
    ids, added = np.array(encoding.ids, np.int32), np.array(encoding.special_tokens_mask, bool)
    texts = np.flatnonzero(~added)
    first, last = (texts[0], texts[-1] + 1) if len(texts) else (len(ids), len(ids))
    return ids[:first], ids[last:]


def _sentinels(tokenizer: Tokenizer) -> np.ndarray:
    ids: list[int] = []
    while (found := tokenizer.token_to_id(f"<extra_id_{len(ids)}>")) is not None:
        ids.append(found)
    return np.array(ids, np.int32)

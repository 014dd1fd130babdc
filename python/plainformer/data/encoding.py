"""Texts and pairs of texts to what models take: special tokens, truncation, windows.

The `tokenizers` library keeps truncation inside the tokenizer, where two users of it would disturb
each other. `TextEncoder` never touches the tokenizer it is given: it cuts with copies, which share
the vocabulary and so cost microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from ..errors import ConfigError, DataError, DTypeError, ShapeError, shown
from ..kinds import check_kind
from ._library import METASPACE, library_errors, parts_of, refused
from .special_tokens import SpecialIds, special_ids

Text = str | Sequence[str]  # words where is_split_into_words
MAX_TOKENS = 1 << 24  # of a text: more is a slip
_TRUNCATIONS = ("longest_first", "only_first", "only_second", False)


@dataclass(frozen=True)
class Encoded:
    """One text, pair or window of it, as (N,) int32 arrays with special tokens in their places.

    input_ids : ids
    token_type_ids : 1 for a pair's second text where the template says so (BERT), else 0
    sequence_ids : 0 for tokens of the first text, 1 of the second, -1 for special tokens
    word_ids : index of each token's word in its text, -1 for special tokens; None unless asked for
    offsets : (N, 2), begin and end of each token's characters, in its text, or in its word where
        texts were given as words; None unless asked for
    index : int, which of the texts this is; windows of one text have the same
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    sequence_ids: np.ndarray
    word_ids: np.ndarray | None
    offsets: np.ndarray | None
    index: int

    def __len__(self) -> int:
        return len(self.input_ids)


class TextEncoder:
    """Encodes texts for models; thread-safe, and leaves the tokenizer as it is.

    Parameters
    ----------
    tokenizer : a `tokenizers.Tokenizer` (`read_tokenizer`)
    special : SpecialIds; None means `special_ids(tokenizer)`
    """

    def __init__(self, tokenizer: Tokenizer, special: SpecialIds | None = None):
        self.tokenizer = tokenizer
        self.special = special_ids(tokenizer) if special is None else special
        self._needs_space = _glues_words(tokenizer)
        self._cutting = lru_cache(maxsize=8)(self._make_cutting)

    def __reduce__(self) -> Any:
        """Copies make cutting tokenizers of their own, and can be sent to other processes."""
        return type(self), (self.tokenizer, self.special)

    def encode(
        self,
        texts: Sequence[Text],
        pairs: Sequence[Text] | None = None,
        *,
        max_length: int | None = None,
        truncation: str | bool = "longest_first",
        stride: int | None = None,
        return_offsets: bool = False,
        is_split_into_words: bool = False,
        add_special_tokens: bool = True,
    ) -> list[Encoded]:
        """Ids of each text, or of each text with its pair.

        Parameters
        ----------
        texts, pairs : list of str, or of lists of words with `is_split_into_words`
        max_length : int, most tokens of a result, special ones counted; None means the model's
            (`special.model_max_length`), or no limit where that is not known
        truncation : "longest_first" takes tokens from the longer text of a pair, "only_first" and
            "only_second" from that text; True means "longest_first"; with False nothing is cut
        stride : int, also return what was cut off, in windows that repeat so many tokens of the
            window before; a pair needs "only_first" or "only_second". None drops it
        return_offsets : bool, fill in `offsets` and `word_ids`
        is_split_into_words : bool; `word_ids` are filled in. Tokenizers whose tokens begin with
            the space before a word (byte-level, Metaspace) see it before every word, as in
            running text
        add_special_tokens : bool

        Returns
        -------
        list of Encoded, in order; the windows of a text follow each other

        Raises
        ------
        ConfigError : max_length, truncation or stride have values that cannot be
        DataError : a text cannot be encoded, or its pair leaves no room for it
        DTypeError, ShapeError : texts or pairs are not lists, or of different lengths
        """
        _check_texts(texts, pairs, is_split_into_words)
        cut = self._check_cut(max_length, truncation, stride, pairs is not None, add_special_tokens)
        if is_split_into_words:
            texts, pairs = self._words(texts), None if pairs is None else self._words(pairs)
        if pairs is not None and cut[0] is not None and cut[1] != "longest_first":
            self._check_room(texts, pairs, cut, is_split_into_words, add_special_tokens)
        precise = return_offsets or is_split_into_words
        tokenizer = self._cutting(*cut)
        encode = tokenizer.encode_batch if precise else tokenizer.encode_batch_fast
        inputs = list(texts) if pairs is None else list(zip(texts, pairs))
        with library_errors(lambda reason: refused(self.tokenizer, inputs, reason)):
            encodings = encode(inputs, is_split_into_words, add_special_tokens)
        windows = (
            (index, window)
            for index, encoding in enumerate(encodings)
            for window in (encoding, *(encoding.overflowing if stride is not None else ()))
        )
        return [self._encoded(w, i, precise, is_split_into_words) for i, w in windows]

    def _check_cut(
        self,
        max_length: int | None,
        truncation: str | bool,
        stride: int | None,
        paired: bool,
        add_special_tokens: bool,
    ) -> tuple[int | None, str, int]:
        """Limit (None: cut nothing), strategy and stride."""
        check_kind("max_length", max_length, int | None)
        check_kind("stride", stride, int | None)
        if max_length is not None and max_length > MAX_TOKENS:
            raise ConfigError(f"max_length: got {max_length}, expected at most {MAX_TOKENS}")
        truncation = "longest_first" if truncation is True else truncation
        known = isinstance(truncation, (str, bool)) and truncation in _TRUNCATIONS  # not 0.0
        if not known or (truncation == "only_second" and not paired):
            wanted = ", ".join(map(repr, _TRUNCATIONS))
            raise ConfigError(
                f"truncation: got {shown(truncation)}, expected one of {wanted}; "
                "'only_second' needs pairs"
            )
        limit = self.special.model_max_length if max_length is None else max_length
        if truncation is False or limit is None:
            if stride is not None:
                raise ConfigError(f"stride: got {stride}, but nothing is cut; give max_length")
            return None, "longest_first", 0
        added = self.tokenizer.num_special_tokens_to_add(paired) if add_special_tokens else 0
        if limit <= added:
            raise ConfigError(
                f"max_length: got {limit}, expected more than the {added} special tokens"
            )
        if stride is not None and not 0 <= stride < limit - added:
            raise ConfigError(
                f"stride: got {stride}, expected at least 0 and less than the {limit - added} "
                "tokens of a window"
            )
        if stride is not None and paired and truncation == "longest_first":
            raise ConfigError("stride: pairs need truncation='only_first' or 'only_second'")
        return limit, str(truncation), stride or 0

    def _check_room(
        self,
        texts: Sequence[Text],
        pairs: Sequence[Text],
        cut: tuple[Any, ...],
        words: bool,
        add_special_tokens: bool,
    ) -> None:
        """Raise for a text that is not to be cut and leaves its pair less than a window."""
        limit, strategy, stride = cut
        added = self.tokenizer.num_special_tokens_to_add(True) if add_special_tokens else 0
        kept, other = (pairs, texts) if strategy == "only_first" else (texts, pairs)
        for index, length in enumerate(self._lengths(kept, words)):
            room = limit - added - length
            if room <= stride and self._lengths(other[index : index + 1], words)[0] > room:
                name, cut_name = ("pairs", "texts") if kept is pairs else ("texts", "pairs")
                raise DataError(
                    f"{name}[{index}]: got {length} tokens, which leave {max(0, room)} of "
                    f"max_length {limit} for {cut_name}[{index}], expected more than the stride, "
                    f"{stride}; cut it first"
                )

    def _lengths(self, texts: Sequence[Text], words: bool) -> list[int]:
        with library_errors(lambda reason: refused(self.tokenizer, texts, reason)):
            plain = self._cutting(None, "longest_first", 0)
            encodings = plain.encode_batch_fast(list(texts), words, False)
        return [len(encoding) for encoding in encodings]

    def _make_cutting(self, limit: int | None, strategy: str, stride: int) -> Tokenizer:
        copy = share_vocabulary(self.tokenizer)
        if limit is not None:
            side = self.special.truncation_side
            copy.enable_truncation(limit, stride=stride, strategy=strategy, direction=side)
        return copy

    def _words(self, texts: Sequence[Text]) -> list[list[str]]:
        if not self._needs_space:
            return [list(words) for words in texts]
        return [[f" {word}" if word else word for word in words] for words in texts]

    def _encoded(self, encoding: Encoding, index: int, precise: bool, words: bool) -> Encoded:
        word_ids = _with_gaps(encoding.word_ids) if precise else None
        offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2) if precise else None
        if words and self._needs_space and offsets is not None:
            offsets = np.maximum(offsets - 1, 0)  # the space that `_words` put in front
        return Encoded(
            _ids(encoding.ids),
            _ids(encoding.type_ids),
            _with_gaps(encoding.sequence_ids),
            word_ids,
            offsets,
            index,
        )


def share_vocabulary(tokenizer: Tokenizer, *, all_is_text: bool = False) -> Tokenizer:
    """A tokenizer of the same parts, without truncation and padding; its settings are its own.

    all_is_text : a text that spells a special token is still text
    """
    copy = Tokenizer(tokenizer.model)
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if getattr(tokenizer, part) is not None:
            setattr(copy, part, getattr(tokenizer, part))
    added = tokenizer.get_added_tokens_decoder()
    for _, token in sorted(added.items()):
        (copy.add_special_tokens if token.special else copy.add_tokens)([token])
    if copy.get_added_tokens_decoder() != added:  # ids with gaps, which adding cannot make
        copy = Tokenizer.from_str(tokenizer.to_str())
        copy.no_truncation()
        copy.no_padding()
    copy.encode_special_tokens = all_is_text or tokenizer.encode_special_tokens
    return copy


def _glues_words(tokenizer: Tokenizer) -> bool:
    """Whether words given one by one would lose the space that tokens of running text begin with:
    byte-level ones, and Metaspace's where nothing is put before a text (Gemma)."""
    parts = [*parts_of(tokenizer.normalizer), *parts_of(tokenizer.pre_tokenizer)]
    byte_level = [p for p in parts if p["type"] == "ByteLevel" and "add_prefix_space" in p]
    if byte_level:
        return not all(part["add_prefix_space"] for part in byte_level)
    written = any(p.get("content") == METASPACE for p in parts if p["type"] == "Replace")
    schemes = [p["prepend_scheme"] for p in parts if p["type"] == "Metaspace"]
    prepends = any(p["type"] == "Prepend" for p in parts)
    return (written and not prepends and not schemes) or "never" in schemes


def _ids(values: Sequence[int]) -> np.ndarray:
    try:
        return np.array(values, np.int32)
    except OverflowError:  # a template may name any number
        raise DataError(f"texts: the tokenizer gives the id {max(values)}, beyond int32") from None


def _with_gaps(values: Sequence[int | None]) -> np.ndarray:
    return np.array([-1 if value is None else value for value in values], np.int32)


def _check_texts(texts: Any, pairs: Any, words: bool) -> None:
    for name, items in (("texts", texts), ("pairs", pairs)):
        if items is None and name == "pairs":
            continue
        kind = "lists of words" if words else "strings"
        if isinstance(items, str) or not isinstance(items, Sequence):
            raise DTypeError(f"{name}: got {type(items).__name__}, expected a list of {kind}")
        for index, item in enumerate(items):
            if not (is_words(item) if words else isinstance(item, str)):
                raise DTypeError(f"{name}[{index}]: got {type(item).__name__}, expected {kind}")
    if pairs is not None and len(pairs) != len(texts):
        raise ShapeError(f"pairs: got {len(pairs)}, expected {len(texts)}, one a text")


def is_words(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item)

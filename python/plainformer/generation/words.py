"""Words in the place of ids: what must not occur in a text, and what must."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from ..characters import is_chinese
from ..data.encoding import share_vocabulary
from ..data.tokenizer import encode_text
from ..errors import ConfigError, shown
from ..options import check, option, that

_NOT_BLANK = that(lambda texts: all(text.strip() for text in texts), "none blank")


@dataclass(frozen=True)
class WordOptions:
    """Words for `bad_words_ids` and `force_words_ids`."""

    bad_words: Sequence[str] | None = option(
        None, "A text that must not occur, behind a space or not.", _NOT_BLANK
    )
    force_words: Sequence[str] | None = option(
        None, "A text that must occur, behind a space where there is one between words.", _NOT_BLANK
    )

    def __post_init__(self) -> None:
        check(self)


def word_ids(words: Any, tokenizer: Tokenizer) -> dict[str, list[list[int]]]:
    """What the words are as arguments of `generate`.

    words : has the options of `WordOptions`
    """
    found: dict[str, list[list[int]]] = {}
    if words.bad_words:
        spellings = [spelled for word in words.bad_words for spelled in (word, f" {word}")]
        found["bad_words_ids"] = _ids("bad_words", tokenizer, spellings)
    if words.force_words:
        texts = map(_in_running_text, words.force_words)
        found["force_words_ids"] = _ids("force_words", tokenizer, texts)
    return found


def _in_running_text(word: str) -> str:
    """A word behind a space, where there is one between words."""
    return word if word[0].isspace() or is_chinese([word]) else f" {word}"


def _ids(name: str, tokenizer: Tokenizer, words: Iterable[str]) -> list[list[int]]:
    """Ids of each word, the same ones once."""
    plain = share_vocabulary(tokenizer, all_is_text=True)
    found = {word: encode_text(plain, word).tolist() for word in words}
    none = next((word for word, ids in found.items() if not ids), None)
    if none is not None:
        raise ConfigError(f"{name}: the tokenizer has no tokens for {shown(none)}")
    return [list(ids) for ids in dict.fromkeys(map(tuple, found.values()))]

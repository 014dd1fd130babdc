"""How a task writes: settings for what `generate` takes, with words in the place of ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from ..characters import is_chinese
from ..data.encoding import share_vocabulary
from ..errors import ConfigError, shown
from ..generation import GenerationConfig
from ..options import SEED, borrowed, option, refuse_idle, that
from .task import TaskSettings

_SAMPLING = ("temperature", "top_k", "top_p")
_NOT_BLANK = that(lambda texts: all(text.strip() for text in texts), "none blank")
_DRAWN = (*_SAMPLING, "sampling_seed", "num_return_sequences")
_OPTIONS = ("min_new_tokens", "no_repeat_ngram_size", "repetition_penalty", *_SAMPLING)


@dataclass(frozen=True)
class GenerationSettings(TaskSettings):
    """Options of writing; those of `GenerationConfig` under its names."""

    do_sample: bool = borrowed(GenerationConfig, "do_sample", False)
    temperature: float | None = borrowed(GenerationConfig, "temperature")
    top_k: int | None = borrowed(GenerationConfig, "top_k")
    top_p: float | None = borrowed(GenerationConfig, "top_p")
    sampling_seed: int | None = option(
        None,
        "Seed of the draws, which are the same for every prompt; a pipeline without takes a fresh "
        "one each call, the command line 0.",
        SEED,
    )
    num_return_sequences: int = borrowed(GenerationConfig, "num_return_sequences", 1)
    min_new_tokens: int | None = borrowed(GenerationConfig, "min_new_tokens")
    no_repeat_ngram_size: int | None = borrowed(GenerationConfig, "no_repeat_ngram_size")
    repetition_penalty: float | None = borrowed(GenerationConfig, "repetition_penalty")
    bad_words: Sequence[str] | None = option(
        None, "A text that must not occur, as it is cut into tokens.", _NOT_BLANK
    )
    force_words: Sequence[str] | None = option(None, "A text that must occur.", _NOT_BLANK)

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_idle(self, *((name, not self.do_sample, "without do_sample") for name in _DRAWN))


def generation_options(settings: GenerationSettings, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the settings are as arguments of `generate`."""
    options: dict[str, Any] = {
        "do_sample": settings.do_sample,
        "num_return_sequences": settings.num_return_sequences,
        **{name: getattr(settings, name) for name in _OPTIONS},
    }
    if settings.bad_words:
        spellings = [spelled for word in settings.bad_words for spelled in (word, f" {word}")]
        options["bad_words_ids"] = _ids("bad_words", tokenizer, spellings)
    if settings.force_words:
        words = map(_in_running_text, settings.force_words)
        options["force_words_ids"] = _ids("force_words", tokenizer, words)
    return {name: value for name, value in options.items() if value is not None}


def _in_running_text(word: str) -> str:
    """A word behind a space, where there is one between words."""
    return word if word[0].isspace() or is_chinese([word]) else f" {word}"


def _ids(name: str, tokenizer: Tokenizer, words: Iterable[str]) -> list[list[int]]:
    """Ids of each word, the same ones once."""
    plain = share_vocabulary(tokenizer, all_is_text=True)
    found = {word: plain.encode(word, add_special_tokens=False).ids for word in words}
    none = next((word for word, ids in found.items() if not ids), None)
    if none is not None:
        raise ConfigError(f"{name}: the tokenizer has no tokens for {shown(none)}")
    return [list(ids) for ids in dict.fromkeys(map(tuple, found.values()))]

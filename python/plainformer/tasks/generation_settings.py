"""How a task writes: settings for what `generate` takes, with words in the place of ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from ..characters import is_chinese
from ..data.encoding import share_vocabulary
from ..errors import ConfigError, shown
from ..generation.sampling import Sampling
from .options import check_at_least, option
from .task import Settings

_SAMPLING = ("temperature", "top_k", "top_p")
_OPTIONS = ("min_new_tokens", "no_repeat_ngram_size", "repetition_penalty", *_SAMPLING)


@dataclass(frozen=True)
class GenerationSettings(Settings):
    """Options of writing; those of `GenerationConfig` under its names."""

    do_sample: bool = option(False, "Draw tokens instead of taking the most probable ones.")
    temperature: float | None = option(None, "Below 1 draws probable tokens more often.")
    top_k: int | None = option(None, "Draw from so many of the most probable tokens.")
    top_p: float | None = option(None, "Draw from the fewest tokens that reach this probability.")
    sampling_seed: int | None = option(
        None, "Seed of the draws, which are the same for every prompt; default 0."
    )
    num_return_sequences: int = option(1, "Texts that are drawn for a prompt.")
    min_new_tokens: int | None = option(None, "No end before so many tokens are written.")
    no_repeat_ngram_size: int | None = option(None, "No so many tokens occur twice in a text.")
    repetition_penalty: float | None = option(
        None, "Above 1 disfavors tokens that the text has already."
    )
    bad_words: Sequence[str] | None = option(
        None, "A text that must not occur, as it is cut into tokens."
    )
    force_words: Sequence[str] | None = option(None, "A text that must occur.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "num_return_sequences", "min_new_tokens", "no_repeat_ngram_size")
        check_at_least(self, 0, "sampling_seed")
        given = {name: getattr(self, name) for name in _SAMPLING}
        given = {name: value for name, value in given.items() if value is not None}
        Sampling(**given)  # checks the values
        if self.repetition_penalty is not None and not self.repetition_penalty > 0:
            raise ConfigError(
                f"repetition_penalty: got {self.repetition_penalty}, expected more than 0"
            )
        drawn = [*given, *(["sampling_seed"] if self.sampling_seed is not None else [])]
        drawn += ["num_return_sequences"] if self.num_return_sequences > 1 else []
        if drawn and not self.do_sample:
            raise ConfigError(f"{drawn[0]}: has no effect without do_sample; set that too")
        for name in ("bad_words", "force_words"):
            _check_words(name, getattr(self, name))


def generation_options(settings: GenerationSettings, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the settings are as arguments of `generate`."""
    options: dict[str, Any] = {
        "do_sample": settings.do_sample,
        "num_return_sequences": settings.num_return_sequences,
        **{name: getattr(settings, name) for name in _OPTIONS},
    }
    if settings.do_sample:
        options["seed"] = settings.sampling_seed
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
    plain = share_vocabulary(tokenizer)
    plain.encode_special_tokens = True  # a word that spells a special token is a word
    found = {word: plain.encode(word, add_special_tokens=False).ids for word in words}
    none = next((word for word, ids in found.items() if not ids), None)
    if none is not None:
        raise ConfigError(f"{name}: the tokenizer has no tokens for {shown(none)}")
    return [list(ids) for ids in dict.fromkeys(map(tuple, found.values()))]


def _check_words(name: str, words: Any) -> None:
    if words is None:
        return
    texts = isinstance(words, (list, tuple)) and all(
        isinstance(w, str) and w.strip() for w in words
    )
    if not texts:
        raise ConfigError(
            f"{name}: got {shown(words)}, expected a list of texts that are not blank"
        )

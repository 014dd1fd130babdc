"""How a task writes: settings for what `generate` takes, with words in the place of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from ..errors import ConfigError
from ..generation import GenerationConfig
from ..generation.words import WordOptions, word_ids
from ..options import SEED, borrowed, option, refuse_idle
from .task import TaskSettings

_SAMPLING = ("temperature", "top_k", "top_p")
_DRAWN = (*_SAMPLING, "sampling_seed")
_OPTIONS = ("min_new_tokens", "no_repeat_ngram_size", "repetition_penalty", *_SAMPLING)


@dataclass(frozen=True)
class GenerationSettings(TaskSettings):
    """Options of writing; those of `GenerationConfig` under its names."""

    do_sample: bool = borrowed(GenerationConfig, "do_sample", False)
    num_beams: int = borrowed(GenerationConfig, "num_beams", 1)
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
    bad_words: Sequence[str] | None = borrowed(WordOptions, "bad_words")
    force_words: Sequence[str] | None = borrowed(WordOptions, "force_words")

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_idle(self, *((name, not self.do_sample, "without do_sample") for name in _DRAWN))
        check_several(self)


def check_several(settings: Any) -> None:
    """ConfigError if more texts are wanted of an input than are written."""
    count, beams = settings.num_return_sequences, settings.num_beams
    draws = getattr(settings, "do_sample", False)
    how = "do_sample or num_beams" if hasattr(settings, "do_sample") else "num_beams above 1"
    refuse_idle(settings, ("num_return_sequences", beams == 1 and not draws, f"without {how}"))
    if 1 < beams < count:
        raise ConfigError(f"num_return_sequences: got {count}, expected at most num_beams {beams}")


def generation_options(settings: GenerationSettings, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the settings are as arguments of `generate`."""
    options: dict[str, Any] = {
        "do_sample": settings.do_sample,
        "num_beams": settings.num_beams,
        "num_return_sequences": settings.num_return_sequences,
        **{name: getattr(settings, name) for name in _OPTIONS},
        **word_ids(settings, tokenizer),
    }
    return {name: value for name, value in options.items() if value is not None}

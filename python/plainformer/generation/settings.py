"""The options of one call of `generate`: the caller's, then the model's, then the defaults.

An option of the caller that could not change anything is an error; those of the model's own
files are used where they apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..errors import ConfigError, shown
from .config import SPECIAL_IDS, GenerationConfig, check_names
from .sampling import Sampling

DEFAULT_NEW_TOKENS = 20
_SAMPLING = ("temperature", "top_k", "top_p", "min_p")
_BEAMS = ("length_penalty", "early_stopping")
_EXCLUSIVE = (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length"))


@dataclass(frozen=True)
class Settings:
    """Options with every default filled in.

    asked : names that the caller gave
    options : the rest of them, None where nothing is asked for
    ends : ids that end a row
    pad : fills rows that ended, or that are shorter than others
    """

    asked: frozenset[str]
    options: GenerationConfig
    ends: list[int]
    pad: int
    do_sample: bool
    num_beams: int
    num_return_sequences: int

    @property
    def rows_per_prompt(self) -> int:
        """How many rows are computed for each prompt."""
        return self.num_beams if self.num_beams > 1 else self.num_return_sequences

    @property
    def sampling(self) -> Sampling | None:
        """How tokens are drawn; None where the best is taken."""
        if not self.do_sample:
            return None
        given = {name: getattr(self.options, name) for name in _SAMPLING}
        if given["top_k"] == 0:
            given["top_k"] = None  # transformers' word for all
        return Sampling(**{name: value for name, value in given.items() if value is not None})


def resolve(
    model: Any, generation_config: GenerationConfig | None, options: dict[str, Any]
) -> Settings:
    """Settings of a call.

    Raises
    ------
    ConfigError : naming an unknown or unsupported option, a wrong value, or one without effect
    """
    asked = check_names(options)
    base = _model_options(model, generation_config, options)
    for first, second in _EXCLUSIVE:
        if first in asked and second in asked:
            raise ConfigError(f"{second}: has no effect beside {first}; leave one of them out")
        if second in asked:
            base.pop(first, None)
    merged = replace(GenerationConfig(), **base, **asked)
    settings = _settings(model, frozenset(asked), merged)
    _check_values(settings)
    _check_effects(settings)
    return settings


def _model_options(
    model: Any, given: GenerationConfig | None, options: dict[str, Any]
) -> dict[str, Any]:
    """What the model's files say, with `given` before it, without what `options` replace."""
    base: dict[str, Any] = {}
    for config in (model.generation_config, given):
        if config is not None:
            unanswered = {n: v for n, v in config.extra.items() if options.get(n) is None}
            GenerationConfig(extra=unanswered).check_supported()
            base |= config.said()
    return {name: value for name, value in base.items() if options.get(name) is None}


def _settings(model: Any, asked: frozenset[str], merged: GenerationConfig) -> Settings:
    ends = as_ids("eos_token_id", _special(model, merged, "eos_token_id"))
    pad = _special(model, merged, "pad_token_id")
    if pad is None:
        pad = ends[0] if ends else 0  # without ends, seen only beside shorter prompts
    count = merged.num_return_sequences
    return Settings(
        asked=asked,
        options=merged,
        ends=ends,
        pad=_id("pad_token_id", pad),
        do_sample=bool(merged.do_sample),
        num_beams=1 if merged.num_beams is None else merged.num_beams,
        num_return_sequences=1 if count is None else count,
    )


def _special(model: Any, merged: GenerationConfig, name: str) -> Any:
    own = getattr(merged, name)
    return getattr(model.config, name, None) if own is None else own


def start_token(model: Any, settings: Settings) -> int:
    """The id that targets of an encoder-decoder begin with.

    Raises
    ------
    ConfigError : neither options nor configuration say one
    """
    for name in ("decoder_start_token_id", "bos_token_id"):
        found = _special(model, settings.options, name)
        if found is not None:
            return _id(name, found)
    raise ConfigError("decoder_start_token_id: got None, expected the id that targets begin with")


def first_token(model: Any, settings: Settings) -> int:
    """The id that a decoder starts from without a prompt."""
    found = _special(model, settings.options, "bos_token_id")
    if found is None:
        raise ConfigError("input_ids: got None, and there is no bos_token_id to start from")
    return _id("bos_token_id", found)


def as_ids(name: str, ids: int | Iterable[int] | None) -> list[int]:
    """One id, several or none as a list."""
    if ids is None:
        return []
    return [_id(name, i) for i in ([ids] if np.ndim(ids) == 0 else ids)]  # type: ignore[arg-type,union-attr]


def _id(name: str, value: Any) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{name}: got {shown(value)}, expected ids of at least 0")
    return int(value)


def total_length(settings: Settings, prompt_length: int, limit: int | None) -> int:
    """Tokens of a row in the end, prompt included.

    limit : tokens that a row can have, None for any number; only a default bows to it
    """
    options = settings.options
    if options.max_new_tokens is not None:
        return prompt_length + options.max_new_tokens
    if options.max_length is not None:
        if options.max_length <= prompt_length:
            raise ConfigError(
                f"max_length: got {options.max_length}, but {prompt_length} tokens are there "
                "already; raise it or set max_new_tokens"
            )
        return options.max_length
    total = prompt_length + DEFAULT_NEW_TOKENS
    return total if limit is None else max(min(total, limit), prompt_length + 1)


def _check_values(settings: Settings) -> None:
    options = settings.options
    _check_kinds(options)
    for name in ("max_new_tokens", "max_length", "num_beams", "num_return_sequences"):
        _check_integer(name, getattr(options, name), 1)
    for name in ("min_new_tokens", "min_length", "no_repeat_ngram_size",
                 "encoder_no_repeat_ngram_size", "top_k"):  # fmt: skip
        least = 1 if name == "top_k" and name in settings.asked else 0
        _check_integer(name, getattr(options, name), least)
    for name in ("repetition_penalty", "encoder_repetition_penalty", "max_time"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ConfigError(f"{name}: got {shown(value)}, expected more than 0")
    if options.early_stopping not in (None, True, False, "never"):
        raise ConfigError(
            f"early_stopping: got {shown(options.early_stopping)}, expected True, False or 'never'"
        )
    beams, count = settings.num_beams, settings.num_return_sequences
    if count > 1 and beams == 1 and not settings.do_sample:
        raise ConfigError(
            f"num_return_sequences: got {count}, but greedy decoding gives one text a prompt; "
            "set do_sample=True or num_beams"
        )
    if beams > 1 and count > beams:
        raise ConfigError(f"num_return_sequences: got {count}, expected at most num_beams {beams}")
    _ = settings.sampling  # checks its own values


_KINDS: dict[str, tuple[Any, ...]] = {
    "int | None": (int, np.integer),
    "float | None": (int, float, np.integer, np.floating),
    "bool | None": (bool, np.bool_),
}


def _check_kinds(options: GenerationConfig) -> None:
    """Raise unless every int, float and bool option is one."""
    for f in fields(options):
        value, kinds = getattr(options, f.name), _KINDS.get(str(f.type))
        if kinds is None or value is None or f.name in (*SPECIAL_IDS, "forced_bos_token_id"):
            continue  # ids have checks of their own
        wants_bool = bool in kinds
        if not isinstance(value, kinds) or (isinstance(value, bool) and not wants_bool):
            kind = str(f.type).removesuffix(" | None")
            raise ConfigError(f"{f.name}: got {shown(value)}, expected {kind}")


def _check_integer(name: str, value: Any, least: int) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name}: got {shown(value)}, expected at least {least}")


def _check_effects(settings: Settings) -> None:
    """Raise for an option of the caller that nothing reads."""
    options = settings.options
    if not settings.do_sample:
        for name in _SAMPLING:
            refuse(settings, name, "without do_sample=True; set that or leave it out")
    if settings.num_beams == 1:
        for name in _BEAMS:
            refuse(settings, name, "without num_beams above 1; set that or leave it out")
    if not settings.ends:
        for name in ("min_new_tokens", "min_length", "exponential_decay_length_penalty"):
            refuse(settings, name, "without an eos_token_id that could end a row")
    if not options.return_dict_in_generate:
        for name in ("output_scores", "output_logits"):
            refuse(settings, name, "without return_dict_in_generate=True")
    if settings.num_beams == 1 and not options.output_scores:
        refuse(settings, "renormalize_logits", "without num_beams above 1 or output_scores")


def refuse(settings: Settings, name: str, why: str) -> None:
    """Raise if the caller gave this option, which has no effect for the reason given."""
    if name in settings.asked and getattr(settings.options, name) is not False:
        raise ConfigError(f"{name}: has no effect {why}")

"""The options of one call of `generate`: the caller's, then the model's, then the defaults.

An option of the caller that could not change anything is an error; those of the model's own
files are used where they apply.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .config import OPTIONS, SPECIAL_IDS, GenerationConfig, check_names, check_supported
from .rules import ANY_IDS, IDS
from .sampling import Sampling

DEFAULT_NEW_TOKENS = 20
_SAMPLING = ("temperature", "top_k", "top_p", "min_p")
_ENDS = ("min_new_tokens", "min_length", "exponential_decay_length_penalty")
_OUTPUTS = ("output_scores", "output_logits")
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
        return Sampling(**{name: value for name, value in given.items() if value is not None})


def resolve(
    model: Any, generation_config: GenerationConfig | None, options: dict[str, Any]
) -> Settings:
    """Settings of a call.

    Raises
    ------
    ConfigError : naming an unknown or unsupported option, a wrong value, or one without effect
    """
    asked = {name: OPTIONS[name].read(value) for name, value in check_names(options).items()}
    base = _model_options(model, generation_config, {**options, **asked})
    for first, second in _EXCLUSIVE:
        if first in asked and second in asked:
            raise ConfigError(f"{second}: has no effect beside {first}; leave one of them out")
        if second in asked:
            base.pop(first, None)
    merged = GenerationConfig(**base, **asked)
    given = {} if generation_config is None else generation_config.said()
    settings = _settings(model, frozenset(asked), merged, asked.keys() | given.keys())
    _check_rows(settings)
    _check_effects(settings)
    return settings


def _model_options(
    model: Any, given: GenerationConfig | None, options: dict[str, Any]
) -> dict[str, Any]:
    """What the model's files say, with `given` before it, without what `options` replace."""
    base: dict[str, Any] = {}
    for config in (model.generation_config, given):
        if config is not None:
            check_supported({n: v for n, v in config.extra.items() if options.get(n) is None})
            base |= config.said()
    if base.get("top_k") == 0:
        del base["top_k"]  # transformers' word for all
    return {
        name: value if name in SPECIAL_IDS else OPTIONS[name].read(value)
        for name, value in base.items()
        if options.get(name) is None
    }


def _settings(
    model: Any, asked: frozenset[str], merged: GenerationConfig, strict: Collection[str]
) -> Settings:
    ends = _special_ids(model, merged, "eos_token_id", strict)
    pads = _special_ids(model, merged, "pad_token_id", strict)
    count = merged.num_return_sequences
    return Settings(
        asked=asked,
        options=merged,
        ends=ends,
        pad=[*pads, *ends, 0][0],  # without ends, seen only beside shorter prompts
        do_sample=bool(merged.do_sample),
        num_beams=1 if merged.num_beams is None else merged.num_beams,
        num_return_sequences=1 if count is None else count,
    )


def _special(model: Any, merged: GenerationConfig, name: str) -> Any:
    own = getattr(merged, name)
    return getattr(model.config, name, None) if own is None else own


def _special_ids(
    model: Any, merged: GenerationConfig, name: str, strict: Collection[str]
) -> list[int]:
    """Ids in the vocabulary. Others are errors where the caller gave them."""
    value, size = _special(model, merged, name), model_vocab_size(model)
    return ids_below(name, value, size) if name in strict else ids_of_file(name, value, size)


def ids_of_file(name: str, value: Any, size: int) -> list[int]:
    """The ids in a vocabulary of this size. Files have others (-1, or the id of a larger one) to
    say that there is none."""
    found = [] if value is None else ANY_IDS.check(name, value)
    return [one for one in found if 0 <= one < size]


def model_vocab_size(model: Any) -> int:
    """Ids that the model can write."""
    return getattr(model.config, "decoder_vocab_size", None) or model.config.vocab_size


def ids_below(name: str, value: Any, size: int) -> list[int]:
    """One id, several or none as a list; ConfigError for one beyond a vocabulary of this size."""
    ids = [] if value is None else IDS.check(name, value)
    if ids and max(ids) >= size:
        raise ConfigError(f"{name}: got id {max(ids)}, the vocabulary has {size} ids")
    return ids


def start_token(model: Any, settings: Settings) -> int:
    """The id that targets of an encoder-decoder begin with.

    Raises
    ------
    ConfigError : neither options nor configuration say one
    """
    for name in ("decoder_start_token_id", "bos_token_id"):
        found = ids_below(name, _special(model, settings.options, name), model_vocab_size(model))
        if found:
            return found[0]
    raise ConfigError("decoder_start_token_id: got None, expected the id that targets begin with")


def first_token(model: Any, settings: Settings) -> int:
    """The id that a decoder starts from without a prompt."""
    found = ids_below(
        "bos_token_id", _special(model, settings.options, "bos_token_id"), model_vocab_size(model)
    )
    if not found:
        raise ConfigError("input_ids: got None, and there is no bos_token_id to start from")
    return found[0]


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


def _check_rows(settings: Settings) -> None:
    """Raise where options ask for other numbers of texts than there are."""
    beams, count = settings.num_beams, settings.num_return_sequences
    if count > 1 and beams == 1 and not settings.do_sample:
        raise ConfigError(
            f"num_return_sequences: got {count}, but greedy decoding gives one text a prompt; "
            "set do_sample=True or num_beams"
        )
    if beams > 1 and count > beams:
        raise ConfigError(f"num_return_sequences: got {count}, expected at most num_beams {beams}")


def _check_effects(settings: Settings) -> None:
    """Raise for an option of the caller that nothing reads."""
    options, beams = settings.options, settings.num_beams > 1
    needs = (
        (_SAMPLING, settings.do_sample, "do_sample=True; set that or leave it out"),
        (_BEAMS, beams, "num_beams above 1; set that or leave it out"),
        (_ENDS, settings.ends, "an eos_token_id that could end a row"),
        (_OUTPUTS, options.return_dict_in_generate, "return_dict_in_generate=True"),
        (
            ("renormalize_logits",),
            beams or options.output_scores,
            "num_beams above 1 or output_scores",
        ),
    )
    for name, why in ((n, why) for names, there, why in needs if not there for n in names):
        refuse(settings, name, f"without {why}")


def refuse(settings: Settings, name: str, why: str) -> None:
    """Raise if the caller gave this option, which has no effect for the reason given."""
    if name in settings.asked and getattr(settings.options, name) is not False:
        raise ConfigError(f"{name}: has no effect {why}")

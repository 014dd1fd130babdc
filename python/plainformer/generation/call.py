"""What a call of `generate` is given, checked, and made into the job of a search."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..options import SEED, check, option, options_of, that
from ..tensor import Array
from .build import build_criteria, build_processors, stop_strings
from .config import GenerationConfig
from .context import DecoderContext, TargetContext, check_past
from .decode import Job
from .processors import LogitsProcessor
from .prompts import Prompts, as_prompts
from .rules import CALLABLE, CALLABLES, having
from .sampling import fresh_seed
from .settings import (
    Settings,
    first_token,
    model_vocab_size,
    refuse,
    resolve,
    start_token,
    total_length,
)
from .stopping import StoppingCriterion
from .streamers import Streamer

_log = logging.getLogger("plainformer")

CONFIG = that(
    lambda value: isinstance(value, GenerationConfig),
    "a GenerationConfig; options of a dict go by name",
    alone=True,
)


@dataclass(frozen=True)
class Call:
    """What a call of `generate` takes beside ids and the options of `GenerationConfig`."""

    attention_mask: Any = option(
        None, "Like the ids, 0 where there is padding, which costs nothing and changes nothing. "
        "Without one, pad_token_id at both ends of a decoder's prompts is padding, unless it also "
        "is an end.",
    )  # fmt: skip
    decoder_input_ids: Any = option(
        None, "(B, M) or (M,), what targets of an encoder-decoder begin with, behind its start "
        "token, which may be left out.",
    )  # fmt: skip
    seed: int | None = option(
        None, "Of the draws, only with do_sample; None takes a fresh one, which `GenerateOutput` "
        "has and the log tells.", SEED,
    )  # fmt: skip
    generation_config: GenerationConfig | None = option(
        None, "Its options come before the model's own.", CONFIG
    )
    logits_processor: Iterable[LogitsProcessor] | None = option(
        None, "Callables (input_ids, logits) -> logits, see `processors.py`.", CALLABLES
    )
    stopping_criteria: Iterable[StoppingCriterion] | None = option(
        None, "Callables (input_ids, scores) -> bool or bools (rows,).", CALLABLES
    )
    prefix_allowed_tokens_fn: Callable[[int, Array], Sequence[int]] | None = option(
        None, "(prompt, ids) -> list of the ids that may follow, see `PrefixConstrained`.", CALLABLE
    )
    tokenizer: Any = option(None, "Object with decode(ids), for stop_strings.", having("decode"))
    past_key_values: Any = option(
        None, "`model.new_cache(B, capacity)` of a decoder, with the first tokens of each prompt "
        "in it or none. Only what stands behind them is read; that and what is written are added. "
        "All of it has to fit the capacity and the model.",
        having("batch", "capacity", "lengths", "reorder"),
    )  # fmt: skip
    streamer: Streamer | None = option(
        None, "Object with put and end, see `Streamer`.", having("put", "end")
    )

    def __post_init__(self) -> None:
        check(self)


def make_job(
    model: Any,
    input_ids: Any,
    max_new_tokens: int | None,
    *,
    shows_text: bool = False,
    **options: Any,
) -> Job:
    """Check the arguments of a call and prepare what a search needs."""
    call = Call(**{name: options.pop(name) for name in options_of(Call) if name in options})
    settings = resolve(model, call.generation_config, {"max_new_tokens": max_new_tokens, **options})
    _check_call(settings, call, shows_text)
    reads_sources = hasattr(model, "encode")
    if reads_sources:
        sources = _sources(settings, input_ids, call.attention_mask)
        prompts = _targets(model, settings, sources, call.decoder_input_ids)
    else:
        if call.decoder_input_ids is not None:
            raise ConfigError("decoder_input_ids: has no effect on a model without an encoder")
        prompts = sources = _prompts(model, settings, input_ids, call.attention_mask)
    total = _total(model, settings, prompts, reads_sources)
    count = settings.rows_per_prompt
    past = call.past_key_values
    if past is not None:
        check_past(past, model, settings, prompts, total)
    return Job(
        settings=settings,
        prompts=prompts,
        context=_context(model, settings, prompts, sources if reads_sources else None, total, past),
        processors=build_processors(
            settings,
            prompts.repeat(count),
            [source for source in sources.rows for _ in range(count)],
            total,
            model_vocab_size(model),
            call.prefix_allowed_tokens_fn,
            call.logits_processor,
        ),
        criteria=build_criteria(
            settings, prompts.ids.shape[1], call.tokenizer, call.stopping_criteria
        ),
        total=total,
        seed=_seed(settings, call.seed),
        streamer=call.streamer,
    )


def _seed(settings: Settings, seed: int | None) -> int | None:
    """The seed of a call's draws; None where nothing is drawn."""
    if not settings.do_sample or seed is not None:
        return seed
    seed = fresh_seed()
    _log.info("tokens are drawn with seed=%d", seed)
    return seed


def _check_call(settings: Settings, call: Call, shows_text: bool) -> None:
    if call.seed is not None and not settings.do_sample:
        raise ConfigError("seed: has no effect without do_sample=True; set that or leave it out")
    if call.tokenizer is not None and not shows_text and not stop_strings(settings):
        raise ConfigError("tokenizer: has no effect without stop_strings")
    if call.streamer is not None and settings.num_beams > 1:
        raise ConfigError("streamer: beam search cannot be streamed; leave it out")


def _prompts(model: Any, settings: Settings, input_ids: Any, attention_mask: Any) -> Prompts:
    """What a decoder continues."""
    refuse(settings, "decoder_start_token_id", "on a model without an encoder")
    if input_ids is None:
        input_ids = [first_token(model, settings)]
    else:
        refuse(settings, "bos_token_id", "beside input_ids")
    configured = settings.options.pad_token_id is not None or model.config.pad_token_id is not None
    infer = configured and settings.pad not in settings.ends
    return as_prompts(input_ids, attention_mask, settings.pad, infer_mask=infer)


def _sources(settings: Settings, input_ids: Any, attention_mask: Any) -> Prompts:
    """What an encoder reads."""
    if input_ids is None:
        raise ConfigError("input_ids: got None, expected the ids of source texts")
    return as_prompts(input_ids, attention_mask, settings.pad, infer_mask=False, in_place=True)


def _targets(model: Any, settings: Settings, sources: Prompts, given: Any) -> Prompts:
    """What the targets begin with: the start token, and `decoder_input_ids` (B, M)."""
    start = start_token(model, settings)
    if "decoder_start_token_id" in settings.asked:
        refuse(settings, "bos_token_id", "beside decoder_start_token_id")
    B = len(sources.ids)
    starts = np.full((B, 1), start, np.int64)
    if given is None:
        return Prompts(starts, np.zeros(B, np.int64), sources.single)
    found = as_prompts(given, None, settings.pad, infer_mask=False, name="decoder_input_ids")
    if found.starts.any() or len(found.ids) != B:
        raise ConfigError(
            f"decoder_input_ids: got {len(found.ids)} rows, expected {B} of one length"
        )
    if (found.ids[:, 0] != start).all():
        return replace(found, ids=np.concatenate([starts, found.ids], axis=1))
    return found


def _total(model: Any, settings: Settings, prompts: Prompts, reads_sources: bool) -> int:
    """Tokens of a row in the end; raises where a text must fit the model's positions."""
    limit = model.config.context_length
    must_fit = reads_sources or settings.num_beams > 1
    padding = int(prompts.starts.min())
    length = prompts.ids.shape[1]
    room = None if limit is None or not must_fit else limit + padding
    total = total_length(settings, length, room)
    if room is not None and total - 1 > room:
        name = "max_length" if settings.options.max_new_tokens is None else "max_new_tokens"
        why = "an encoder-decoder" if reads_sources else "num_beams above 1"
        raise ConfigError(
            f"{name}: a row would have {total - padding} tokens, but with {why} it must fit the "
            f"{limit} positions of the model; lower it, or shorten the prompt"
        )
    return total


def _context(
    model: Any, settings: Settings, prompts: Prompts, sources: Prompts | None, total: int, past: Any
) -> DecoderContext | TargetContext:
    use_cache = settings.options.use_cache is not False
    if sources is None:
        return DecoderContext(model, prompts.starts, total, use_cache, past)
    encoded = model.encode(sources.ids, sources.attention_mask)
    rows = len(prompts.ids) * settings.rows_per_prompt
    return TargetContext(model, encoded, rows, total, use_cache)

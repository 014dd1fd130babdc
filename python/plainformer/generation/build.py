"""From options to the processors and criteria of one call, in transformers' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import kernels
from ..errors import ConfigError
from ..tensor import Array
from . import processors
from .constraints import ForceWords, PrefixConstrained
from .prompts import Prompts
from .settings import Settings, ids_below
from .stopping import MaxTime, StoppingCriterion, StopStrings


def build_processors(
    settings: Settings,
    prompts: Prompts,
    sources: Sequence[Array],
    total: int,
    vocab_size: int,
    prefix_allowed_tokens_fn: Callable[[int, Array], Sequence[int]] | None,
    own: Iterable[processors.LogitsProcessor] | None,
) -> list[processors.LogitsProcessor]:
    """What changes the scores of each step, except for the filters of sampling.

    Parameters
    ----------
    prompts : what every row starts with, those of one prompt repeated
    sources : ids that each row's writing goes back to: its prompt, or its source text
    total : tokens of a row in the end
    own : the caller's, applied after ours
    """
    return [
        *_repetition(settings, prompts, sources, vocab_size),
        *_words_and_length(settings, prompts, total, vocab_size, prefix_allowed_tokens_fn),
        *_tokens(settings, prompts.ids.shape[1], total, vocab_size),
        *map(processors.OwnProcessor, own or ()),
    ]


def renormalize(logits: Array) -> Array:
    """Log-softmax: what comes last with `renormalize_logits`."""
    return kernels.log_softmax(logits)


def build_criteria(
    settings: Settings, prompt_length: int, tokenizer: Any, own: Iterable[StoppingCriterion] | None
) -> list[StoppingCriterion]:
    """What ends rows, besides end tokens and length."""
    options = settings.options
    criteria: list[StoppingCriterion] = []
    if options.max_time is not None:
        criteria.append(MaxTime(options.max_time))
    strings = stop_strings(settings)
    if strings:
        if tokenizer is None:
            raise ConfigError("tokenizer: got None, expected the model's to find stop_strings")
        criteria.append(StopStrings(tokenizer, strings, prompt_length))
    return [*criteria, *(own or ())]


def stop_strings(settings: Settings) -> list[str]:
    """The strings that end a row."""
    found = settings.options.stop_strings
    return [found] if isinstance(found, str) else list(found or ())


def _repetition(
    settings: Settings, prompts: Prompts, sources: Sequence[Array], vocab_size: int
) -> Iterable[processors.LogitsProcessor]:
    options = settings.options
    if options.sequence_bias:
        for ids, _ in options.sequence_bias:
            ids_below("sequence_bias", ids, vocab_size)
        yield processors.SequenceBias(options.sequence_bias)
    if options.encoder_repetition_penalty not in (None, 1):
        yield processors.EncoderRepetitionPenalty(options.encoder_repetition_penalty, sources)
    if options.repetition_penalty not in (None, 1):
        yield processors.RepetitionPenalty(options.repetition_penalty, prompts.starts)
    if options.no_repeat_ngram_size:
        yield processors.NoRepeatNGram(options.no_repeat_ngram_size, prompts.starts)
    if options.encoder_no_repeat_ngram_size:
        yield processors.EncoderNoRepeatNGram(options.encoder_no_repeat_ngram_size, sources)


def _words_and_length(
    settings: Settings,
    prompts: Prompts,
    total: int,
    vocab_size: int,
    allowed: Callable[[int, Array], Sequence[int]] | None,
) -> Iterable[processors.LogitsProcessor]:
    options, ends, length = settings.options, settings.ends, prompts.ids.shape[1]
    banned = [ids_below("bad_words_ids", ids, vocab_size) for ids in options.bad_words_ids or ()]
    if banned:
        yield processors.NoBadWords(banned, ends)
    if ends and options.min_new_tokens:
        yield processors.MinLength(length + options.min_new_tokens, ends)
    elif ends and options.min_length:
        yield processors.MinLength(options.min_length, ends)
    if allowed is not None:
        yield PrefixConstrained(allowed, settings.rows_per_prompt, prompts.starts)
    wanted = [
        ids_below("force_words_ids", ids, vocab_size) for ids in options.force_words_ids or ()
    ]
    if wanted:
        yield ForceWords(wanted, length, total, ends)


def _tokens(
    settings: Settings, length: int, total: int, vocab_size: int
) -> Iterable[processors.LogitsProcessor]:
    options = settings.options

    def ids(name: str) -> list[int]:
        return ids_below(name, getattr(options, name), vocab_size)

    for name, place in (("forced_bos_token_id", 1), ("forced_eos_token_id", total - 1)):
        if ids(name):
            yield processors.ForcedToken(place, ids(name))
    if options.exponential_decay_length_penalty is not None and settings.ends:
        start, factor = options.exponential_decay_length_penalty
        yield processors.ExponentialDecayLengthPenalty(length + start, factor, settings.ends)
    if ids("suppress_tokens"):
        yield processors.SuppressTokens(ids("suppress_tokens"))
    if ids("begin_suppress_tokens"):
        forced = length == 1 and options.forced_bos_token_id is not None
        yield processors.SuppressTokens(ids("begin_suppress_tokens"), length + forced)

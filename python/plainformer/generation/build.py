"""From options to the processors and criteria of one call, in transformers' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import kernels
from ..errors import ConfigError
from ..tensor import Array
from .constraints import ForceWords, PrefixConstrained
from .processors import (
    EncoderNoRepeatNGram,
    EncoderRepetitionPenalty,
    ExponentialDecayLengthPenalty,
    ForcedToken,
    LogitsProcessor,
    MinLength,
    NoBadWords,
    NoRepeatNGram,
    OwnProcessor,
    RepetitionPenalty,
    SequenceBias,
    SuppressTokens,
)
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
    own: Iterable[LogitsProcessor] | None,
) -> list[LogitsProcessor]:
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
        *_banned_words(settings, vocab_size),
        *_least_length(settings, prompts.ids.shape[1]),
        *_constraints(settings, prompts, total, vocab_size, prefix_allowed_tokens_fn),
        *_forced(settings, total, vocab_size),
        *_suppressed(settings, prompts.ids.shape[1], vocab_size),
        *map(OwnProcessor, own or ()),
    ]


def renormalize(logits: Array) -> Array:
    """Log-softmax: what comes last with `renormalize_logits`."""
    return kernels.log_softmax(logits)


def build_criteria(
    settings: Settings,
    prompt_length: int,
    tokenizer: Any,
    own: Iterable[StoppingCriterion] | None,
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
) -> Iterable[LogitsProcessor]:
    options = settings.options
    if options.sequence_bias:
        for ids, _ in options.sequence_bias:
            ids_below("sequence_bias", ids, vocab_size)
        yield SequenceBias(options.sequence_bias)
    if options.encoder_repetition_penalty not in (None, 1):
        yield EncoderRepetitionPenalty(options.encoder_repetition_penalty, sources)
    if options.repetition_penalty not in (None, 1):
        yield RepetitionPenalty(options.repetition_penalty, prompts.starts)
    if options.no_repeat_ngram_size:
        yield NoRepeatNGram(options.no_repeat_ngram_size, prompts.starts)
    if options.encoder_no_repeat_ngram_size:
        yield EncoderNoRepeatNGram(options.encoder_no_repeat_ngram_size, sources)


def _banned_words(settings: Settings, vocab_size: int) -> Iterable[LogitsProcessor]:
    words = _words("bad_words_ids", settings.options.bad_words_ids, vocab_size)
    if words:
        yield NoBadWords(words, settings.ends)


def _least_length(settings: Settings, prompt_length: int) -> Iterable[LogitsProcessor]:
    options = settings.options
    if not settings.ends:
        return
    if options.min_new_tokens:
        yield MinLength(prompt_length + options.min_new_tokens, settings.ends)
    elif options.min_length:
        yield MinLength(options.min_length, settings.ends)


def _constraints(
    settings: Settings,
    prompts: Prompts,
    total: int,
    vocab_size: int,
    allowed: Callable[[int, Array], Sequence[int]] | None,
) -> Iterable[LogitsProcessor]:
    if allowed is not None:
        yield PrefixConstrained(allowed, settings.rows_per_prompt, prompts.starts)
    words = _words("force_words_ids", settings.options.force_words_ids, vocab_size)
    if words:
        yield ForceWords(words, prompts.ids.shape[1], total, settings.ends)


def _forced(settings: Settings, total: int, vocab_size: int) -> Iterable[LogitsProcessor]:
    for name, length in (("forced_bos_token_id", 1), ("forced_eos_token_id", total - 1)):
        ids = ids_below(name, getattr(settings.options, name), vocab_size)
        if ids:
            yield ForcedToken(length, ids)


def _suppressed(
    settings: Settings, prompt_length: int, vocab_size: int
) -> Iterable[LogitsProcessor]:
    options = settings.options
    if options.exponential_decay_length_penalty is not None and settings.ends:
        start, factor = options.exponential_decay_length_penalty
        yield ExponentialDecayLengthPenalty(prompt_length + start, factor, settings.ends)
    ids = ids_below("suppress_tokens", options.suppress_tokens, vocab_size)
    if ids:
        yield SuppressTokens(ids)
    first = ids_below("begin_suppress_tokens", options.begin_suppress_tokens, vocab_size)
    if first:
        forced = prompt_length == 1 and options.forced_bos_token_id is not None
        yield SuppressTokens(first, prompt_length + forced)


def _words(name: str, words: list[list[int]] | None, vocab_size: int) -> list[list[int]]:
    return [ids_below(name, word, vocab_size) for word in words or ()]

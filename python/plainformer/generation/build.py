"""From options to the processors and criteria of one call, in transformers' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import kernels
from ..errors import ConfigError, shown
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
    RepetitionPenalty,
    SequenceBias,
    SuppressTokens,
)
from .prompts import Prompts
from .settings import Settings, as_ids
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
        *_repetition(settings, prompts, sources),
        *_banned_words(settings, vocab_size),
        *_least_length(settings, prompts.ids.shape[1]),
        *_constraints(settings, prompts, total, vocab_size, prefix_allowed_tokens_fn),
        *_forced(settings, total, vocab_size),
        *_suppressed(settings, prompts.ids.shape[1], vocab_size),
        *(own or ()),
    ]


def renormalize(input_ids: Array, logits: Array) -> Array:
    """Log-softmax: the last processor with `renormalize_logits`."""
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
    strings = [found] if isinstance(found, str) else list(found or ())
    if not all(isinstance(string, str) and string for string in strings):
        raise ConfigError(f"stop_strings: got {shown(found)}, expected strings of some length")
    return strings


def _repetition(
    settings: Settings, prompts: Prompts, sources: Sequence[Array]
) -> Iterable[LogitsProcessor]:
    options = settings.options
    if options.sequence_bias:
        yield SequenceBias(_biases(options.sequence_bias))
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
        ids = _ids(name, getattr(settings.options, name), vocab_size)
        if ids:
            yield ForcedToken(length, ids)


def _suppressed(
    settings: Settings, prompt_length: int, vocab_size: int
) -> Iterable[LogitsProcessor]:
    options = settings.options
    if options.exponential_decay_length_penalty is not None and settings.ends:
        start, factor = options.exponential_decay_length_penalty
        yield ExponentialDecayLengthPenalty(prompt_length + start, factor, settings.ends)
    ids = _ids("suppress_tokens", options.suppress_tokens, vocab_size)
    if ids:
        yield SuppressTokens(ids)
    first = _ids("begin_suppress_tokens", options.begin_suppress_tokens, vocab_size)
    if first:
        forced = prompt_length == 1 and bool(as_ids("", options.forced_bos_token_id))
        yield SuppressTokens(first, prompt_length + forced)


def _biases(value: Any) -> list[tuple[Sequence[int], float]]:
    pairs = value.items() if isinstance(value, dict) else value
    try:
        return [(as_ids("sequence_bias", ids), float(bias)) for ids, bias in pairs]
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"sequence_bias: got {shown(value)}, expected [[ids, float], ...]"
        ) from None


def _words(name: str, words: Any, vocab_size: int) -> list[list[int]]:
    if words is None:
        return []
    if not isinstance(words, (list, tuple)) or not all(
        isinstance(word, (list, tuple)) and word for word in words
    ):
        raise ConfigError(f"{name}: got {shown(words)}, expected a list of lists of ids")
    return [_ids(name, word, vocab_size) for word in words]


def _ids(name: str, value: Any, vocab_size: int) -> list[int]:
    ids = as_ids(name, value)
    if ids and max(ids) >= vocab_size:
        raise ConfigError(f"{name}: got id {max(ids)}, the vocabulary has {vocab_size} ids")
    return ids

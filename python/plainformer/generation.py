"""Decoding: continue token ids with a causal language model.

Greedy or sampled (temperature, top-k, top-p), with cached keys and values, seeded, streamed.
When the context is full, the older half of it is forgotten and the rest read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .errors import ConfigError, DTypeError, ShapeError
from .tensor import Array, no_grad


class Streamer(Protocol):
    """Gets the prompt (B, L), then each step's tokens (B,), then `end`; as in transformers."""

    def put(self, value: Array) -> None:
        """Take the prompt, or the tokens of one step."""

    def end(self) -> None:
        """Generation is over."""


class TextStreamer:
    """Writes the text of one row as its tokens come.

    Tokens may be parts of a character or of a word with its space, so the whole row is decoded
    each time and what is new is written; an unfinished character is held back.

    Parameters
    ----------
    tokenizer : object with `decode(ids)`, such as `tokenizers.Tokenizer`
    write : function that takes a string
    skip_prompt : bool, leave out the prompt
    """

    def __init__(self, tokenizer: Any, write: Callable[[str], object], skip_prompt: bool = False):
        self.tokenizer = tokenizer
        self.write = write
        self.skip_prompt = skip_prompt
        self._ids: list[int] = []
        self._written = 0

    def put(self, value: Array) -> None:
        """Write what this prompt or token adds to the text."""
        if len(value) != 1:
            raise ShapeError(f"input_ids: got {len(value)} rows, a TextStreamer shows one")
        is_prompt = not self._ids
        self._ids += value.reshape(-1).tolist()
        text = self.tokenizer.decode(self._ids)
        if is_prompt and self.skip_prompt:
            self._written = len(text)
        elif not text.endswith("\ufffd"):
            self._show(text)

    def end(self) -> None:
        """Write what was held back; the next `put` starts a new text."""
        self._show(self.tokenizer.decode(self._ids))
        self._ids, self._written = [], 0

    def _show(self, text: str) -> None:
        self.write(text[self._written :])
        self._written = len(text)


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: softmax(logits / temperature) over the tokens that remain.

    top_k keeps the k most probable, top_p then the fewest whose probabilities reach p.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(
                f"temperature: got {self.temperature}, expected more than 0; "
                "do_sample=False always takes the most probable token"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k: got {self.top_k}, expected at least 1, or None for all")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p: got {self.top_p}, expected more than 0 and at most 1")

    def draw(self, logits: Array, rng: np.random.Generator) -> Array:
        """One token for each row of float32 logits (B, V)."""
        # Most probable first; equal ones by id, so that a draw depends on the values alone.
        order = np.argsort(-logits, axis=-1, kind="stable")
        ranked = np.take_along_axis(logits, order, axis=-1).astype(np.float64)
        ranked = (ranked - ranked[:, :1]) / self.temperature
        weights = np.exp(ranked[:, : self.top_k])
        weights /= weights.sum(axis=-1, keepdims=True)
        before = np.cumsum(weights, axis=-1) - weights  # probability of all better tokens
        weights[(before >= self.top_p) & (before > 0)] = 0
        cumulative = np.cumsum(weights, axis=-1)
        threshold = rng.random((len(logits), 1)) * cumulative[:, -1:]
        rank = np.sum(cumulative <= threshold, axis=-1, keepdims=True)
        return np.take_along_axis(order, rank, axis=-1)[:, 0]


@no_grad()
def generate(
    model: Any,
    input_ids: Any,
    max_new_tokens: int = 20,
    *,
    do_sample: bool = False,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    eos_token_id: int | Iterable[int] | None = None,
    pad_token_id: int | None = None,
    use_cache: bool = True,
    streamer: Streamer | None = None,
) -> Array:
    """Continue each row of `input_ids` by at most `max_new_tokens` tokens.

    Parameters
    ----------
    model : causal language model; decodes in eval mode, and its mode is left as it was
    input_ids : ids (B, L), or one row (L,); rows of one length
    do_sample : draw tokens; otherwise the most probable one is taken
    temperature, top_k, top_p : see `Sampling`; only with do_sample
    seed : int, of the draws, 0 if None; only with do_sample
    eos_token_id : ends a row, one id or several; None means the configuration's, () none
    pad_token_id : fills rows that ended early; None means the configuration's, or the first end
    use_cache : keep keys and values instead of reading the context again for each token
    streamer : object with `put` and `end`

    Returns
    -------
    ids : int64 (B, L + n), prompts included; (L + n,) for one row

    Raises
    ------
    ConfigError, ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    prompt = check_prompt(input_ids)
    check_new_tokens(max_new_tokens)
    choose = chooser(do_sample, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    ends = end_tokens(model.config, eos_token_id)
    pad = padding_token(model.config, pad_token_id, ends)
    was_training = model.training
    model.eval()
    try:
        ids = _decode(model, prompt, max_new_tokens, choose, ends, pad, use_cache, streamer)
    finally:
        model.train(was_training)
    return ids if np.ndim(input_ids) == 2 else ids[0]


def _decode(
    model: Any,
    prompt: Array,
    max_new_tokens: int,
    choose: Callable[[Array], Array],
    ends: list[int],
    pad: int,
    use_cache: bool,
    streamer: Streamer | None,
) -> Array:
    """The loop behind `generate`."""
    B, L = prompt.shape
    ids = np.full((B, L + max_new_tokens), pad, np.int64)
    ids[:, :L] = prompt
    running = np.ones(B, bool)
    context = Context(model, L + max_new_tokens, use_cache)
    if streamer is not None:
        streamer.put(prompt)
    length = L
    while length < L + max_new_tokens and running.any():
        tokens = choose(context.next_logits(ids[:, :length]))
        ids[:, length] = np.where(running, tokens, pad)
        running &= ~np.isin(ids[:, length], ends)
        if streamer is not None:
            streamer.put(ids[:, length])
        length += 1
    if streamer is not None:
        streamer.end()
    return ids[:, :length]


class Context:
    """The window of tokens that a model sees, cached or not; both see the same one."""

    def __init__(self, model: Any, total_length: int, use_cache: bool):
        self.model = model
        self.limit = model.config.context_length or total_length
        self.start = 0
        self.capacity = min(total_length, self.limit)
        self.use_cache = use_cache
        self.cache: Any = None

    def next_logits(self, ids: Array) -> Array:
        """Float32 logits (B, V) of the token after `ids` (B, L)."""
        length = ids.shape[1]
        if length - self.start > self.limit:
            self.start = length - max(1, self.limit // 2)
            self.cache = None
        if not self.use_cache:
            logits = self.model(ids[:, self.start :], logits_to_keep=1).logits
            return np.asarray(logits.data[:, -1], dtype=np.float32)
        if self.cache is None:
            self.cache = self.model.new_cache(len(ids), self.capacity)
        return self.model.next_logits(ids[:, self.start + int(self.cache.lengths[0]) :], self.cache)


def chooser(do_sample: bool, *, seed: int | None, **options: Any) -> Callable[[Array], Array]:
    """The function from logits (B, V) to tokens (B,) that these options ask for."""
    given = {name: value for name, value in options.items() if value is not None}
    if do_sample:
        sampling = Sampling(**given)
        rng = np.random.Generator(np.random.Philox(key=[seed or 0, 3]))
        return lambda logits: sampling.draw(logits, rng)
    for name in [*given, *(["seed"] if seed is not None else [])]:
        raise ConfigError(f"{name}: has no effect without do_sample=True; set that or leave it out")
    return lambda logits: np.argmax(logits, axis=-1)


def check_prompt(input_ids: Any) -> Array:
    """Prompts as int64 (B, L) with at least one token a row."""
    try:
        ids = np.asarray(input_ids)
    except ValueError:
        raise ShapeError(
            "input_ids: got rows of several lengths, expected one; generate them one by one"
        ) from None
    if ids.size == 0:
        raise ShapeError(f"input_ids: got shape {ids.shape}, expected at least one token a row")
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"input_ids: got dtype {ids.dtype}, expected integers")
    if ids.ndim not in (1, 2):
        raise ShapeError(f"input_ids: got shape {ids.shape}, expected (batch, tokens) or (tokens,)")
    return np.atleast_2d(ids).astype(np.int64)


def check_new_tokens(count: int) -> None:
    """Raise unless at least one token is asked for."""
    if count < 1:
        raise ConfigError(f"max_new_tokens: got {count}, expected at least 1")


def end_tokens(config: Any, eos_token_id: int | Iterable[int] | None) -> list[int]:
    """The ids that end a row."""
    ends = config.eos_token_id if eos_token_id is None else eos_token_id
    if ends is None:
        return []
    return [int(ends)] if isinstance(ends, (int, np.integer)) else list(ends)


def padding_token(config: Any, pad_token_id: int | None, ends: list[int]) -> int:
    """What fills rows that ended before others."""
    for pad in (pad_token_id, config.pad_token_id, *ends):
        if pad is not None:
            return pad
    return 0  # never shown: without ends no row ends early

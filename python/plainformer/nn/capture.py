"""Looking inside a model: hidden states and attention weights of one call.

Models and `Attention` report what they compute; the reports are dropped unless a call asked for
them with `output_hidden_states` or `output_attentions`, which `PreTrainedModel` turns into a
`capture`. Each thread has its own.

    with capture(hidden_states=True) as seen:
        model.forward(ids)
    seen.hidden_states["self"]          # a list of Tensors (B, L, C)
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np

from .. import functional
from ..errors import ConfigError
from ..tensor import Array, Tensor
from .sequences import Sequences


class Capture:
    """What was reported, by part of the model ("self", "encoder", "cross"), in order.

    hidden_states : Tensors (B, L, C), on the tape if the call was
    attentions : Tensors (B, H, Lq, Lk), weights before dropout, off the tape
    """

    def __init__(self, hidden_states: bool, attentions: bool):
        self.wants_hidden_states, self.wants_attentions = hidden_states, attentions
        self.hidden_states: dict[str, list[Tensor]] = {}
        self.attentions: dict[str, list[Tensor]] = {}
        self.part = "self"


class _State(threading.local):
    current: Capture | None = None


_state = _State()


@contextlib.contextmanager
def capture(hidden_states: bool = False, attentions: bool = False) -> Iterator[Capture]:
    """Collect what is reported inside, in this thread."""
    before, _state.current = _state.current, Capture(hidden_states, attentions)
    try:
        yield _state.current
    finally:
        _state.current = before


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """Reports inside belong to this part of the model: "encoder" of an encoder-decoder."""
    current = _state.current
    if current is None:
        yield
        return
    before, current.part = current.part, name
    try:
        yield
    finally:
        current.part = before


def report_state(rows: Sequences, x: Tensor, residual: Tensor | None = None) -> None:
    """A model's hidden states (N, C): the embeddings, then each layer's output.

    With `residual` they are the sum of both.
    """
    current = _state.current
    if current is None or not current.wants_hidden_states:
        return
    if residual is not None:
        x = functional.add(x, residual)
    current.hidden_states.setdefault(current.part, []).append(rows.batch_of(x))


def report_attention(
    rows: Sequences, keys: Sequences | None, weights: Callable[[], list[Array]]
) -> None:
    """Attention weights of one layer: `weights` makes them, (H, Lq, Lk) for each sequence.

    keys : the sequences of keys if they are others, whose weights then belong to part "cross"
    """
    current = _state.current
    if current is None or not current.wants_attentions:
        return
    found = Tensor(_in_batch(weights(), rows, keys or rows))
    current.attentions.setdefault("cross" if keys else current.part, []).append(found)


def refuse_cache() -> None:
    """Raise where weights are asked for that a call with a cache does not compute."""
    if _state.current is not None and _state.current.wants_attentions:
        raise ConfigError("output_attentions: not available with a cache; call without one")


def _in_batch(weights: list[Array], rows: Sequences, keys: Sequences) -> Array:
    """Weights of each sequence where its tokens stand in the batch: (B, H, Lq, Lk), else 0."""
    places, key_places = rows.places(), keys.places()
    B, Lq = rows.shape
    Lk = keys.shape[1]
    heads, dtype = (weights[0].shape[0], weights[0].dtype) if weights else (0, np.float32)
    y = np.zeros((B, heads, Lq, Lk), dtype)
    for s, own in enumerate(weights):
        q = places[rows.cu_seqlens[s] : rows.cu_seqlens[s + 1]]
        k = key_places[keys.cu_seqlens[s] : keys.cu_seqlens[s + 1]]
        if len(q):
            y[q[0] // Lq][:, (q % Lq)[:, None], (k % Lk)[None, :]] = own
    return y

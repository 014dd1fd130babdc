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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import functional, kernels
from ..errors import ConfigError
from ..modes import Block, Mode
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


_capture: Mode[Capture | None] = Mode("capture", None)


def capture(hidden_states: bool = False, attentions: bool = False) -> Block[Any]:
    """A block that collects what is reported inside it, in this thread, in a `Capture`."""
    return _capture.set(Capture(hidden_states, attentions))


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """Reports inside belong to this part of the model: "encoder" of an encoder-decoder."""
    current = _capture.get()
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
    current = _capture.get()
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
    current = _capture.get()
    if current is None or not current.wants_attentions:
        return
    found = Tensor(_in_batch(weights(), rows, keys or rows))
    current.attentions.setdefault("cross" if keys else current.part, []).append(found)


def refuse_cache() -> None:
    """Raise where weights are asked for that a call with a cache does not compute."""
    current = _capture.get()
    if current is not None and current.wants_attentions:
        raise ConfigError("output_attentions: not available with a cache; call without one")


def _in_batch(weights: list[Array], rows: Sequences, keys: Sequences) -> Array:
    """Weights of each sequence where its tokens stand in the batch: (B, H, Lq, Lk), else 0."""
    places, key_places = rows.places(), keys.places()
    B, Lq = rows.shape
    Lk = keys.shape[1]
    like = weights[0] if weights else kernels.array_of([]).reshape(0, 0, 0).astype(np.float32)
    y = kernels.xp(like).zeros((B, len(like), Lq, Lk), like.dtype)
    places, key_places = kernels.asarray(places, y), kernels.asarray(key_places, y)
    for s, own in enumerate(weights):
        q = places[rows.cu_seqlens[s] : rows.cu_seqlens[s + 1]]
        k = key_places[keys.cu_seqlens[s] : keys.cu_seqlens[s + 1]]
        if len(q):
            y[int(q[0]) // Lq][:, (q % Lq)[:, None], (k % Lk)[None, :]] = own
    return y

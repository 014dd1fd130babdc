"""Where dropout gets its randomness: a seed, and one offset a use.

Kernels hold no random state; they derive a mask from (seed, offset, position). A training loop
wraps each micro step in `dropout_state(seed, offset)`, so that its masks follow from the step alone
and a resumed run, or a recomputed block, draws the same ones.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from .. import functional
from ..errors import ConfigError, shown
from ..tensor import Tensor
from .module import Module


class _State(threading.local):
    """Seed and next offset of this thread. Outside `dropout_state` it starts at (0, 0)."""

    seed = 0
    offset = 0


_state = _State()


def current() -> tuple[int, int]:
    """The seed, and the offset that the next use will take."""
    return _state.seed, _state.offset


def take() -> tuple[int, int]:
    """Seed and offset for one use of dropout; the next use gets the next offset."""
    seed, offset = _state.seed, _state.offset
    _state.offset = offset + 1
    return seed, offset


@contextlib.contextmanager
def dropout_state(seed: int, offset: int = 0) -> Iterator[None]:
    """Draw masks from (seed, offset), (seed, offset + 1), ... inside; then go on as before."""
    before = current()
    _state.seed, _state.offset = seed, offset
    try:
        yield
    finally:
        _state.seed, _state.offset = before


class Dropout(Module):
    """Zero elements with probability p in training; in eval mode the identity."""

    def __init__(self, p: float):
        self.set_probability(p)

    def set_probability(self, p: float) -> None:
        """Zero this share of elements from now on."""
        if not 0 <= p < 1:
            raise ConfigError(f"p: got {shown(p)}, expected a number of at least 0 and below 1")
        self.p = float(p)

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape; takes one offset of the dropout state."""
        if not self.training or self.p == 0:
            return x
        return functional.dropout(x, self.p, *take())

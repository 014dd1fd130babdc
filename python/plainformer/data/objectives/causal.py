"""Causal language modelling: predict each token from those before it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .._random import Draws
from ..baselines import Labels, causal_labels
from ..batches import Example


class CausalLanguageModeling:
    """`{"input_ids": (T,), "shift_labels": (T,)}` of a text of T + 1 tokens.

    Labels are already aligned with the inputs, so that the last one counts too.
    """

    ahead = 1

    def text_size(self, block_size: int) -> int:
        """An example has room for `block_size` inputs."""
        return block_size

    def __call__(self, text: np.ndarray, draws: Draws) -> Example:
        """The example of `text`; nothing is drawn."""
        return {"input_ids": text[:-1], "shift_labels": text[1:]}

    def labels(self, examples: Iterable[Example]) -> Labels:
        """The labels of examples, after their inputs."""
        return causal_labels(examples)

    def counted(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        """What baselines count of a training text: itself."""
        return text

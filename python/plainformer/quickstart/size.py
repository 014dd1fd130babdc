"""How much `quickstart` trains: the most that this machine does in about a minute and a half."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..models.registry import from_config

VOCABULARY = 4096
BLOCK_SIZE = 128
BATCH_SIZE = 4
SECONDS = 100.0  # what a size may take
UPDATES = 7  # timed ones, after one that warms up
# What an update takes over its forward and backward pass (optimizer, batches, logs), and what all
# else takes (text, tokenizer, evaluations, fine-tuning) in updates: docs/notes/quickstart.md.
OVERHEAD, OTHER_UPDATES = 1.05, 450


@dataclass(frozen=True)
class Size:
    """A model's width and how many updates it is trained for. The smaller ones were tried, too."""

    name: str
    width: int
    steps: int

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of a GPT-2 without its vocabulary."""
        return {
            "model_type": "gpt2",
            "n_layer": 2,
            "n_head": 4,
            "n_embd": self.width,
            "n_positions": BLOCK_SIZE,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }


SIZES = {
    size.name: size
    for size in (Size("large", 128, 4400), Size("medium", 64, 4400), Size("small", 64, 2200))
}


@dataclass(frozen=True)
class Choice:
    """A size, and the seconds that it will take; None if nothing was measured."""

    size: Size
    seconds: float | None = None


def choose(name: str | None, max_seconds: float | None) -> Choice:
    """The size of that name, or the largest that this machine does in time; else the smallest.

    max_seconds : of all, where less than SECONDS
    """
    if name is not None:
        return Choice(SIZES[name])
    limit = min(SECONDS, max_seconds or SECONDS)
    measured = {width: update_seconds(width) for width in {s.width for s in SIZES.values()}}
    seconds = [estimate(size, measured[size.width]) for size in SIZES.values()]
    choices = [Choice(*pair) for pair in zip(SIZES.values(), seconds)]
    return next((c for c, needed in zip(choices, seconds) if needed <= limit), choices[-1])


def estimate(size: Size, update: float) -> float:
    """Seconds of all of `quickstart`, where a forward and backward pass takes `update`."""
    return OVERHEAD * update * (size.steps + OTHER_UPDATES)


def update_seconds(width: int) -> float:
    """Seconds of a forward and backward pass on this machine as it is now, the middle of some."""
    model = from_config({**Size("", width, 0).config, "vocab_size": VOCABULARY}, seed=0).train()
    ids = np.arange(BATCH_SIZE * BLOCK_SIZE, dtype=np.int32).reshape(BATCH_SIZE, BLOCK_SIZE)
    seconds = []
    for _ in range(1 + UPDATES):
        start = time.perf_counter()
        model(input_ids=ids % VOCABULARY, shift_labels=ids % VOCABULARY).loss.backward()
        model.zero_grad()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])

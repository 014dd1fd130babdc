"""What both sides of train_gpt.py share: sizes, schedule, and how a step is timed. NumPy only."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from plainformer.bench.timing import wait_until_idle

# nanoGPT's configuration for CPUs, one that is 14 times as large, and GPT-2 124M at short and at
# long context.
_GPT2 = {"n_layer": 12, "n_head": 12, "n_embd": 768, "vocab_size": 50257}
CONFIGS = {
    "nano": {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "batch_size": 12},
    "small": {"n_layer": 6, "n_head": 6, "n_embd": 384, "block_size": 256, "batch_size": 16},
    "gpt2-B4-T64": {**_GPT2, "block_size": 64, "batch_size": 4},
    "gpt2-B1-T1024": {**_GPT2, "block_size": 1024, "batch_size": 1},
}
# Our time over PyTorch's best, at avx2; check_floors.py has those of other levels.
GOALS = {"nano": 0.65, "small": 0.75, "gpt2-B4-T64": 0.75, "gpt2-B1-T1024": 0.75}
LEARNING_RATE, MIN_LR, WARMUP, STEPS = 1e-3, 1e-4, 100, 2000
BETAS, EPS, WEIGHT_DECAY, MAX_NORM = (0.9, 0.99), 1e-8, 0.1, 1.0


def learning_rate(step: int) -> float:
    """Linear warmup, then a cosine from LEARNING_RATE to MIN_LR at STEPS; step counts from 0."""
    if step < WARMUP:
        return LEARNING_RATE * step / WARMUP
    progress = min(1.0, (step - WARMUP) / (STEPS - WARMUP))
    return MIN_LR + 0.5 * (LEARNING_RATE - MIN_LR) * (1 + math.cos(math.pi * progress))


def timed_steps(
    update: Callable[[Any, Any, int], float], blocks: str, first: int
) -> dict[str, Any]:
    """Do one update for each batch in the npy file `blocks` (steps, B, T + 1).

    `update(inputs, labels, step)` returns the loss. Answers when the process is idle again.
    """
    seconds, losses = [], []
    for step, batch in enumerate(np.load(blocks), start=first):
        inputs, labels = np.ascontiguousarray(batch[:, :-1]), np.ascontiguousarray(batch[:, 1:])
        start = time.perf_counter()
        losses.append(update(inputs, labels, step))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "losses": losses, "idle": wait_until_idle()}


def peak_bytes() -> dict[str, int]:
    """The most memory that this process has had at once."""
    return {"bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def mean_loss(
    summed_loss: Callable[[Any, Any], float], tokens: str, block_size: int
) -> dict[str, float]:
    """Mean loss over consecutive windows: every token but the first predicted once, last short."""
    ids = np.load(tokens)
    total = 0.0
    whole = (len(ids) - 1) // block_size * block_size
    inputs, labels = ids[:whole].reshape(-1, block_size), ids[1 : whole + 1].reshape(-1, block_size)
    for i in range(0, len(inputs), 64):
        total += summed_loss(inputs[i : i + 64], labels[i : i + 64])
    if whole < len(ids) - 1:
        total += summed_loss(ids[None, whole:-1], ids[None, whole + 1 :])
    return {"loss": total / (len(ids) - 1)}

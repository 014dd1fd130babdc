"""What the sides of decode_gpt.py share."""

from __future__ import annotations

from typing import Any

import numpy as np

PROMPT, VOCAB = 32, 50257


def prompt() -> Any:
    """(PROMPT,) random ids."""
    return np.random.default_rng(0).integers(0, 50000, PROMPT)

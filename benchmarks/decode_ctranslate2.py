"""CTranslate2's side of decode_gpt.py: its generator in float32 or int8."""

from __future__ import annotations

import itertools
import time
from typing import Any

import ctranslate2
from ctranslate2_side import THREADS, convert, describe, level_of_products, set_threads
from decode_recipe import prompt

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A generator."""

    def load(self, path: str, dtype: str) -> Any:
        """Convert the directory and read what comes of it."""
        folder = convert(path)
        self.model = ctranslate2.Generator(folder, device="cpu", compute_type=dtype, **THREADS)
        used = describe()["instructions"] | level_of_products("Generator", folder)
        return {"instructions": used}

    def tokens(self, count: int) -> Any:
        """The first greedy tokens after the prompt, and the seconds of each after the first."""
        times, found = [], []

        def step(result: Any) -> bool:
            times.append(time.perf_counter())
            found.append(result.token_id)
            return False

        words = [f"t{i}" for i in prompt()]
        options = {"max_length": count, "min_length": count, "include_prompt_in_result": False}
        self.model.generate_batch([words], callback=step, **options)
        return {"seconds": [b - a for a, b in itertools.pairwise(times)], "ids": found}


_side = Side()
HANDLERS = {"load": _side.load, "tokens": _side.tokens}

"""CTranslate2's side of translate.py, in float32 or int8."""

from __future__ import annotations

import time
from typing import Any

import ctranslate2
from ctranslate2_side import THREADS, convert, describe, level_of_products, set_threads
from translate_recipe import WRITTEN, sources

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A translator."""

    def load(self, path: str, dtype: str) -> Any:
        """Convert the directory and read what comes of it."""
        folder = convert(path)
        self.model = ctranslate2.Translator(folder, device="cpu", compute_type=dtype, **THREADS)
        used = describe()["instructions"] | level_of_products("Translator", folder)
        return {"instructions": used}

    def translate(self, beams: int) -> Any:
        """Ids that are written, and the seconds of it all."""
        words = [[f"t{i}" for i in row] for row in sources()]
        options = {"max_decoding_length": WRITTEN, "min_decoding_length": WRITTEN}
        start = time.perf_counter()
        results = self.model.translate_batch(words, beam_size=beams, **options)
        seconds = time.perf_counter() - start
        ids = [[int(word[1:]) for word in one.hypotheses[0]] for one in results]
        return {"seconds": seconds, "ids": ids}


_side = Side()
HANDLERS = {"load": _side.load, "translate": _side.translate}

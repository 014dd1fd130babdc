"""Our side of translate.py."""

from __future__ import annotations

import time
from typing import Any

from our_side import describe, set_threads
from translate_recipe import CONFIG, WRITTEN, padded, sources

from plainformer.models import from_config, load

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A model."""

    def create(self, path: str) -> Any:
        """Write a BART of random weights."""
        from_config(CONFIG, task="seq2seq-lm").save_pretrained(path)
        return {}

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory; int8 is made of the float weights."""
        options = {"quantize": "int8"} if dtype == "int8" else {"dtype": dtype}
        self.model = load(path, **options)
        return {}

    def translate(self, beams: int) -> Any:
        """Ids that are written, and the seconds of it all."""
        ids, mask = padded(sources())
        start = time.perf_counter()
        written = self.model.generate(
            ids, attention_mask=mask, max_new_tokens=WRITTEN, min_new_tokens=WRITTEN,
            num_beams=beams, do_sample=False,
        )  # fmt: skip
        return {"seconds": time.perf_counter() - start, "ids": written[:, 1:].tolist()}


_side = Side()
HANDLERS = {"create": _side.create, "load": _side.load, "translate": _side.translate}

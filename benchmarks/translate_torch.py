"""PyTorch's side of translate.py: transformers' BART."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch_side import describe, set_threads
from transformers_side import transformers
from translate_recipe import WRITTEN, padded, sources

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A model."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.model = transformers.BartForConditionalGeneration.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        ).eval()
        return {}

    def translate(self, beams: int) -> Any:
        """Ids that are written, and the seconds of it all."""
        ids, mask = (torch.from_numpy(array) for array in padded(sources()))
        start = time.perf_counter()
        with torch.inference_mode():
            written = self.model.generate(
                ids, attention_mask=mask, max_new_tokens=WRITTEN, min_new_tokens=WRITTEN,
                num_beams=beams, do_sample=False,
            )  # fmt: skip
        return {"seconds": time.perf_counter() - start, "ids": written[:, 1:].tolist()}


_side = Side()
HANDLERS = {"load": _side.load, "translate": _side.translate}

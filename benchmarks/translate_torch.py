"""PyTorch's side of translate.py: transformers' BART."""

from __future__ import annotations

import os
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from torch_side import describe, set_threads
from translate_recipe import WRITTEN, padded, sources

__all__ = ["HANDLERS", "describe", "set_threads"]
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


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

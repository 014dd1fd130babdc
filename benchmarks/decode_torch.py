"""PyTorch's side of decode_gpt.py: transformers' GPT-2, token by token with its cache."""

from __future__ import annotations

import time
from typing import Any

import torch
from decode_recipe import prompt
from torch_side import describe, set_threads
from transformers_side import transformers

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A model."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.model = transformers.GPT2LMHeadModel.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        ).eval()
        return {}

    def tokens(self, count: int) -> Any:
        """The first greedy tokens after the prompt, and the seconds of each after the first."""
        found, seconds = [], []
        with torch.inference_mode():
            out = self.model(torch.from_numpy(prompt())[None], use_cache=True)
            token = out.logits[:, -1:].argmax(-1)
            found.append(int(token))
            for _ in range(count - 1):
                start = time.perf_counter()
                out = self.model(token, past_key_values=out.past_key_values, use_cache=True)
                token = out.logits[:, -1:].argmax(-1)
                seconds.append(time.perf_counter() - start)
                found.append(int(token))
        return {"seconds": seconds, "ids": found}


_side = Side()
HANDLERS = {"load": _side.load, "tokens": _side.tokens}

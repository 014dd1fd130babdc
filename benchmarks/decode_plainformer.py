"""Our side of decode_gpt.py."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from decode_recipe import PROMPT, VOCAB, prompt
from our_side import describe, set_threads

from plainformer import _cpu
from plainformer.models import GPT2Config, GPT2LMHeadModel, load

__all__ = ["HANDLERS", "describe", "set_threads"]


def bytes_per_token(model: Any) -> int:
    """Bytes of the matrices that multiply each token; positions are looked up."""
    looked_up = "transformer.wpe.weight"
    return sum(p.data.nbytes for name, p in model.named_parameters() if name != looked_up)


def read_model(path: str, dtype: str) -> Any:
    """The model of a directory in `dtype`; int8 is made of the float weights."""
    return load(path, quantize="int8") if dtype == "int8" else load(path, dtype=dtype)


class Side:
    """A model."""

    def create(self, path: str) -> Any:
        """Write a GPT-2 124M of random weights."""
        GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB), seed=0).save_pretrained(path)
        return {}

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory; answers the bytes that a token reads, before weights are packed."""
        self.path, self.dtype = path, dtype
        self.model = read_model(path, dtype)
        return {"bytes": bytes_per_token(self.model)}

    def tokens(self, count: int) -> Any:
        """The first greedy tokens after the prompt, and the seconds of each after the first."""
        cache = self.model.new_cache(1, PROMPT + count)
        token = self.model.next_logits(prompt()[None], cache).argmax(axis=-1)[:, None]
        found, seconds = [int(token[0, 0])], []
        for _ in range(count - 1):
            start = time.perf_counter()
            token = self.model.next_logits(token, cache).argmax(axis=-1)[:, None]
            seconds.append(time.perf_counter() - start)
            found.append(int(token[0, 0]))
        return {"seconds": seconds, "ids": found}

    def bandwidth(self) -> Any:
        """Bytes a second that all threads read from memory."""
        return {"rate": 1e9 * _cpu.measure_bandwidth("read", 300.0)}

    def first_token(self) -> Any:
        """Seconds from opening the directory, in the page cache, to the first token."""
        start = time.perf_counter()
        model = read_model(self.path, self.dtype)
        model.next_logits(np.zeros((1, PROMPT), np.int64), model.new_cache(1, PROMPT))
        return {"seconds": time.perf_counter() - start}


_side = Side()
HANDLERS = {
    "create": _side.create,
    "load": _side.load,
    "tokens": _side.tokens,
    "bandwidth": _side.bandwidth,
    "first_token": _side.first_token,
}

"""PyTorch's side of embeddings.py: sentence-transformers."""

from __future__ import annotations

import time
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch_side import describe, set_threads

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A directory as what makes vectors."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.model = SentenceTransformer(path, device="cpu").to(getattr(torch, dtype))
        return {}

    def vectors(self, texts: list[str]) -> Any:
        """The vector of each text."""
        return {"vectors": self.model.encode(texts).tolist()}

    def time(self, texts: list[str], batch_size: int) -> Any:
        """Seconds from texts to an array."""
        start = time.perf_counter()
        self.model.encode(texts, batch_size=batch_size)
        return {"seconds": time.perf_counter() - start}


_side = Side()
HANDLERS = {"load": _side.load, "vectors": _side.vectors, "time": _side.time}

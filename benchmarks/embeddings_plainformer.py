"""Our side of embeddings.py."""

from __future__ import annotations

import time
from typing import Any

from our_side import describe, set_threads

import plainformer as pf

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A directory as what makes vectors."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.task: Any = pf.pipeline("feature-extraction", path, dtype=dtype).task
        return {}

    def vectors(self, texts: list[str]) -> Any:
        """The vector of each text."""
        return {"vectors": self.task.vectors(texts).tolist()}

    def time(self, texts: list[str], batch_size: int) -> Any:
        """Seconds from texts to an array."""
        start = time.perf_counter()
        self.task.vectors(texts, batch_size)
        return {"seconds": time.perf_counter() - start}


_side = Side()
HANDLERS = {"load": _side.load, "vectors": _side.vectors, "time": _side.time}

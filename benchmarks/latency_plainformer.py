"""Our side of latency.py."""

from __future__ import annotations

from typing import Any

import encoder_side as side
from our_side import describe, set_threads

import plainformer as pf

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A pipeline."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.classify = pf.pipeline("text-classification", path, dtype=dtype)
        return {}

    def answers(self, texts: list[str], way: str) -> Any:
        """Label and score of each text."""
        return {"answers": [[a["label"], a["score"]] for a in self.classify(texts)]}

    def times(self, texts: list[str], way: str) -> Any:
        """Seconds of each call."""
        return {"seconds": side.each_timed(self.classify, texts)}


_side = Side()
HANDLERS = {"load": _side.load, "answers": _side.answers, "times": _side.times}

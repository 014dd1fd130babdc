"""Our side of latency.py."""

from __future__ import annotations

from typing import Any

import encoder_side as side

import plainformer as pf
from plainformer import _cpu, runtime


def describe() -> dict[str, Any]:
    """Level and threads."""
    return {"level": _cpu.current_level(), "threads": runtime.get_num_threads()}


def set_threads(threads: int) -> None:
    """The size of our pool."""
    runtime.set_num_threads(threads)


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

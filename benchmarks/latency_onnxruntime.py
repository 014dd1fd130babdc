"""onnxruntime's side of latency.py: the exported classifier."""

from __future__ import annotations

from typing import Any

from latency_side import ByHand
from onnxruntime_side import describe, feeds, session, set_threads

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side(ByHand):
    """A session."""

    def read(self, path: str, dtype: str) -> dict[str, Any]:
        """Export the directory."""
        self.session = session(path, dtype)
        return {}

    def logits(self, ids: list[int]) -> Any:
        """Of one text."""
        return self.session.run(["logits"], feeds([ids], [[1] * len(ids)]))[0][0]


HANDLERS = Side().handlers()

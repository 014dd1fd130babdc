"""onnxruntime's side of encoder.py: BERT, exported and fused by export_onnx.py."""

from __future__ import annotations

from typing import Any

import encoder_side as side
from onnxruntime_side import describe, feeds, session, set_threads

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A session."""

    def load(self, path: str, dtype: str) -> Any:
        """Export the directory and read what comes of it."""
        self.session = session(path, dtype)
        return {}

    def output(self, batch: dict[str, Any]) -> Any:
        """Mean-pooled sentence vectors."""
        return {"output": side.mean_pooled(self._call(batch)()[0], batch).tolist()}

    def time(self, batch: dict[str, Any], trains: bool, seconds: float) -> Any:
        """Median seconds of a forward pass; answers when its threads are at rest."""
        answer = side.timed(self._call(batch), seconds)
        return answer | {"idle": side.wait_until_idle()}

    def _call(self, batch: dict[str, Any]) -> Any:
        inputs = feeds(batch["input_ids"], batch["attention_mask"])
        return lambda: self.session.run(["states"], inputs)


_side = Side()
HANDLERS = {"load": _side.load, "output": _side.output, "time": _side.time}

"""CTranslate2's side of encoder.py: BERT in float32 or, quantized when it is loaded, int8."""

from __future__ import annotations

from typing import Any

import ctranslate2
import encoder_side as side
import numpy as np
from ctranslate2_side import THREADS, convert, describe, level_of_products, set_threads

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """An encoder."""

    def load(self, path: str, dtype: str) -> Any:
        """Convert the directory and read what comes of it."""
        folder = convert(path)
        self.model = ctranslate2.Encoder(folder, device="cpu", compute_type=dtype, **THREADS)
        used = describe()["instructions"] | level_of_products("Encoder", folder)
        return {"instructions": used}

    def output(self, batch: dict[str, Any]) -> Any:
        """Mean-pooled sentence vectors."""
        states = np.array(self._call(batch)())
        return {"output": side.mean_pooled(states, batch).tolist()}

    def time(self, batch: dict[str, Any], trains: bool, seconds: float) -> Any:
        """Median seconds of a forward pass."""
        return side.timed(self._call(batch), seconds)

    def _call(self, batch: dict[str, Any]) -> Any:
        ids = np.array(batch["input_ids"], np.int32)
        lengths = np.array(batch["attention_mask"], np.int32).sum(1, dtype=np.int32)
        views = [ctranslate2.StorageView.from_array(array) for array in (ids, lengths)]
        return lambda: self.model.forward_batch(*views).last_hidden_state


_side = Side()
HANDLERS = {"load": _side.load, "output": _side.output, "time": _side.time}

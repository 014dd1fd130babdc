"""CTranslate2's side of latency.py: its encoder, and the classifier's head in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2_side import THREADS, convert, describe, level_of_products, set_threads
from latency_side import ByHand
from safetensors.numpy import load_file

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side(ByHand):
    """An encoder and a head."""

    def read(self, path: str, dtype: str) -> dict[str, Any]:
        """Convert the directory; the head stays float32."""
        folder = convert(path)
        self.model = ctranslate2.Encoder(folder, device="cpu", compute_type=dtype, **THREADS)
        weights = load_file(str(Path(path, "model.safetensors")))
        self.weight, self.bias = (weights[f"classifier.{name}"] for name in ("weight", "bias"))
        used = describe()["instructions"] | level_of_products("Encoder", folder)
        return {"instructions": used}

    def logits(self, ids: list[int]) -> Any:
        """Of the pooled first token."""
        pooled = np.array(self.model.forward_batch([ids]).pooler_output)[0]
        return self.weight @ pooled + self.bias


HANDLERS = Side().handlers()

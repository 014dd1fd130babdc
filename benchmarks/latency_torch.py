"""PyTorch's side of latency.py: transformers' pipeline, and the same by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import encoder_side as side
import torch
from tokenizers import Tokenizer
from torch_side import describe, set_threads
from transformers_side import transformers

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A pipeline, and its model and tokenizer apart."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        ).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        self.pipeline = transformers.pipeline(
            "text-classification", model=self.model, tokenizer=tokenizer
        )
        self.tokenizer = Tokenizer.from_file(str(Path(path, "tokenizer.json")))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        return {}

    def answers(self, texts: list[str], way: str) -> Any:
        """Label and score of each text."""
        call = self._call(way)
        return {"answers": [[a["label"], a["score"]] for a in (call(t)[0] for t in texts)]}

    def times(self, texts: list[str], way: str) -> Any:
        """Seconds of each call."""
        return {"seconds": side.each_timed(self._call(way), texts)}

    def _call(self, way: str) -> Any:
        return self.pipeline if way == "pipeline" else self._by_hand

    def _by_hand(self, text: str) -> list[dict[str, Any]]:
        ids = torch.tensor([self.tokenizer.encode(text).ids])
        with torch.inference_mode():
            chances = self.model(input_ids=ids).logits.float().softmax(-1)[0]
        best = int(chances.argmax())
        return [{"label": self.model.config.id2label[best], "score": float(chances[best])}]


_side = Side()
HANDLERS = {"load": _side.load, "answers": _side.answers, "times": _side.times}

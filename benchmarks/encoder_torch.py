"""PyTorch's side of encoder.py: transformers' BERT."""

from __future__ import annotations

import time
from typing import Any

import encoder_side as side
import torch
from torch_side import describe, set_threads
from transformers_side import transformers

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A model, and an optimizer made when it first trains."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.model = transformers.BertForSequenceClassification.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
        self.optimizer: Any = None
        return {}

    def output(self, batch: dict[str, Any]) -> Any:
        """Mean-pooled sentence vectors."""
        self.model.eval()
        inputs = _tensors(batch)
        mask = inputs["attention_mask"][..., None].float()
        with torch.inference_mode():
            states = self._encode(inputs).float()
        return {"output": ((states * mask).sum(1) / mask.sum(1)).tolist()}

    def time(self, batch: dict[str, Any], trains: bool, seconds: float) -> Any:
        """Median seconds of a forward pass, or of a training step."""
        inputs = _tensors(batch)
        if trains:
            self.model.train()
            return side.timed(lambda: self._step(inputs), seconds)
        self.model.eval()

        def call() -> Any:
            with torch.inference_mode():
                return self._encode(inputs)

        return side.timed(call, seconds)

    def steps(self, batches: list[dict[str, Any]]) -> Any:
        """Seconds of a training step on each batch, in a row."""
        inputs = [_tensors(batch) for batch in batches]
        self.model.train()
        start = time.perf_counter()
        for batch in inputs:
            self._step(batch)
        return {"seconds": time.perf_counter() - start}

    def _encode(self, inputs: dict[str, Any]) -> Any:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        # A mask that hides nothing only costs time; transformers' own users leave it out too.
        mask = mask if not bool(mask.all()) else None
        return self.model.bert(input_ids=ids, attention_mask=mask).last_hidden_state

    def _step(self, inputs: dict[str, Any]) -> None:
        if self.optimizer is None:
            parameters = self.model.parameters()
            self.optimizer = torch.optim.AdamW(
                parameters, lr=side.LEARNING_RATE, weight_decay=side.WEIGHT_DECAY, fused=True
            )
        self.model(**inputs).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), side.MAX_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _tensors(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.tensor(values) for name, values in batch.items()}


_side = Side()
HANDLERS = {"load": _side.load, "output": _side.output, "time": _side.time, "steps": _side.steps}

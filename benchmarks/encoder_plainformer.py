"""Our side of encoder.py."""

from __future__ import annotations

import time
from typing import Any

import encoder_side as side
import numpy as np
from our_side import describe, set_threads

from plainformer import kernels
from plainformer.models import BertForSequenceClassification
from plainformer.nn import dropout_state
from plainformer.training import TrainingArguments
from plainformer.training.updates import make_optimizer

__all__ = ["HANDLERS", "describe", "set_threads"]


class Side:
    """A model, and an optimizer made when it first trains."""

    def load(self, path: str, dtype: str) -> Any:
        """Read the directory."""
        self.model = BertForSequenceClassification.from_pretrained(path, dtype=dtype)
        self.bf16 = dtype == "bfloat16"
        self.optimizer: Any = None
        self.steps = 0
        return {}

    def output(self, batch: dict[str, Any]) -> Any:
        """Mean-pooled sentence vectors."""
        self.model.eval()
        states = np.asarray(self._encode(_arrays(batch)).data, dtype=np.float32)
        return {"output": side.mean_pooled(states, batch).tolist()}

    def time(self, batch: dict[str, Any], trains: bool, seconds: float) -> Any:
        """Median seconds of a forward pass, or of a training step."""
        inputs = _arrays(batch)
        if trains:
            self.model.train()
            return side.timed(lambda: self._step(inputs), seconds)
        self.model.eval()
        return side.timed(lambda: self._encode(inputs), seconds)

    def steps(self, batches: list[dict[str, Any]]) -> Any:
        """Seconds of a training step on each batch, in a row."""
        inputs = [_arrays(batch) for batch in batches]
        self.model.train()
        start = time.perf_counter()
        for batch in inputs:
            self._step(batch)
        return {"seconds": time.perf_counter() - start}

    def _encode(self, inputs: dict[str, Any]) -> Any:
        return self.model.bert(inputs["input_ids"], inputs["attention_mask"]).last_hidden_state

    def _step(self, inputs: dict[str, Any]) -> None:
        if self.optimizer is None:
            args = TrainingArguments(
                output_dir="unused",
                learning_rate=side.LEARNING_RATE,
                weight_decay=side.WEIGHT_DECAY,
                bf16=self.bf16,
            )
            self.optimizer = make_optimizer(self.model, args)
        self.steps += 1
        with dropout_state(self.steps):
            self.model(**inputs).loss.backward()
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        _, scale = kernels.clip_grad_norm(grads, side.MAX_NORM)
        self.optimizer.step(grad_scale=scale)
        self.optimizer.zero_grad()


def _arrays(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array(values) for name, values in batch.items()}


_side = Side()
HANDLERS = {"load": _side.load, "output": _side.output, "time": _side.time, "steps": _side.steps}

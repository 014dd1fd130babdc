"""What the peers of latency.py that are measured by hand share: text to ids, logits to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import encoder_side as side
import numpy as np
from tokenizers import Tokenizer


class ByHand:
    """A classifier of single texts; `logits` of a list of ids is its heir's."""

    def load(self, path: str, dtype: str) -> Any:
        """Read what is common: the tokenizer and the names of the labels."""
        self.tokenizer = Tokenizer.from_file(str(Path(path, "tokenizer.json")))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        config = json.loads(Path(path, "config.json").read_text(encoding="utf-8"))
        self.labels = config["id2label"]
        return self.read(path, dtype)

    def read(self, path: str, dtype: str) -> dict[str, Any]:
        """The model; what it says of itself."""
        raise NotImplementedError

    def logits(self, ids: list[int]) -> Any:
        """(classes,) of one text."""
        raise NotImplementedError

    def answer(self, text: str) -> tuple[str, float]:
        """Label and score."""
        logits = self.logits(self.tokenizer.encode(text).ids)
        chances = np.exp(logits - logits.max())
        best = int(chances.argmax())
        return self.labels[str(best)], float(chances[best] / chances.sum())

    def answers(self, texts: list[str], way: str) -> Any:
        """Label and score of each text."""
        return {"answers": [[*self.answer(text)] for text in texts]}

    def times(self, texts: list[str], way: str) -> Any:
        """Seconds of each call; answers when the threads are at rest."""
        return {"seconds": side.each_timed(self.answer, texts), "idle": side.wait_until_idle()}

    def handlers(self) -> dict[str, Any]:
        """The requests by name."""
        return {"load": self.load, "answers": self.answers, "times": self.times}

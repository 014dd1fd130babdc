"""Texts behind the control codes of their labels, as a causal model takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.batches import IGNORE_INDEX
from ..data.control_codes import ControlCodes
from ..errors import ConfigError
from .features import Feature
from .task import Array


class ControlledTexts:
    """Makes features of texts with labels.

    Parameters
    ----------
    tokenizer : of the task, with codes
    end : id that ends a text, which is learned
    limit : most tokens that the model takes; None means any number

    Raises
    ------
    ConfigError : a tokenizer without codes
    """

    def __init__(self, tokenizer: Any, end: int, limit: int | None):
        self._codes = ControlCodes(tokenizer)
        self._end, self._limit = end, limit
        if not self._codes.ids:
            raise ConfigError(
                "control_codes: the tokenizer has none; fine-tune with them on texts with labels"
            )

    def examples(self, example: Any) -> list[Feature]:
        """What is learned of a text and its end. The code is not; a long text comes in parts, each
        behind the code."""
        code, text = self._encoded(example)
        ids = np.append(text, np.int32(self._end))
        room = len(ids) if self._limit is None else self._limit - 1
        if room < 1:
            raise ConfigError(
                f"max_length: got {self._limit}, which leaves no room beside a control code"
            )
        return [_part(code, ids[i : i + room]) for i in range(0, len(ids), room)]

    def prompt(self, example: Any, new: int) -> Feature:
        """The code and a prompt, which may be empty, with room for `new` tokens: of a long prompt
        the beginning is left out."""
        code, ids = self._encoded(example)
        room = len(ids) if self._limit is None else self._limit - 1 - new
        if room < 0:
            raise ConfigError(
                f"max_new_tokens: got {new}, but the model takes {self._limit} tokens with the "
                "control code"
            )
        kept = ids[max(0, len(ids) - room) :]
        place = np.append(code, kept)
        return Feature({"input_ids": place}, place=place, cut=len(kept) < len(ids))

    def _encoded(self, example: Any) -> tuple[Array, Array]:
        """The code (1,) and the text (N,)."""
        ids = self._codes.encode(example.text, example.label, example.file, example.line)
        return ids[:1], ids[1:]


def _part(code: Array, ids: Array) -> Feature:
    labels = np.append(np.int32(IGNORE_INDEX), ids)
    return Feature({"input_ids": np.append(code, ids), "labels": labels})

"""From examples to a batch: padded with masks, for any module, or rows as they are, for ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..data.batches import IGNORE_INDEX, check_examples, collate
from ..errors import ConfigError
from ..nn import RaggedRows
from .losses import Batch, takes

Collator = Callable[[list[Any]], Batch]

_LABELS = ("labels", "shift_labels")
_BESIDE_TOKENS = ("input_ids", "token_type_ids")  # always rows, though they may be equal


def make_batch(collate: Collator, examples: list[Any]) -> Batch:
    """What a collator makes of some examples; ConfigError unless it is a mapping."""
    batch = collate(examples)
    if not isinstance(batch, Mapping):
        raise ConfigError(
            f"data_collator: returned {type(batch).__name__}, expected a dict of arrays"
        )
    return batch


class PaddedCollator:
    """Rows filled up to the longest, with masks that say so; what `Trainer` does by default.

    model : what the batches are for; one that takes no mask gets none where nothing is filled up
    max_length : what the rows of every example are cut to before
    """

    def __init__(self, model: Any, max_length: int | None = None):
        self.model, self.max_length = model, max_length

    def __call__(self, examples: list[Any]) -> Batch:
        check_examples(examples)
        if self.max_length is not None:
            examples = [{k: self._cut(v) for k, v in example.items()} for example in examples]
        batch = collate(examples)
        idle = [name for name in batch.keys() - examples[0].keys() if batch[name].all()]
        return {k: v for k, v in batch.items() if k not in idle or takes(self.model, k)}

    def _cut(self, value: Any) -> Any:
        is_row = isinstance(value, (list, tuple)) or np.ndim(value) == 1
        return value[: self.max_length] if is_row else value


def collate_rows(examples: Iterable[Mapping[str, Any]], group: int = 1) -> Batch:
    """A batch for models of this package: rows of their own lengths, of which nothing is padded.

    Ids and all other arrays of several lengths become `nn.RaggedRows`, other values are stacked.

    group : rows of each example, where it has several

    Raises
    ------
    DataError, ShapeError : examples that are no dicts, none, or of different keys
    """
    found = list(examples)
    check_examples(found)
    return {key: _column(key, [np.asarray(one[key]) for one in found], group) for key in found[0]}


def _column(key: str, arrays: list[np.ndarray], group: int) -> Any:
    if key in _BESIDE_TOKENS or len({array.shape for array in arrays}) > 1:
        return RaggedRows(arrays, IGNORE_INDEX if key in _LABELS else 0, group)
    return np.stack(arrays)

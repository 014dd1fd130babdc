"""What a tokenizer's call returns: the model's inputs by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError, shown
from .batches import pad_arrays
from .encoding import Encoded
from .special_tokens import SpecialIds

# What models and callers are given of each text, beside `input_ids`.
_COLUMNS: dict[str, Callable[[Encoded], np.ndarray]] = {
    "token_type_ids": lambda one: one.token_type_ids,
    "attention_mask": lambda one: np.ones(len(one), np.int32),
    "special_tokens_mask": lambda one: (one.sequence_ids < 0).astype(np.int32),
    "offset_mapping": lambda one: (
        np.empty((0, 2), np.int32) if one.offsets is None else one.offsets
    ),
}


class BatchEncoding(dict[str, Any]):
    """A dictionary of inputs, whose keys are attributes too: `model(**batch)`, `batch.input_ids`.

    Parameters
    ----------
    columns : a list of arrays (L,), or of numbers, by name
    encoded : what they were made of, for `word_ids` and its like
    name_of : tokens of ids
    tensors : "np" makes an array (B, L) of each, None lists
    single : one text: lists are its own
    """

    def __init__(
        self,
        columns: dict[str, list[Any]],
        encoded: Sequence[Encoded],
        name_of: Callable[[np.ndarray], list[str]],
        tensors: str | None,
        single: bool,
    ):
        if tensors not in (None, "np"):
            raise ConfigError(
                f"return_tensors: got {shown(tensors)}, expected 'np' or None: models take arrays"
            )
        if tensors == "np":
            super().__init__((name, _stacked(name, column)) for name, column in columns.items())
        else:
            plain = ((k, [np.asarray(one).tolist() for one in v]) for k, v in columns.items())
            super().__init__(
                (name, rows[0] if single and isinstance(rows[0], list) else rows)
                for name, rows in plain
            )
        self._encoded, self._name_of = encoded, name_of

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"got no {shown(name)}; there are {', '.join(self)}")

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a text, without padding."""
        return self._name_of(self._encoded[batch_index].input_ids)

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The word that each token is of, without padding; None for special tokens."""
        found = self._encoded[batch_index].word_ids
        if found is None:
            raise ConfigError(
                "word_ids: not there; call with is_split_into_words or return_offsets_mapping"
            )
        return _with_none(found)

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """0 for tokens of the text, 1 of its pair, None for special tokens."""
        return _with_none(self._encoded[batch_index].sequence_ids)


def encoding_fields(
    encoded: Sequence[Encoded], wanted: Mapping[str, bool], length: int | None, special: SpecialIds
) -> dict[str, list[Any]]:
    """Columns: an array (L,), or (length,) where that is given, of each text.

    wanted : which columns are asked for beside `input_ids`
    """
    columns = {"input_ids": [one.input_ids for one in encoded]}
    for name, of in _COLUMNS.items():
        if wanted[name]:
            columns[name] = [of(one) for one in encoded]
    if length is not None:
        fills = {"input_ids": special.pad_token_id or 0, "special_tokens_mask": 1}
        side = special.padding_side
        for name, column in columns.items():
            columns[name] = [
                pad_arrays([array], fills.get(name, 0), max(length, len(array)), side)[0]
                for array in column
            ]
    result: dict[str, list[Any]] = dict(columns)
    if wanted["overflow_to_sample_mapping"]:
        result["overflow_to_sample_mapping"] = [one.index for one in encoded]
    if wanted["length"]:
        result["length"] = [len(ids) for ids in columns["input_ids"]]
    return result


def _stacked(name: str, column: list[Any]) -> np.ndarray:
    if len({np.shape(one) for one in column}) > 1:
        raise ShapeError(f"{name}: texts have several lengths; give padding=True, or no 'np'")
    return np.array(column) if column else np.empty((0, 0), np.int32)


def _with_none(ids: np.ndarray) -> list[int | None]:
    return [None if i < 0 else int(i) for i in ids]

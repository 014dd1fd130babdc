"""Tokens to batches, in an order that follows from (seed, epoch) alone.

A language model learns from blocks of T inputs and the T tokens that follow them, so a block takes
T + 1 tokens. Labels go under `shift_labels`, already aligned with the inputs: `labels` would be
shifted inside the model (Hugging Face's convention) and lose the last token of every block.

Any (epoch, position) is reached directly: nothing is drawn that depends on what was drawn before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import DataError, ShapeError
from ._random import words
from .chunks import Blocks, Windows

IGNORE_INDEX = -100
_PADDING = {"labels": IGNORE_INDEX, "shift_labels": IGNORE_INDEX}  # 0 for every other key

Example = Mapping[str, Any]
Batch = dict[str, np.ndarray]


class Dataset(Protocol):
    """Anything with a length and items."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation (count,) int64 in which epoch `epoch` of `seed` takes `count` examples.

    Examples are sorted by 64-bit words of Philox with key (seed, 1) and the epoch in its counter.
    Words of a bit generator never change between NumPy versions; `Generator.permutation` may.
    """
    return np.argsort(words(seed, epoch, count + 1)[1:], kind="stable")


def of_epoch(dataset: Any, seed: int, epoch: int) -> Any:
    """The examples that a data set has in one epoch: its own, if it has `for_epoch(seed, epoch)`.

    Whatever wraps a data set asks here for what it wraps, or each epoch would have the same.
    """
    for_epoch = getattr(dataset, "for_epoch", None)
    return dataset if for_epoch is None else for_epoch(seed, epoch)


class TokenBlocks(Blocks):
    """Consecutive blocks of T inputs for training: `{"input_ids": (T,), "shift_labels": (T,)}`.

    Block i covers tokens [offset + i T, offset + i T + T], one more than T. `for_epoch` gives the
    same number of blocks at that epoch's own offset, see `Blocks`.

    Parameters
    ----------
    tokens : array (N,) of unsigned or signed integers, memory-mapped or not; N >= T + 1
    block_size : int, T

    Raises
    ------
    DataError : too few tokens for one block
    """

    def __init__(self, tokens: np.ndarray, block_size: int):
        super().__init__(tokens, block_size, ahead=1)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # type: ignore[override]
        return _example(self.tokens_of(index))


class EvaluationWindows(Windows):
    """Consecutive windows of T inputs from the first token; every token but the first is a label
    exactly once, and the last window may be short.

    Items are `{"input_ids": (T,), "shift_labels": (T,)}`. Parameters and errors: `TokenBlocks`;
    two tokens are enough here.
    """

    def __init__(self, tokens: np.ndarray, block_size: int):
        super().__init__(tokens, block_size, ahead=1)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # type: ignore[override]
        return _example(self.tokens_of(index))


_MASKS = {"input_ids": "attention_mask", "decoder_input_ids": "decoder_attention_mask"}


def collate(
    examples: Sequence[Example], *, pad_token_id: int = 0, side: str = "right", multiple: int = 1
) -> Batch:
    """Stack examples to arrays (B, ...), key by key, and a mask (B, L) int32 beside ids.

    Where first axes differ, the short ones are filled: labels with -100, which losses ignore,
    input ids with `pad_token_id`, everything else with 0. Without a mask a model would read the
    filling, and an example's loss would depend on its batch; one of the examples' own is kept.

    Parameters
    ----------
    side : where the filling goes, "right" or "left"
    multiple : make first axes a multiple of it

    Raises
    ------
    DataError : examples that are no dicts
    ShapeError : no examples, different keys, or arrays that differ in more than the first axis
    """
    check_examples(examples)
    whole = [_with_masks(example, examples[0]) for example in examples]
    fills = {**_PADDING, "input_ids": pad_token_id}

    def stack(key: str) -> np.ndarray:
        arrays = [np.asarray(example[key]) for example in whole]
        if len({(a.ndim, a.shape[1:]) for a in arrays}) > 1:
            shapes = sorted({a.shape for a in arrays})
            raise ShapeError(f"{key}: got shapes {shapes}, expected the first axis alone to differ")
        if arrays[0].ndim == 0:
            return np.stack(arrays)
        length = -(-max(map(len, arrays)) // multiple) * multiple
        return pad_arrays(arrays, fills.get(key, 0), length, side)

    return {key: stack(key) for key in whole[0]}


def check_examples(examples: Sequence[Any]) -> None:
    """Raise unless each is a dict, or has keys as one has, and all have the same ones."""
    bad = next((type(one) for one in examples if not hasattr(one, "keys")), None)
    if bad is not None:
        raise DataError(
            f"examples: got {bad.__name__}, expected dicts such as {{'input_ids': ..., 'labels': "
            "...}; give a data_collator for others"
        )
    if not examples or any(example.keys() != examples[0].keys() for example in examples):
        raise ShapeError("examples: expected at least one, and all with the same keys")


def _with_masks(example: Example, first: Example) -> Example:
    masks = {}
    for ids, mask in _MASKS.items():
        if ids in example and mask not in example:
            shape, wanted = np.shape(example[ids]), np.shape(first[ids])
            if len(shape) > 1 and shape[:1] != wanted[:1]:
                rows = sorted({shape[0], wanted[0]})
                raise ShapeError(f"{ids}: got {rows} rows, expected as many in all")
            masks[mask] = np.ones(shape, np.int32)
    return {**example, **masks}


def pad_arrays(
    arrays: Sequence[np.ndarray], fill: int, length: int, side: str = "right"
) -> np.ndarray:
    """One array (B, length, ...) of arrays (L, ...), L <= length, with `fill` put on one side."""
    batch = np.full((len(arrays), length, *arrays[0].shape[1:]), fill, np.result_type(*arrays))
    for row, array in zip(batch, arrays):
        if side == "right":
            row[: len(array)] = array
        else:
            row[length - len(array) :] = array
    return batch


def _example(tokens: np.ndarray) -> dict[str, np.ndarray]:
    ids = np.asarray(tokens, np.int32)
    return {"input_ids": ids[:-1], "shift_labels": ids[1:]}

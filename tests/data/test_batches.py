"""Training blocks, evaluation windows, and an order that follows from (seed, epoch) alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer.data.batches import (
    EvaluationWindows,
    TokenBlocks,
    collate,
    epoch_order,
)
from plainformer.errors import ConfigError, DataError, ShapeError

SIZES = {"count": st.integers(2, 200), "block_size": st.integers(1, 40)}


def same(a, b):
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x) for x, y in zip(a, b)
    )


@settings(deadline=None)
@given(**SIZES)
def test_evaluation_predicts_every_token_but_the_first_once(count, block_size):
    tokens = np.arange(count, dtype=np.uint16)
    windows = list(EvaluationWindows(tokens, block_size))
    assert np.concatenate([w["shift_labels"] for w in windows]).tolist() == list(range(1, count))
    assert np.concatenate([w["input_ids"] for w in windows]).tolist() == list(range(count - 1))
    assert all(len(w["input_ids"]) == block_size for w in windows[:-1])


@settings(deadline=None)
@given(**SIZES, seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_blocks_of_an_epoch_are_whole_and_disjoint(count, block_size, seed, epoch):
    tokens = np.arange(count, dtype=np.uint32)
    if count < block_size + 1:
        with pytest.raises(DataError, match="expected at least"):
            TokenBlocks(tokens, block_size)
        return
    blocks = TokenBlocks(tokens, block_size)
    epoch_blocks = blocks.for_epoch(seed, epoch)
    assert len(epoch_blocks) == len(blocks)
    for view in (blocks, epoch_blocks):
        labels = np.concatenate([b["shift_labels"] for b in view])
        inputs = np.concatenate([b["input_ids"] for b in view])
        assert (labels == inputs + 1).all()
        assert np.array_equal(labels, np.arange(labels[0], labels[0] + len(labels)))
        assert len(labels) == len(view) * block_size > count - 1 - 2 * block_size


def test_every_offset_occurs_and_epochs_differ():
    blocks = TokenBlocks(np.arange(1000), 8)
    offsets = [blocks.for_epoch(1, epoch).offset for epoch in range(200)]
    assert set(offsets) == set(range(8))
    assert offsets != [blocks.for_epoch(2, epoch).offset for epoch in range(200)]


def test_order_is_a_permutation_that_differs_by_epoch_and_seed():
    orders = [epoch_order(50, seed, epoch).tolist() for seed in range(3) for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 9


def test_order_is_fixed_for_all_time():
    """A resumed run on another machine must find the order that it left."""
    assert epoch_order(8, 42, 3).tolist() == [5, 0, 7, 1, 3, 2, 4, 6]
    assert TokenBlocks(np.arange(999), 100).for_epoch(42, 3).offset == 98


def test_collate_pads_labels_with_what_losses_ignore():
    short = {"input_ids": np.int32([1, 2]), "shift_labels": np.int32([2, 3]), "weight": 0.5}
    long = {"input_ids": np.int32([4, 5, 6]), "shift_labels": np.int32([5, 6, 7]), "weight": 1.0}
    batch = collate([short, long])
    assert batch["input_ids"].tolist() == [[1, 2, 0], [4, 5, 6]]
    assert batch["shift_labels"].tolist() == [[2, 3, -100], [5, 6, 7]]
    assert batch["weight"].tolist() == [0.5, 1.0]
    assert batch["input_ids"].dtype == np.int32


def test_collate_refuses_examples_that_differ():
    with pytest.raises(ShapeError, match="keys"):
        collate([{"a": 1}, {"b": 1}])
    with pytest.raises(ShapeError, match="a: got shapes"):
        collate([{"a": np.zeros((2, 3))}, {"a": np.zeros((2, 4))}])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TokenBlocks(np.zeros(9), 2), ShapeError, "tokens: got float64"),
        (lambda: TokenBlocks(np.zeros((9, 2), int), 2), ShapeError, "one axis"),
        (lambda: TokenBlocks(np.arange(9), 0), ConfigError, "block_size: got 0"),
        (lambda: EvaluationWindows(np.arange(1), 4), DataError, "tokens: got 1"),
        (lambda: TokenBlocks(np.arange(9), 4)[1], IndexError, "index: got 1"),
        (lambda: epoch_order(3, 2**64, 0), ConfigError, "seed"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()

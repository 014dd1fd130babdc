"""How rows divide into sequences, and how they come from and go back to a padded batch."""

import numpy as np
import pytest

from plainformer.errors import DTypeError, ShapeError
from plainformer.nn import Sequences, join
from plainformer.tensor import Tensor

LEFT = np.array([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])


def test_a_mask_without_padding_is_uniform():
    rows = Sequences.from_mask(np.ones((2, 3)), (2, 3))
    assert rows.is_uniform
    assert rows.index is None
    np.testing.assert_array_equal(rows.cu_seqlens, [0, 3, 6])


def test_rows_of_a_mask_and_back():
    rows = Sequences.from_mask(LEFT, LEFT.shape)
    np.testing.assert_array_equal(rows.lengths, [2, 4, 0, 2])
    assert (rows.count, rows.num_rows, rows.max_length) == (4, 8, 4)
    batch = np.arange(16).reshape(4, 4) + 1.0
    x = rows.rows_of(batch)
    np.testing.assert_array_equal(x, batch[LEFT != 0])
    back = rows.batch_of(Tensor(x[:, None])).data[..., 0]
    np.testing.assert_array_equal(back, np.where(LEFT, batch, 0))


def test_positions_start_at_the_first_token_and_keep_holes():
    rows = Sequences.from_mask(LEFT, LEFT.shape)
    np.testing.assert_array_equal(rows.positions(), [0, 1, 0, 1, 2, 3, 0, 2])
    packed = Sequences.packed([0, 2, 2, 5], (1, 5))
    np.testing.assert_array_equal(packed.positions(), [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(packed.owners(), [0, 0, 2, 2, 2])
    assert Sequences.from_lengths([]).positions().size == 0
    assert Sequences.from_lengths([2, 0]).positions().tolist() == [0, 1]


def test_first_and_last_rows_need_a_token():
    rows = Sequences.from_lengths([2, 3])
    assert rows.first_rows().tolist() == [0, 2]
    assert rows.last_rows().tolist() == [1, 4]
    with pytest.raises(ShapeError, match="row 1 has no token"):
        Sequences.from_lengths([2, 0]).last_rows()


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_tail_is_the_last_columns(count):
    for mask in (LEFT, np.ones_like(LEFT)):
        rows = Sequences.from_mask(mask, mask.shape)
        x = np.arange(rows.num_rows) + 1.0
        whole = rows.batch_of(Tensor(x[:, None])).data[..., 0]
        index, tail = rows.tail(count)
        np.testing.assert_array_equal(
            tail.batch_of(Tensor(x[index, None])).data[..., 0], whole[:, -count:]
        )


def test_joined_rows():
    ids, rows = join([[1, 2], np.array([3], np.int32), []])
    assert ids.tolist() == [1, 2, 3]
    assert rows.lengths.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("borders", "shape", "error", "message"),
    [
        ([0, 2.5], (1, 3), DTypeError, "cu_seqlens: got dtype float64"),
        ([[0, 3]], (1, 3), ShapeError, r"cu_seqlens: got shape \(1, 2\)"),
        ([0, 3], (2, 3), ShapeError, r"input_ids: got shape \(2, 3\), expected \(1, N\)"),
        ([0, 2], (1, 3), ShapeError, "expected ascending borders from 0 to the 3 tokens"),
        ([1, 3], (1, 3), ShapeError, "got 1 to 3"),
        ([0, 2, 1, 3], (1, 3), ShapeError, "expected ascending borders"),
    ],
)
def test_wrong_borders(borders, shape, error, message):
    with pytest.raises(error, match=message):
        Sequences.packed(borders, shape)


def test_a_mask_of_another_shape():
    with pytest.raises(ShapeError, match=r"attention_mask: got shape \(2, 2\), expected \(2, 3\)"):
        Sequences.from_mask(np.ones((2, 2)), (2, 3))


def test_rows_of_an_empty_batch_have_no_positions():
    rows = Sequences.from_mask([[0, 0]], (1, 2))
    assert rows.positions().shape == rows.places().shape == (0,)

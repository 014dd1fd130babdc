"""Chunks: every token once, documents never across each other, rows filled in order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer.data import chunks as chunks_module
from plainformer.data.chunks import Blocks, PackedDocuments, Windows
from plainformer.errors import ConfigError, DataError

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=40)


def starts_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def parts_alone(length, size):
    """The parts of a document of `length` inputs, when it is alone."""
    return [min(size, length - i) for i in range(0, length, size)]


@settings(deadline=None)
@given(count=st.integers(1, 200), size=st.integers(1, 40), ahead=st.integers(0, 1))
def test_windows_hold_every_token_once(count, size, ahead):
    if count <= ahead:
        with pytest.raises(DataError, match="expected at least 2"):
            Windows(np.arange(count), size, ahead=ahead)
        return
    windows = [w for (w,) in Windows(np.arange(count), size, ahead=ahead)]
    inputs = np.concatenate([w[: len(w) - ahead] for w in windows])
    assert inputs.tolist() == list(range(count - ahead))
    assert all(len(w) == size + ahead for w in windows[:-1])


@settings(deadline=None)
@given(
    count=st.integers(1, 200),
    size=st.integers(1, 40),
    ahead=st.integers(0, 1),
    epoch=st.integers(0, 2**63),
)
def test_blocks_of_an_epoch_are_whole_and_disjoint(count, size, ahead, epoch):
    tokens = np.arange(count)
    if count < size + ahead:
        with pytest.raises(DataError, match="expected at least"):
            Blocks(tokens, size, ahead=ahead)
        return
    blocks = Blocks(tokens, size, ahead=ahead).for_epoch(3, epoch)
    found = [b for (b,) in blocks]
    assert len(found) == len(Blocks(tokens, size, ahead=ahead))
    assert all(len(b) == size + ahead for b in found)
    used = np.concatenate([b[:size] for b in found])
    assert np.array_equal(used, np.arange(used[0], used[0] + len(used)))
    assert len(used) > count - ahead - 2 * size


def test_every_offset_occurs():
    for ahead in (0, 1):
        blocks = Blocks(np.arange(100), 8, ahead=ahead)
        assert {blocks.for_epoch(1, e).offset for e in range(200)} == set(range(8))


@pytest.mark.parametrize("at_once", [1, 3, 1 << 16])
@pytest.mark.parametrize("ahead", [0, 1])
@settings(deadline=None)
@given(lengths=LENGTHS, size=st.integers(1, 12))
def test_packed_rows_hold_whole_parts_in_order(at_once, ahead, lengths, size):
    starts = starts_of(lengths)
    tokens = np.arange(starts[-1])
    if max(lengths) <= ahead:
        with pytest.raises(DataError):
            PackedDocuments(tokens, starts, size, ahead=ahead)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks_module, "_DOCUMENTS", at_once)
        packed = PackedDocuments(tokens, starts, size, ahead=ahead)
    rows = list(packed)
    assert all(0 < sum(len(p) - ahead for p in row) <= size for row in rows)
    parts = [part for row in rows for part in row]
    # The parts are those that each document has alone: no neighbour moves a cut.
    expected = [n for length in lengths for n in parts_alone(max(0, length - ahead), size)]
    assert [len(p) - ahead for p in parts] == expected
    # Every token of a document but its first `ahead` is the last of something once.
    found = [token for part in parts for token in part[ahead:]]
    assert found == [t for a, b in pairwise(starts) for t in range(a + ahead, max(a, b))]
    # A row ends only where the next part does not fit.
    for row, following in pairwise(rows):
        assert sum(len(p) - ahead for p in row) + len(following[0]) - ahead > size


def test_the_end_of_text_is_left_away_where_asked():
    tokens = np.array([5, 6, 0, 7, 0, 0, 8, 0, 9])
    starts = np.array([0, 3, 5, 6, 9])  # (5 6 .) (7 .) (.) (8 . 9)
    rows = list(PackedDocuments(tokens, starts, 4, end=0))
    assert [[p.tolist() for p in row] for row in rows] == [[[5, 6], [7]], [[8, 0, 9]]]
    rows = list(PackedDocuments(tokens, starts, 4, ahead=1))
    assert [[p.tolist() for p in row] for row in rows] == [[[5, 6, 0], [7, 0]], [[8, 0, 9]]]


def test_rows_of_a_memory_map_are_views_of_it(tmp_path):
    np.arange(100, dtype=np.uint16).tofile(tmp_path / "a.bin")
    tokens = np.memmap(tmp_path / "a.bin", np.uint16, "r")
    packed = PackedDocuments(tokens, np.array([0, 40, 100]), 30)
    assert all(np.shares_memory(part, tokens) for row in packed for part in row)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Blocks(np.arange(9), 0), ConfigError, "block_size: got 0"),
        (lambda: PackedDocuments(np.arange(2), np.array([0, 1, 2]), 4, ahead=1), DataError, "no"),
        (lambda: PackedDocuments(np.arange(4), np.array([0, 4]), 4)[1], IndexError, "index: got 1"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()

"""No label is lost between words and sub-tokens, however long the sentence: oracles."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainformer.data import alignment
from plainformer.data.alignment import WordWindow, word_windows
from plainformer.errors import ConfigError, ShapeError

COUNTS = st.lists(st.integers(1, 9), max_size=40)
SIZES = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))


@given(COUNTS, SIZES)
def test_no_gold_label_is_lost_and_none_is_there_twice(counts, sizes):
    max_length, overlap = sizes
    labels = np.arange(len(counts)) + 100
    found = []
    for window in word_windows(counts, max_length, overlap):
        row = alignment.window_labels(window, counts, labels, max_length)
        assert len(row) <= max_length
        found += [label for label in row if label != -100]
        # where each label stands is the first sub-token of its word
        tokens = alignment.window_tokens(window, counts, max_length)
        firsts = np.cumsum([0, *counts])[:-1]
        assert all(firsts[label - 100] == tokens[i] for i, label in enumerate(row) if label != -100)
    assert found == list(labels)


@given(COUNTS, SIZES)
def test_windows_cover_all_words_go_forward_and_own_each_once(counts, sizes):
    max_length, overlap = sizes
    windows = word_windows(counts, max_length, overlap)
    assert [w for window in windows for w in range(*window[2:])] == list(range(len(counts)))
    for window in windows:
        assert window.start <= window.own_start < window.own_stop <= window.stop
        several = window.stop - window.start > 1
        assert not several or sum(counts[window.start : window.stop]) <= max_length
    for a, b in pairwise(windows):
        assert a.start < b.start <= a.stop < b.stop
        assert sum(counts[b.start : a.stop]) <= overlap


@given(COUNTS, SIZES)
def test_a_word_seen_twice_belongs_where_it_is_further_from_the_edge(counts, sizes):
    for a, b in pairwise(word_windows(counts, *sizes)):
        for word in range(b.start, a.stop):
            after, before = a.stop - 1 - word, word - b.start  # words around it, in a and in b
            assert after >= before if word < a.own_stop else before >= after


@given(COUNTS.filter(bool), SIZES)
def test_predictions_come_back_to_their_words(counts, sizes):
    """Rows are (word, window): each word's comes from the window that owns it."""
    windows = word_windows(counts, *sizes)
    rows = [np.array([(w, k) for w in range(x.start, x.stop)]) for k, x in enumerate(windows)]
    merged = alignment.merge_words(windows, rows)
    assert merged[:, 0].tolist() == list(range(len(counts)))
    assert all(windows[k].own_start <= w < windows[k].own_stop for w, k in merged)


def test_windows_by_hand():
    assert word_windows([1] * 10, 4, 2) == [
        WordWindow(0, 4, 0, 3),
        WordWindow(2, 6, 3, 5),
        WordWindow(4, 8, 5, 7),
        WordWindow(6, 10, 7, 10),
    ]
    assert word_windows([2, 2, 9, 1], 4, 2) == [
        WordWindow(0, 2, 0, 2),
        WordWindow(2, 3, 2, 3),
        WordWindow(3, 4, 3, 4),
    ]
    assert word_windows([3], 5, 0) == [WordWindow(0, 1, 0, 1)]
    assert word_windows([], 5, 0) == []


def test_a_word_longer_than_the_window_is_cut_and_keeps_its_label():
    (window,) = word_windows([9], 4, 0)
    assert alignment.window_tokens(window, [9], 4).tolist() == [0, 1, 2, 3]
    assert alignment.window_labels(window, [9], [7], 4).tolist() == [7, -100, -100, -100]


def test_words_of_which_the_tokenizer_leaves_nothing_become_unknown():
    ids, counts = alignment.fill_words([2, 10, 11, 12, 3], [-1, 0, 0, 2, -1], 4, 1)
    assert ids.tolist() == [10, 11, 1, 12, 1]
    assert counts.tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: word_windows([1], 4, 4), ConfigError, "overlap: got 4, expected 0 to 3"),
        (lambda: word_windows([1], 4, -1), ConfigError, "overlap: got -1"),
        (lambda: word_windows([1], 0, 0), ConfigError, "max_length: got 0"),
        (
            lambda: alignment.window_labels(WordWindow(0, 1, 0, 1), [1], [1, 2], 4),
            ShapeError,
            r"labels: got shape \(2,\)",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Every answer is reachable: oracles over random contexts, tokens and answers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainformer.data import windows
from plainformer.data.windows import SpanScore, WindowScores, best_spans, token_windows
from plainformer.errors import ConfigError

SIZES = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))


@st.composite
def contexts(draw):
    """(offsets, answer start, answer end): tokens of 1 to 4 characters with gaps between some."""
    offsets, at = [], 0
    for gap, size in draw(
        st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4)), min_size=1, max_size=30)
    ):
        offsets.append((at + gap, at + gap + size))
        at += gap + size
    start = draw(st.integers(0, at - 1))
    return np.array(offsets), start, draw(st.integers(start + 1, at))


@given(st.integers(0, 60), SIZES)
def test_windows_cover_the_text_and_skip_nothing(length, sizes):
    size, overlap = sizes
    found = token_windows(length, size, overlap)
    assert {t for start, stop in found for t in range(start, stop)} == set(range(length))
    assert all(stop - start <= size for start, stop in found)
    assert all(b[0] == a[0] + size - overlap for a, b in pairwise(found))
    assert found[-1][1] == length
    for first in range(length):  # whatever is at most overlap + 1 long is whole somewhere
        span = (first, min(first + overlap + 1, length))
        assert any(windows.contains(window, span) for window in found)


@given(contexts(), SIZES)
def test_every_gold_answer_is_reachable(context, sizes):
    """Logits that point at the target of some window bring back all characters of the answer."""
    offsets, start, end = context
    size, overlap = sizes
    span = windows.answer_tokens(offsets, start, end)
    if span is None:  # only what no token holds: blanks between tokens
        assert all(b <= start or a >= end for a, b in offsets)
        return
    found = token_windows(len(offsets), size, overlap, cover=[span])
    shift = 2  # null, question
    scores, reached = [], 0
    for first, stop in found:
        target = windows.answer_target((first, stop), span, shift=shift)
        logits = np.zeros((2, shift + stop - first))
        if target != (0, 0):
            reached += 1
            logits[0, target[0]] = logits[1, target[1]] = 5
        places = np.concatenate([np.full((shift, 2), -1), offsets[first:stop]])
        scores.append(WindowScores(logits[0], logits[1], places))
    assert (reached > 0) == (span[1] - span[0] <= size)
    if reached:
        best, null_score = best_spans(scores, max_answer_length=len(offsets))
        assert best[0].score == 10
        assert null_score == 0
        assert all(  # every character that some token holds
            best[0].start <= c < best[0].end
            for c in range(start, end)
            if any(a <= c < b for a, b in offsets)
        )
        assert (best[0].start, best[0].end) == (offsets[span[0]][0], offsets[span[1] - 1][1])


def all_pairs(scores, longest):
    """Every answer of every window, the slow way."""
    found = {}
    for start, end, offsets, _ in scores:
        inside = [t for t in range(len(offsets)) if offsets[t][0] >= 0]
        for i, first in enumerate(inside):
            for last in inside[i : i + longest]:
                span = (int(offsets[first][0]), int(offsets[last][1]))
                found[span] = max(found.get(span, -np.inf), start[first] + end[last])
    return sorted(((s, c) for c, s in found.items()), key=lambda item: (-item[0], item[1]))


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 6), st.integers(1, 30))
def test_best_spans_are_the_best_of_all_pairs(seed, count, longest, n_best):
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(count):
        length = int(rng.integers(0, 9))
        begins = 3 * (np.arange(length) + rng.integers(0, 3))
        offsets = np.concatenate([[[-1, -1]], np.stack([begins, begins + 2], 1), [[-1, -1]]])
        logits = rng.integers(-3, 4, (2, length + 2)).astype(float)  # with ties
        scores.append(WindowScores(logits[0], logits[1], offsets))
    best, null_score = best_spans(scores, n_best=n_best, max_answer_length=longest)
    expected = all_pairs(scores, longest)
    assert [s.score for s in best] == [score for score, _ in expected[:n_best]]
    assert {(s.start, s.end) for s in best} <= {span for _, span in expected}
    assert null_score == min(s[0] + e[0] for s, e, *_ in scores)


def test_a_window_without_context_has_the_null_score_only():
    empty = WindowScores(np.ones(2), np.ones(2), np.full((2, 2), -1))
    assert best_spans([empty]) == ([], 2.0)
    assert windows.has_no_answer([], 2.0)
    assert token_windows(0, 5, 2) == [(0, 0)]


def test_the_null_answer():
    spans = [SpanScore(0, 2, 3.0)]
    assert not windows.has_no_answer(spans, 9.0)
    assert windows.has_no_answer(spans, 9.0, null_threshold=5.0)
    assert not windows.has_no_answer(spans, 8.0, null_threshold=5.0)


def test_of_spans_that_overlap_the_better_one_is_kept():
    spans = [SpanScore(4, 9, 5.0), SpanScore(0, 5, 4.0), SpanScore(9, 12, 3.0),
             SpanScore(4, 9, 2.0, document=1), SpanScore(11, 20, 1.0)]  # fmt: skip
    assert windows.apart(spans) == [spans[0], spans[2], spans[3]]


def test_the_same_characters_of_other_documents_are_other_answers():
    logits, offsets = np.array([0.0, 3, 1]), np.array([[-1, -1], [0, 2], [3, 5]])
    scores = [WindowScores(logits, logits - i, offsets, i) for i in (0, 1, 1)]
    best, _ = best_spans(scores, max_answer_length=1)
    assert best == [(0, 2, 6.0, 0), (0, 2, 5.0, 1), (3, 5, 2.0, 0), (3, 5, 1.0, 1)]


def test_tokens_of_an_answer():
    offsets = np.array([[0, 3], [3, 3], [4, 7], [7, 9]])
    assert windows.answer_tokens(offsets, 0, 3) == (0, 1)
    assert windows.answer_tokens(offsets, 5, 8) == (2, 4)  # begins and ends inside tokens
    assert windows.answer_tokens(offsets, 3, 4) is None  # a blank
    assert windows.answer_tokens(np.zeros((0, 2)), 0, 1) is None


def test_answers_longer_than_the_overlap_get_a_window_of_their_own():
    assert token_windows(20, 8, 2) == [(0, 8), (6, 14), (12, 20)]
    assert token_windows(20, 8, 2, cover=[(4, 10)]) == [(0, 8), (3, 11), (6, 14), (12, 20)]
    assert token_windows(20, 8, 2, cover=[(4, 14)]) == token_windows(20, 8, 2)  # can never fit
    assert windows.answer_target((3, 11), (4, 10), shift=5) == (6, 11)
    assert windows.answer_target((0, 8), (4, 10), shift=5) == (0, 0)
    assert windows.answer_target((0, 8), None, shift=5) == (0, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: token_windows(5, 4, 4), ConfigError, "overlap: got 4"),
        (lambda: token_windows(5, 0, 0), ConfigError, "max_length: got 0"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_offsets_lose_the_white_space_of_their_tokens():
    text = " the\u00a0 sun\n"
    offsets = np.array([(0, 4), (4, 6), (5, 9), (0, 0), (9, 10), (0, 10), (-1, -1), (2, 3)])
    assert windows.trimmed_offsets(text, offsets).tolist() == [
        [1, 4], [-1, -1], [6, 9], [-1, -1], [-1, -1], [1, 9], [-1, -1], [2, 3],
    ]  # fmt: skip
    assert windows.trimmed_offsets("", np.empty((0, 2), int)).shape == (0, 2)

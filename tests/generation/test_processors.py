"""What shapes scores, each against its definition."""

import numpy as np
import pytest

from plainformer.errors import ConfigError
from plainformer.generation import constraints, processors

from .toy import decoder, encoder_decoder

INF = np.inf


def apply(processor, ids, logits=None, V=6):
    """The changed logits of rows whose logits are 1, 2, ... V."""
    ids = np.atleast_2d(ids)
    if logits is None:
        logits = np.tile(np.arange(1.0, V + 1), (len(ids), 1))
    return processor(ids, np.array(logits, np.float32))


def banned(processor, ids, **options):
    """The ids that are ruled out, a list for each row."""
    return [np.flatnonzero(np.isneginf(row)).tolist() for row in apply(processor, ids, **options)]


def test_a_bias_is_added_where_its_sequence_would_be_complete():
    bias = processors.SequenceBias([([2], 0.5), ([1, 3], -2.0), ([4, 5, 3], 7.0)])
    np.testing.assert_array_equal(apply(bias, [[0, 1], [5, 0]]), [[1, 2, 3.5, 2, 5, 6],
                                                                 [1, 2, 3.5, 4, 5, 6]])  # fmt: skip
    assert apply(bias, [[0, 4, 5]])[0, 3] == 11
    assert apply(bias, [[5]])[0, 3] == 4  # too short for the third


def test_bad_words_are_banned_but_for_the_end():
    words = processors.NoBadWords([[2], [5], [1, 3]], ends=[5])
    assert banned(words, [[0, 1], [1, 0]]) == [[2, 3], [2]]


def test_a_repetition_penalty_moves_tokens_of_the_row_down():
    penalty = processors.RepetitionPenalty(2.0, np.array([0, 2]))
    logits = [[2.0, -2, 4, 4], [2, -2, 4, 4]]
    found = apply(penalty, [[0, 1, 1], [3, 3, 2]], logits)
    np.testing.assert_array_equal(found, [[1, -4, 4, 4], [2, -2, 2, 4]])  # padding: 3 is free


def test_a_penalty_of_the_source_moves_its_tokens_up():
    penalty = processors.EncoderRepetitionPenalty(2.0, [np.array([0, 1, 1]), np.array([3])])
    found = apply(penalty, [[0], [0]], [[2.0, -2, 4, 4], [2, -2, 4, 4]])
    np.testing.assert_array_equal(found, [[4, -1, 4, 4], [2, -2, 4, 8]])


@pytest.mark.parametrize(
    ("size", "ids", "wanted"),
    [
        (1, [3, 1, 3], [1, 3]),
        (2, [1, 2, 1, 4, 1], [2, 4]),
        (3, [1, 2, 3, 0, 1, 2], [3]),
        (3, [1, 2], []),
        (3, [1, 2, 3], []),
        (4, [1, 1, 1, 1, 1], [1]),
    ],
)
def test_no_ngram_comes_twice(size, ids, wanted):
    assert banned(processors.NoRepeatNGram(size), ids) == [wanted]


def test_padding_is_in_no_ngram():
    ids, starts = [[0, 0, 3, 0, 4], [1, 0, 3, 0, 4]], np.array([2, 0])
    assert banned(processors.NoRepeatNGram(1, starts), ids) == [[0, 3, 4], [0, 1, 3, 4]]
    ids = [[0, 3, 3, 0], [0, 3, 3, 0]]
    assert banned(processors.NoRepeatNGram(2, np.array([1, 0])), ids) == [[], [3]]
    ids = [[0, 0, 3]]
    assert banned(processors.NoRepeatNGram(1, np.array([2])), ids) == [[3]]


@pytest.mark.parametrize(
    ("size", "ids", "wanted"),
    [
        (1, [0], [[1, 2, 3], [4]]),
        (2, [1], [[2, 3], []]),
        (3, [1, 2], [[1], []]),
        (3, [0], [[], []]),
    ],
)
def test_no_ngram_of_the_source_comes(size, ids, wanted):
    sources = [np.array([1, 2, 1, 3]), np.array([4])]
    assert banned(processors.EncoderNoRepeatNGram(size, sources), [ids, ids]) == wanted


def test_the_end_waits_for_the_least_length():
    least = processors.MinLength(3, [0, 5])
    assert banned(least, [[1, 1]]) == [[0, 5]]
    assert banned(least, [[1, 1, 1]]) == [[]]


def test_forced_tokens_are_the_only_ones_at_their_place():
    forced = processors.ForcedToken(2, [3, 4])
    np.testing.assert_array_equal(apply(forced, [[1, 1]]), [[-INF, -INF, -INF, 0, 0, -INF]])
    np.testing.assert_array_equal(apply(forced, [[1]]), apply(lambda ids, x: x, [[1]]))


def test_the_end_gains_with_every_token_beyond():
    decay = processors.ExponentialDecayLengthPenalty(2, 1.5, [1, 2])
    np.testing.assert_array_equal(apply(decay, [[0, 0]]), [[1, 2, 3, 4, 5, 6]])
    found = apply(decay, [[0] * 4], [[1.0, 2, -4, 4, 5, 6]])
    np.testing.assert_allclose(found, [[1, 4.5, 1, 4, 5, 6]])  # by 1.5**2 - 1 = 1.25 times
    assert np.isneginf(apply(decay, [[0] * 4], [[0.0, -INF, 0, 0, 0, 0]])[0, 1])


def test_suppressed_tokens_are_banned_everywhere_or_at_one_length():
    assert banned(processors.SuppressTokens([1, 4]), [[0]]) == [[1, 4]]
    first = processors.SuppressTokens([1, 4], 1)
    assert banned(first, [[0]]) == [[1, 4]]
    assert banned(first, [[0, 0]]) == [[]]


class TestAllowedTokens:
    def test_each_row_has_its_own(self):
        seen = []

        def allowed(prompt, ids):
            seen.append((prompt, ids.tolist()))
            return [prompt, int(ids[-1])]

        constrained = constraints.PrefixConstrained(allowed, 2, np.array([0, 0, 1, 1]))
        ids = [[0, 5], [0, 4], [9, 3], [9, 2]]
        assert banned(constrained, ids) == [[1, 2, 3, 4], [1, 2, 3, 5], [0, 2, 4, 5], [0, 3, 4, 5]]
        assert seen == [(0, [0, 5]), (0, [0, 4]), (1, [3]), (1, [2])]

    def test_it_wins_where_all_was_ruled_out(self):
        constrained = constraints.PrefixConstrained(lambda prompt, ids: [2], 1, np.zeros(1, int))
        found = apply(constrained, [[0]], [[1.0, 1, -INF, 1]])
        np.testing.assert_array_equal(found, [[-INF, -INF, 0, -INF]])

    def test_nothing_allowed_is_an_error(self):
        constrained = constraints.PrefixConstrained(lambda prompt, ids: [], 1, np.zeros(1, int))
        with pytest.raises(ConfigError, match="allowed no token for prompt 0"):
            apply(constrained, [[0]])

    @pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}], ids=str)
    def test_texts_stay_within_a_tree_of_names(self, options):
        names = [(3, 4, 5), (3, 9, 1), (20, 2, 2)]
        model = decoder()

        def allowed(prompt, ids):
            written = tuple(ids[2:].tolist())
            place = len(written)
            return [n[place] for n in names if place < 3 and n[:place] == written] or [0]

        found = model.generate(
            [[7, 8], [8, 7]], 5, prefix_allowed_tokens_fn=allowed, eos_token_id=0, **options
        )
        assert all(tuple(row[2:5]) in names for row in found.tolist())


class TestForcedWords:
    @pytest.mark.parametrize("length", [6, 7, 13])
    @pytest.mark.parametrize(
        "options",
        [{}, {"num_beams": 3}, {"do_sample": True, "seed": 3}, {"no_repeat_ngram_size": 1}],
        ids=str,
    )
    def test_words_occur_before_the_end(self, length, options):
        """Ends are likely here, and the words unlikely."""
        model = decoder()
        words = [[1, 2], [3], [2, 4, 1]]
        plain = model.generate([[5, 6], [7, 8]], length, **options)
        end = next(t for t in plain[:, 2:].ravel().tolist() if t > 4)
        if length == 6:
            with pytest.raises(ConfigError, match=r"6 tokens .and an end. do not fit the 6 new"):
                model.generate([5, 6], length, force_words_ids=words, eos_token_id=end)
        ends = {} if length == 6 else {"eos_token_id": end}
        if options.get("no_repeat_ngram_size"):
            words = words[:2]
        found = model.generate([[5, 6], [7, 8]], length, force_words_ids=words, **ends, **options)
        for row in found[:, 2:].tolist():
            text = "".join(f" {token}" for token in row) + " "
            for word in words:
                assert "".join(f" {token}" for token in word) + " " in text

    def test_words_that_come_by_themselves_are_not_written_again(self):
        model = decoder()
        plain = model.generate([5, 6], 12)
        for word in (plain[3:5], plain[12:14]):
            found = model.generate([5, 6], 12, force_words_ids=[word.tolist()])
            np.testing.assert_array_equal(found, plain)

    def test_a_word_with_an_end_is_refused(self):
        with pytest.raises(ConfigError, match=r"force_words_ids: got .3, 4. with an id that ends"):
            decoder().generate([5], 9, force_words_ids=[[3, 4]], eos_token_id=4)

    def test_a_word_that_breaks_off_still_has_room(self):
        forced = constraints.ForceWords([[1, 2, 3]], 1, 5)
        assert apply(forced, [[0, 1]]).argmax() == 2  # the last chance to begin or go on
        assert apply(forced, [[0, 5]]).argmax() == 1
        assert np.isfinite(apply(forced, [[0]])).all()


class TestOwnProcessors:
    """Plain functions are processors, applied last."""

    @pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True}], ids=str)
    @pytest.mark.parametrize("make", [decoder, encoder_decoder])
    def test_a_function_shapes_the_text(self, make, options):
        def even(input_ids, logits):
            assert input_ids.shape[0] == logits.shape[0]
            logits[:, 1::2] = -INF
            return logits

        found = make().generate([[2, 4], [6, 8]], 6, logits_processor=[even], **options)
        assert not (found % 2).any()

    def test_they_see_the_text_and_come_after_the_built_in_ones(self):
        seen = []

        def record(input_ids, logits):
            seen.append((input_ids.copy(), logits.copy()))
            return logits

        model = decoder()
        found = model.generate([[2, 4]], 4, suppress_tokens=[3], logits_processor=[record])
        for i, (ids, logits) in enumerate(seen):
            np.testing.assert_array_equal(ids, found[:, : 2 + i])
            assert np.isneginf(logits[:, 3]).all()

    def test_criteria_end_rows(self):
        model = decoder()
        plain = model.generate([[2, 4], [4, 2]], 9)

        def long(input_ids, scores):
            return input_ids.shape[1] >= 6

        found = model.generate([[2, 4], [4, 2]], 9, stopping_criteria=[long])
        np.testing.assert_array_equal(found, plain[:, :6])
        first = model.generate(
            [[2, 4], [4, 2]], 9, pad_token_id=0,
            stopping_criteria=[lambda ids, scores: np.array([ids.shape[1] > 3, False])],
        )  # fmt: skip
        assert not first[0, 4:].any()
        np.testing.assert_array_equal(first[1], plain[1])
        beams = model.generate([[2, 4]], 9, num_beams=3, stopping_criteria=[long])
        assert beams.shape[1] == 6

"""Masked language modelling: how many tokens are hidden, which, and how."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer.data.objectives.masked import MaskedLanguageModeling
from plainformer.errors import ConfigError

from .tokenizers import draws, ids_of, vocabulary

KINDS = ["bpe", "wordpiece"]


def chosen(example):
    return np.flatnonzero(example["labels"] != -100)


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(length=st.integers(1, 80), example=st.integers(0, 2**40), part=st.integers(0, 9))
def test_an_example_hides_the_right_number_of_tokens(kind, whole_words, length, example, part):
    vocab = vocabulary(kind, "mlm")
    text = ids_of(kind, "mlm")[:length]
    objective = MaskedLanguageModeling(vocab, whole_word_mask=whole_words)
    got = objective(text, draws(example, part))
    whole = np.concatenate([vocab.prefix, text, vocab.suffix])
    places = chosen(got)
    wanted = max(1, round(0.15 * length))
    assert got["input_ids"].dtype == got["labels"].dtype == np.int32
    assert (got["labels"][places] == whole[places]).all()
    untouched = np.delete(np.arange(len(whole)), places)
    assert (got["input_ids"][untouched] == whole[untouched]).all()
    assert not vocab.special[whole[places]].any()
    if not whole_words:
        assert len(places) == wanted
        return
    word = np.cumsum(vocab.word_starts(text))
    hidden = set(word[places - 1])
    assert np.isin(word, list(hidden)).sum() == len(places)  # words whole
    assert 1 <= len(places) <= wanted or len(hidden) == 1


def test_masks_words_and_themselves_in_the_papers_shares():
    vocab = vocabulary("bpe", "mlm")
    text = np.resize(ids_of("bpe", "mlm"), 20_000)
    whole = np.concatenate([vocab.prefix, text, vocab.suffix])
    got = MaskedLanguageModeling(vocab, mlm_probability=0.5)(text, draws())
    places = chosen(got)
    now = got["input_ids"][places]
    assert len(places) == 10_000
    assert abs((now == vocab.mask).mean() - 0.8) < 0.02
    same = (now == whole[places]).mean()
    assert abs(same - 0.1) < 0.015
    others = now[(now != vocab.mask) & (now != whole[places])]
    assert not vocab.special[others].any()
    assert len(np.unique(others)) > 0.8 * len(vocab.ordinary)
    assert abs(np.diff(places).mean() - 2) < 0.05  # spread over the text


def test_special_tokens_inside_a_text_are_never_hidden():
    vocab = vocabulary("bpe", "mlm")
    text = np.where(np.arange(90) % 3 == 0, vocab.end, ids_of("bpe", "mlm")[:90]).astype(np.int32)
    got = MaskedLanguageModeling(vocab, mlm_probability=0.9)(text, draws())
    assert not vocab.special[got["labels"][chosen(got)]].any()
    assert len(chosen(got)) == round(0.9 * 60)


def test_a_text_of_special_tokens_has_no_label():
    vocab = vocabulary("bpe", "mlm")
    for whole_words in (False, True):
        got = MaskedLanguageModeling(vocab, whole_word_mask=whole_words)(
            np.full(4, vocab.end, np.int32), draws()
        )
        assert len(chosen(got)) == 0


def test_choices_differ_by_epoch_example_part_and_seed_and_repeat():
    text, objective = ids_of("bpe", "mlm")[:60], MaskedLanguageModeling(vocabulary("bpe", "mlm"))
    keys = [{"epoch": 1}, {"example": 1}, {"part": 1}, {"seed": 2}, {}]
    found = {tuple(objective(text, draws(**key))["labels"]) for key in keys}
    assert len(found) == len(keys)
    first, again = (objective(text, draws())["input_ids"].tolist() for _ in range(2))
    assert first == again


def test_choices_are_fixed_for_all_time():
    """A resumed run on another machine must find the examples that it left."""
    text = np.arange(20, 60, dtype=np.int32)
    got = MaskedLanguageModeling(vocabulary("wordpiece", "mlm"))(text, draws(7, 2, seed=5, epoch=3))
    assert chosen(got).tolist() == [1, 10, 11, 17, 25, 39]


def test_room_for_the_frame():
    assert MaskedLanguageModeling(vocabulary("bpe", "mlm")).text_size(10) == 8


@pytest.mark.parametrize("probability", [0, 1, -0.1, float("nan")])
def test_bad_probabilities_are_named(probability):
    with pytest.raises(ConfigError, match="mlm_probability: got"):
        MaskedLanguageModeling(vocabulary("bpe", "mlm"), mlm_probability=probability)

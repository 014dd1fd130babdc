"""Hiding words and filling them in: what stays, what is drawn, and that no neighbour matters."""

import numpy as np
import pytest

from plainformer.augmentation import Rewriter
from plainformer.data import TextExample
from plainformer.errors import ConfigError
from tests.tasks.tiny import TEXTS

from .tiny import masked_lm, tokenizer_of

WORDS = ["good", "bad", "film", "music", "warm", "cold", "truly", "what"]
ENGLISH = tokenizer_of([" ".join(WORDS)] * 9, "wordpiece:200")


def rewriter(tokenizer=ENGLISH, **options):
    return Rewriter(masked_lm(tokenizer), tokenizer, **options)


def texts(made, example, copies=20, **options):
    examples = [example] if isinstance(example, TextExample) else [TextExample(example, "pos")]
    return [text for _, text in made.variants(examples, copies, **options)]


def test_only_hidden_words_change_and_the_rest_stays_as_it_was():
    text = "  Good,  XYZZY film ... (truly)\tgood!"
    made = rewriter(mask_fraction=0.2)  # one of five
    for new in texts(made, text):
        parts, old = new.split(), text.split()
        changed = [i for i, (a, b) in enumerate(zip(old, parts)) if a != b]
        assert len(parts) == len(old)
        assert len(changed) <= 1
        assert new.startswith("  ")
        assert "\t" in new
        assert [c for c in new if not c.isalnum()] == [c for c in text if not c.isalnum()]


@pytest.mark.parametrize(("fraction", "hidden"), [(0.01, 1), (0.5, 4), (0.6, 5), (1.0, 8)])
def test_the_fraction_of_words_is_hidden(fraction, hidden):
    seen = []
    made = rewriter(mask_fraction=fraction)
    fill = made._fill
    made._fill = lambda drafts: (
        seen.extend(draft.ids.count(made.mask) for draft in drafts),
        fill(drafts),
    )
    texts(made, " ".join(WORDS), 3)
    assert seen == [hidden] * 3


def test_a_word_of_several_tokens_is_one_mask():
    tokenizer = tokenizer_of(["good film"] * 5, "wordpiece:40")
    assert len(tokenizer.encode("goodo", add_special_tokens=False).ids) > 1
    made = rewriter(tokenizer, mask_fraction=1.0)
    [draft] = made._drafts([(TextExample("goodo film", "pos"), 0, 0)], 0)
    assert draft.ids[1:-1] == [made.mask] * 2
    assert {draft.text[slice(*span)] for span in draft.spans} == {"goodo", "film"}


def test_what_is_drawn_is_a_whole_word_and_nothing_special():
    special = {i for i, t in ENGLISH.get_added_tokens_decoder().items() if t.special}
    made = rewriter(top_k=None, temperature=5.0, mask_fraction=1.0)
    assert not special & set(made._ids.tolist())
    assert not any(ENGLISH.id_to_token(int(i)).startswith("##") for i in made._ids)
    words = {word for new in texts(made, " ".join(WORDS), 30) for word in new.split()}
    assert words <= set(made._words)
    assert len(words) > len(made._words) // 2


def test_words_that_the_model_finds_likely_are_drawn_where_it_is_cold():
    made = rewriter(temperature=1e-6, mask_fraction=0.1)
    drafts = made._drafts([(TextExample("good film", "pos"), 0, 0)], 0)
    best = made._words[int(made._logits(drafts, [int(drafts[0].places[0])])[0].argmax())]
    assert best in texts(made, "good film", 1)[0]


def test_top_k_1_has_no_choice_and_a_seed_has_no_say():
    def words(made, seed):
        return texts(made, "good", 5, seed=seed)

    assert len(set(words(rewriter(top_k=1), 1) + words(rewriter(top_k=1), 2))) == 1
    assert len(set(words(rewriter(top_k=None), 1))) > 1


def test_the_logits_of_a_place_are_those_of_the_whole_model():
    made = rewriter(mask_fraction=0.5)
    jobs = [(TextExample("good music and warm", "pos"), 0, 0), (TextExample("bad", "neg"), 1, 0)]
    drafts = made._drafts(jobs, 0)
    places = [int(draft.places[0]) for draft in drafts]
    made.model.eval()
    got = made._logits(drafts, places)
    for row, draft, place in zip(got, drafts, places):
        whole = np.asarray(made.model(input_ids=[draft.ids]).logits)[0, place]
        assert row.tobytes() == whole[made._ids].tobytes()


@pytest.mark.parametrize("show_labels", [False, True])
def test_an_example_alone_gives_what_it_gives_in_any_batch(show_labels):
    made = rewriter(mask_fraction=0.4, show_labels=show_labels)
    whole = list(made.variants(TEXTS, 3, seed=5, batch_size=32))
    assert list(made.variants(TEXTS, 3, seed=5, batch_size=1)) == whole
    assert list(made.variants(TEXTS, 3, seed=5, batch_size=7)) == whole
    assert list(made.variants(TEXTS[:1], 3, seed=5)) == whole[:3]
    assert list(made.variants(TEXTS, 3, seed=6)) != whole


def test_the_label_is_shown_but_not_hidden_and_not_written():
    tokenizer = tokenizer_of(["pos neg " + " ".join(WORDS)] * 9, "wordpiece:200")
    made = rewriter(tokenizer, mask_fraction=1.0, show_labels=True)
    [draft] = made._drafts([(TextExample("good film", "pos"), 0, 0)], 0)
    assert draft.ids[1:-1] == [tokenizer.token_to_id("pos"), made.mask, made.mask]
    assert all(len(new.split()) == 2 for new in texts(made, TextExample("good film", "pos"), 5))
    shown = [texts(made, TextExample("good film", label), 30) for label in ("pos", "neg")]
    assert shown[0] != shown[1]


def test_a_long_text_is_rewritten_at_its_beginning_and_kept_whole():
    made = rewriter(mask_fraction=1.0)
    text = " ".join(["good"] * 100)  # the model takes 48 tokens
    [new] = texts(made, text, 1)
    assert len(new.split()) == 100
    assert new.split()[46:] == ["good"] * 54
    assert set(new.split()[:46]) != {"good"}


def test_capital_letters_stay_where_the_tokenizer_knows_none():
    made = rewriter(mask_fraction=1.0)
    for new in texts(made, "Good FILM music", 10):
        first, second, third = new.split()
        assert first == first.lower().capitalize()
        assert second.isupper()
        assert third.islower()


def test_words_at_apostrophes_stay():
    made = rewriter(mask_fraction=1.0)
    for new in texts(made, "what's good isn\u2019t", 10):
        assert new.startswith("what's ")
        assert new.endswith(" isn\u2019t")


@pytest.mark.parametrize("text", ["...", "?!", "it's"])
def test_a_text_without_words_has_no_variant(text):
    assert texts(rewriter(), text, 2) == [None, None]


@pytest.mark.parametrize("spec", ["wordpiece:60", "char"])
def test_chinese_characters_are_words(spec):
    sentence = "\u9152\u5e97\u7684\u670d\u52a1\u5f88\u597d\uff0c\u623f\u95f4\u5e72\u51c0\u3002"
    tokenizer = tokenizer_of([sentence] * 9, spec)
    made = rewriter(tokenizer, mask_fraction=0.2, top_k=None)
    new = texts(made, sentence, 20)
    assert any(text != sentence for text in new)
    for text in new:
        assert len(text) == len(sentence)
        assert sum(a != b for a, b in zip(text, sentence)) <= 2
        assert (text[7], text[12]) == ("\uff0c", "\u3002")


def test_byte_level_tokens_keep_the_spaces_between_words():
    tokenizer = tokenizer_of([" ".join(WORDS)] * 9, "bpe:420")
    made = rewriter(tokenizer, mask_fraction=1.0, top_k=None)
    for text in texts(made, "good  film, truly", 10):
        assert [c for c in text if not c.isalnum()] == [" ", " ", ",", " "]
        assert text.replace(" ", "").replace(",", "").isalnum()


def test_words_with_combining_marks_are_words():
    sentence = "अच्छी फिल्म दिल्ली में"
    made = rewriter(tokenizer_of([sentence] * 9, "wordpiece:60"), mask_fraction=0.5, top_k=None)
    found = texts(made, sentence, 10)
    for i, word in enumerate(sentence.split()):
        assert any(text.split()[i] != word for text in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_fraction": 0.0}, "mask_fraction: got 0.0, expected more than 0 and at most 1"),
        ({"mask_fraction": 1.1}, "mask_fraction: got 1.1"),
        ({"mask_fraction": float("nan")}, "mask_fraction: got nan"),
        ({"temperature": 0.0}, "temperature: got 0.0, expected more than 0"),
        ({"top_k": 0}, "top_k: got 0, expected at least 1"),
    ],
    ids=str,
)
def test_values_out_of_range_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        rewriter(**options)


def test_a_tokenizer_without_a_mask_token_is_refused():
    tokenizer = tokenizer_of(["good film"], "char", "clm")
    with pytest.raises(ConfigError, match="tokenizer: has no mask token"):
        rewriter(tokenizer)


def test_special_tokens_that_a_text_spells_stay():
    made = rewriter(mask_fraction=1.0)
    for new in texts(made, "good [MASK] film [SEP]", 5):
        assert new.split()[1::2] == ["[MASK]", "[SEP]"]

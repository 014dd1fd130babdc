"""`pf.augment`: labels kept, doubles dropped and counted, a classifier asked, bad input named."""

import json

import pytest

import plainformer as pf
from plainformer.augmentation import Augmenter
from plainformer.data import TextExample, TokenExample
from plainformer.errors import CheckpointError, ConfigError, DataError, PlainformerWarning
from tests.tasks.tiny import TEXTS, tune

from .tiny import masked_lm, tokenizer_of


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    out = tmp_path_factory.mktemp("classifier")
    tune("text-classification", out, max_steps=40, eval_strategy="no")
    return out


def test_new_examples_keep_their_labels_and_are_none_of_the_old(directory):
    new = pf.augment(directory, TEXTS, copies=3, label_epochs=0)
    old = {example.text for example in TEXTS}
    assert new
    assert {example.label for example in new} == {"pos", "neg"}
    texts = [example.text for example in new]
    assert len(set(texts)) == len(texts)
    assert not old & set(texts)


def test_counts_add_up(directory):
    examples = [*TEXTS, TextExample("...", "neg")]
    augmenter = Augmenter(directory, copies=5, top_k=2, label_epochs=0)
    new = list(augmenter.stream(examples))
    counts = augmenter.counts
    assert counts.examples == 11
    assert counts.wordless == 1
    assert counts.written == len(new)
    assert counts.doubles > 0
    assert counts.written + counts.doubles + counts.rejected == 5 * 10
    assert counts.rejected == 0


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_same_seed_gives_the_same_texts_in_batches_of_any_size(directory, epochs):
    options = {"copies": 2, "label_epochs": epochs}
    base = pf.augment(directory, TEXTS, seed=3, **options)
    assert pf.augment(directory, TEXTS, seed=3, batch_size=1, **options) == base
    assert pf.augment(directory, TEXTS, seed=4, **options) != base


def test_a_second_run_starts_from_the_model_as_it_was(directory):
    augmenter = Augmenter(directory, label_epochs=2, learning_rate=1e-2)
    first = list(augmenter.stream(TEXTS))
    assert list(augmenter.stream(TEXTS)) == first
    assert augmenter.counts.written == len(first)


def test_an_example_alone_gives_the_texts_that_it_gives_first(directory):
    alone = pf.augment(directory, TEXTS[:1], copies=3, label_epochs=0)
    whole = pf.augment(directory, TEXTS, copies=3, label_epochs=0)
    assert whole[: len(alone)] == alone


@pytest.mark.parametrize(
    "change",
    [{"copies": 5}, {"mask_fraction": 0.9}, {"temperature": 9.0}, {"top_k": 1}, {"top_k": None},
     {"label_epochs": 3}, {"seed": 1}],
    ids=str,
)  # fmt: skip
def test_every_option_changes_what_is_written(directory, change):
    usual = {"copies": 3, "label_epochs": 0, "top_k": 8}
    assert pf.augment(directory, TEXTS, **{**usual, **change}) != pf.augment(
        directory, TEXTS, **usual
    )


def test_the_learning_rate_changes_what_is_written(directory):
    def written(rate):
        return pf.augment(directory, TEXTS, label_epochs=3, learning_rate=rate)

    assert written(3e-2) != written(None)


def test_a_classifier_keeps_what_it_gives_the_same_label(directory, classifier):
    options = {"copies": 6, "mask_fraction": 0.5, "label_epochs": 0}
    everything = pf.augment(directory, TEXTS, **options)
    augmenter = Augmenter(directory, classifier=classifier, **options)
    kept = list(augmenter.stream(TEXTS))
    ask = pf.pipeline("text-classification", classifier)
    assert kept == [e for e in everything if ask([e.text])[0]["label"] == e.label]
    assert 0 < augmenter.counts.rejected == len(everything) - len(kept)
    scores = [ask([e.text])[0]["score"] for e in kept]
    least = sorted(scores)[len(scores) // 2]
    sure = pf.augment(directory, TEXTS, classifier=classifier, min_score=least, **options)
    assert sure == [e for e, score in zip(kept, scores) if score >= least]
    assert len(sure) < len(kept)


def test_one_label_alone_is_fine(directory):
    assert {e.label for e in pf.augment(directory, TEXTS[:5], label_epochs=1)} == {"pos"}


def test_old_and_new_examples_train_a_classifier(directory, tmp_path):
    new = pf.augment(directory, TEXTS, copies=2, label_epochs=0)
    result = tune("text-classification", tmp_path, train=[*TEXTS, *new])
    assert result.metrics["steps"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"copies": 0}, "copies: got 0, expected at least 1"),
        ({"batch_size": 0}, "batch_size: got 0, expected at least 1"),
        ({"label_epochs": -1}, "label_epochs: got -1, expected at least 0"),
        ({"seed": -1}, "seed: got -1, expected at least 0"),
        ({"mask_fraction": 2.0}, "mask_fraction: got 2.0"),
        ({"temperature": -1.0}, "temperature: got -1.0"),
        ({"top_k": 0}, "top_k: got 0"),
        ({"min_score": 0.5}, "min_score: has no effect without a classifier"),
        ({"learning_rate": 1e-3, "label_epochs": 0}, "learning_rate: has no effect"),
        ({"learning_rate": -1.0}, "learning_rate: got -1.0"),
        ({"copy": 1}, "copy"),
    ],
    ids=str,
)
def test_values_out_of_range_are_named(directory, options, message):
    with pytest.raises((ConfigError, TypeError), match=message):
        pf.augment(directory, TEXTS, **options)


def test_a_score_out_of_range_is_named(directory, classifier):
    with pytest.raises(ConfigError, match=r"min_score: got 1\.5, expected 0 to 1"):
        Augmenter(directory, classifier=classifier, min_score=1.5)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "examples: got none"),
        ([TextExample("good", "pos"), TextExample("bad", None, "f.jsonl", 2)], "f.jsonl:2: 'bad'"),
        ([TokenExample(["good"], ["O"])], "got TokenExample, expected TextExample"),
    ],
    ids=["none", "no label", "other task"],
)
def test_bad_examples_are_named(directory, examples, message):
    with pytest.raises(DataError, match=message):
        pf.augment(directory, examples)


def test_a_label_that_the_classifier_cannot_give_is_named(directory, classifier):
    with pytest.raises(DataError, match="'new' is not among the 2 known"):
        pf.augment(directory, [TextExample("good", "new")], classifier=classifier)


def test_a_model_without_the_head_is_refused_with_the_way_out(tmp_path, classifier):
    with (
        pytest.warns(PlainformerWarning, match="new weights"),
        pytest.raises(CheckpointError, match="plainformer pretrain --objective mlm --model"),
    ):
        Augmenter(classifier)
    decoder = tmp_path / "decoder"
    decoder.mkdir()
    (decoder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ConfigError, match="gpt2"):
        Augmenter(decoder)
    with pytest.raises(CheckpointError):
        Augmenter(tmp_path / "nowhere")


def test_a_model_without_a_tokenizer_is_refused(tmp_path):
    masked_lm(tokenizer_of(["good film"])).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="tokenizer"):
        Augmenter(tmp_path)


def test_a_classifier_of_other_things_is_refused(directory, tmp_path):
    tune("token-classification", tmp_path, eval_strategy="no")
    with pytest.raises(ConfigError, match="fine-tuned for token-classification"):
        Augmenter(directory, classifier=tmp_path)

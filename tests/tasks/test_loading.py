"""Fine-tuning again: labels and tokens added, old rows kept, heads started anew."""

import json
from shutil import copytree

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import TextExample, TokenExample
from plainformer.errors import CheckpointError, ConfigError
from plainformer.tasks import open_task

from .tiny import ENCODER, RELATIONS, TASKS, TEXTS, TOKENS, relation, tune, weights

# A head that the checkpoint has not is what these tests are about.

NEW = [TextExample("rain and wind", "weather"), TextExample("wind and rain", "weather")]
MIXED = [*NEW, *TEXTS[:2]]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A classifier of two labels that has learned them."""
    directory = tmp_path_factory.mktemp("first")
    tune("text-classification", directory, max_steps=30, eval_strategy="no")
    return directory


def again(first, tmp_path, name="again", **options):
    usual = {"model": first, "train": MIXED, "validation": MIXED, "eval_strategy": "no"}
    return tune("text-classification", tmp_path / name, **{**usual, **options})


def test_labels_are_added_behind_the_old_ones(first, tmp_path):
    task = again(first, tmp_path, learning_rate=1e-30, max_steps=1).task
    old = open_task(first)
    assert task.labels.labels == ("neg", "pos", "weather")
    now, then = task.model.classifier, old.model.classifier
    np.testing.assert_array_equal(now.weight.data[:2], then.weight.data)
    np.testing.assert_array_equal(now.bias.data[:2], then.bias.data)
    assert now.weight.data[2].any()
    assert abs(now.bias.data[2]) < 1e-20
    body = dict(old.model.bert.named_parameters())
    for name, parameter in task.model.bert.named_parameters():
        np.testing.assert_array_equal(parameter.data, body[name].data)
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["id2label"] == {"0": "neg", "1": "pos", "2": "weather"}


MORE = {
    "text-classification": [TextExample("rain and wind", "weather")],
    "token-classification": [TokenExample(["Monday", "came"], ["B-DAY", "O"])],
    "relation-extraction": [
        relation("the saw of the cat", "saw", "cat", "Owner(e1,e2)", head_type="TOOL")
    ],
}


@pytest.mark.parametrize("task", MORE)
def test_every_task_with_labels_learns_more_of_them(tmp_path, task):
    """A new label (and a new type of entity) beside the old: what was known is answered as before
    the first update, and the directory is one to go on from again."""
    tune(task, tmp_path / "first", max_steps=20, eval_strategy="no")
    old = open_task(tmp_path / "first")
    new = tune(
        task, tmp_path / "more", model=tmp_path / "first", train=MORE[task], validation=None,
        max_steps=1, learning_rate=1e-30,
    ).task  # fmt: skip
    count = len(old.labels.labels)
    assert new.labels.labels[:count] == old.labels.labels
    added = {"token-classification": {"B-DAY", "I-DAY"}, "text-classification": {"weather"}}
    assert set(new.labels.labels[count:]) == added.get(task, {"Owner(e1,e2)"})
    examples = TASKS[task][2]
    features = old.encode(examples, labelled=False)
    for (a,), (b,) in zip(features, new.encode(examples, labelled=False)):
        assert a.inputs["input_ids"].tolist() == b.inputs["input_ids"].tolist()
        known, grown = (
            np.asarray(t.model(**t.collate([f.inputs])).logits) for t, f in ((old, a), (new, b))
        )
        np.testing.assert_allclose(grown[..., :count], known, atol=1e-6)
    third = tune(
        task, tmp_path / "third", model=tmp_path / "more", train=[*examples, *MORE[task]],
        validation=MORE[task], replay=examples, max_steps=2,
    )  # fmt: skip
    assert third.task.labels.labels == new.labels.labels


def test_the_same_labels_keep_the_head(first, tmp_path):
    result = again(first, tmp_path, train=TEXTS, validation=TEXTS, max_steps=1)
    assert result.metrics["before_eval_accuracy"] == 1.0


def test_a_new_head_has_the_labels_of_the_data_alone(first, tmp_path):
    task = again(first, tmp_path, train=[*NEW, TEXTS[0]], validation=NEW, new_head=True).task
    assert task.labels.labels == ("pos", "weather")


def test_a_new_head_of_the_same_labels_starts_from_other_weights(first, tmp_path):
    options = {"train": TEXTS, "validation": TEXTS, "learning_rate": 1e-30, "max_steps": 1}
    task = again(first, tmp_path, new_head=True, **options).task
    old = open_task(first).model.classifier.weight.data
    assert not np.array_equal(task.model.classifier.weight.data, old)


def test_a_checkpoint_of_another_task_lends_its_body(first, tmp_path):
    task = tune("token-classification", tmp_path / "ner", model=first, learning_rate=1e-30).task
    old = open_task(first).model
    np.testing.assert_array_equal(
        task.model.bert.embeddings.word_embeddings.weight.data,
        old.bert.embeddings.word_embeddings.weight.data,
    )
    assert task.labels.labels == ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
    assert tuple(sorted({t for e in TOKENS for t in e.tags})) == ("B-LOC", "B-PER", "I-PER", "O")


def test_a_head_of_another_task_is_not_taken_for_ours(tmp_path):
    words = [TokenExample(["rain", "falls"], ["NOUN", "VERB"])]
    tune("token-classification", tmp_path / "ner", train=words, validation=words)
    task = tune("text-classification", tmp_path / "cls", model=tmp_path / "ner").task
    assert task.labels.labels == ("neg", "pos")


def test_a_body_that_does_not_fit_is_an_error(first, tmp_path):
    copy = copytree(first, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 33}))
    with pytest.raises(CheckpointError, match=r"intermediate\.dense\.weight"):
        tune("token-classification", tmp_path / "ner", model=copy)


def test_markers_are_added_behind_the_old_tokens(first, tmp_path):
    task = tune("relation-extraction", tmp_path / "r", model=first, learning_rate=1e-30).task
    old = open_task(first).model.bert.embeddings.word_embeddings.weight.data
    new = task.model.bert.embeddings.word_embeddings.weight.data
    assert len(new) == len(old) + 4
    np.testing.assert_array_equal(new[: len(old)], old)
    assert 0.01 < new[len(old) :].std() < 0.3
    assert [task.tokenizer.id_to_token(len(old) + i) for i in range(4)] == [
        "[E1]", "[/E1]", "[E2]", "[/E2]",
    ]  # fmt: skip
    again = tune("relation-extraction", tmp_path / "r2", model=tmp_path / "r", train=RELATIONS)
    assert len(again.task.model.bert.embeddings.word_embeddings.weight.data) == len(new)


def test_numbered_labels_are_no_labels(first, tmp_path):
    directory = tmp_path / "numbered"
    again(first, tmp_path, "numbered", train=TEXTS, validation=TEXTS)
    config = json.loads((directory / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (directory / "config.json").write_text(json.dumps(config))
    task = tune("text-classification", tmp_path / "out", model=directory).task
    assert task.labels.labels == ("neg", "pos")


def test_a_model_without_task_file_is_opened_for_a_named_task(first, tmp_path):
    copy = copytree(first, tmp_path / "copy")
    (copy / "task.json").unlink()
    assert open_task(copy).name == "text-classification"  # as `architectures` says
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(ConfigError, match=r"has no task.json; say what the model is for"):
        open_task(copy)
    assert pf.pipeline("text-classification", copy)("so good it was")[0]["label"] == "pos"


def test_the_vocabulary_is_the_tokenizers(tmp_path):
    with pytest.raises(ConfigError, match="vocab_size: config has 7, but the tokenizer has"):
        tune("text-classification", tmp_path / "o", model={**ENCODER, "vocab_size": 7},
             tokenizer="wordpiece:120")  # fmt: skip


def test_a_configuration_may_be_a_file_and_gives_the_same_model(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(ENCODER))
    tune("text-classification", tmp_path / "a")
    tune("text-classification", tmp_path / "b", model=path, tokenizer="wordpiece:120")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")

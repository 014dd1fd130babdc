"""Bad input: one clear line that says what and where; nothing is dropped in silence."""

import json
import logging

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import (
    ChoiceExample,
    DialogueExample,
    Message,
    PairExample,
    QuestionExample,
    TextExample,
    TokenExample,
)
from plainformer.errors import ConfigError, DataError, NonFiniteError, PlainformerWarning
from plainformer.tasks import open_task
from plainformer.training import Trainer, TrainingArguments

from .tiny import TASKS, TEXTS, TOKENS, relation, tune, write_jsonl

ROWS = [{"text": e.text, "label": e.label} for e in TEXTS]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("good")
    tune("text-classification", directory)
    return directory


def train_on(tmp_path, content, task="text-classification", name="train.jsonl", **options):
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / name
    if isinstance(content, list):
        write_jsonl(path, content)
    else:
        path.write_bytes(content)
    return tune(task, tmp_path / "out", train=str(path), validation=None, **options)


def message_of(error, call):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_empty_file(tmp_path):
    message = message_of(DataError, lambda: train_on(tmp_path, b""))
    assert message == f"{tmp_path}/train.jsonl: is empty"


def test_one_class_only(tmp_path):
    rows = [row for row in ROWS if row["label"] == "pos"]
    message = message_of(DataError, lambda: train_on(tmp_path, rows))
    assert "only 'pos', in 5 examples; expected at least two" in message


def test_one_class_is_enough_for_a_model_that_knows_others(tmp_path, directory):
    rows = [{"text": "rain and wind", "label": "weather"}]
    result = train_on(tmp_path, rows, model=directory)
    assert result.task.labels.labels == ("neg", "pos", "weather")
    message = message_of(
        DataError, lambda: train_on(tmp_path / "x", rows, model=directory, new_head=True)
    )
    assert "only 'weather'" in message


def test_labels_unseen_in_training(tmp_path):
    path = write_jsonl(tmp_path / "v.jsonl", [*ROWS, {"text": "so so", "label": "mixed"}])
    message = message_of(
        DataError, lambda: tune("text-classification", tmp_path / "out", validation=str(path))
    )
    assert "validation: 1 labels were not seen in training" in message
    assert f"{path}:11: label 'mixed' is not among the 2 known ones (neg, pos)" in message


def test_invalid_utf_8(tmp_path):
    good = json.dumps(ROWS[0]).encode()
    message = message_of(DataError, lambda: train_on(tmp_path, good + b'\n{"text": "\xff"}\n'))
    assert message.startswith(f"{tmp_path}/train.jsonl:2: ")
    assert "UTF-8" in message


def test_bad_lines_are_counted_where_that_is_asked_for(tmp_path, caplog):
    rows = [*ROWS, {"text": "no label"}]
    with caplog.at_level(logging.INFO, "plainformer"):
        train_on(tmp_path, rows, skip_bad_lines=True)
    assert any("10 examples, 1 bad line skipped" in m for m in caplog.messages)
    assert any("train.jsonl:11" in m for m in caplog.messages)


def test_a_text_longer_than_the_model_is_cut_and_counted(tmp_path, caplog):
    long = [*TEXTS, TextExample("good " * 500, "pos")]
    with caplog.at_level(logging.INFO, "plainformer"):
        result = tune("text-classification", tmp_path / "out", train=long)
    assert any("longest 48; 1 cut to 48" in m for m in caplog.messages)
    assert len(pf.pipeline(None, result.task)("good " * 500)) == 1


CUT = {
    "text-classification": TextExample("good " * 200, "pos"),
    "relation-extraction": relation("the saw cut " + "and " * 90 + "wood", "saw", "wood", "Other"),
    "multiple-choice": ChoiceExample("rain is " * 90, ["wet", "dry"], 0),
    "translation": PairExample("a x " * 90, "x a"),
    "summarization": PairExample("a x " * 90, "x a"),
    "dialogue": DialogueExample(
        [Message("user", "I am Bob " * 90), Message("assistant", "hello Bob")]
    ),
}


@pytest.mark.parametrize("task", CUT)
def test_what_had_to_be_cut_is_counted_in_every_set(tmp_path, caplog, task):
    examples = [*TASKS[task][2], CUT[task]]
    with caplog.at_level(logging.INFO, "plainformer"):
        tuned = tune(task, tmp_path / "out", train=examples, validation=examples).task
    field = {"translation": "source", "summarization": "document"}.get(task)
    what = f"1 with {field} cut to {tuned.field_limits()[field]}" if field else "1 cut to"
    assert [m for m in caplog.messages if m.startswith("train: ") and f"; {what}" in m]
    told = f"validation: 1 of {len(examples)} cut to {tuned.max_length} tokens"
    if field:
        told = f"validation: {len(examples)} examples; {what}"
    if task != "dialogue":  # whose validation is a perplexity, without answers
        assert caplog.messages.count(told) == 2  # before and after
    tuned.cut = 0
    list(tuned.predict(examples))
    assert tuned.cut == 1


def test_long_sentences_and_contexts_are_seen_whole(tmp_path, caplog):
    """Windows: nothing is cut."""
    words = TokenExample(["rain"] * 200, ["O"] * 200)
    with caplog.at_level(logging.INFO, "plainformer"):
        tagger = tune("token-classification", tmp_path / "tags", train=[*TOKENS, words]).task
        asker = tune("question-answering", tmp_path / "answers").task
    [(_, tagging)] = tagger.predict([words])
    assert len(tagging.tags) == 200
    question = QuestionExample("where is Ann ?", "the rain fell . " * 40 + "Ann is in Rome")
    [(_, [found])] = asker.predict([question])
    assert found.end <= len(question.context)
    assert (tagger.cut, asker.cut) == (0, 0)
    assert not [m for m in caplog.messages if " cut to " in m]


def test_tokens_that_the_tokenizer_does_not_know_are_told(tmp_path, caplog):
    tune("text-classification", tmp_path / "first", max_steps=1)
    strange = [TextExample("龙 good", "pos"), TextExample("龙 bad", "neg")]
    with caplog.at_level(logging.INFO, "plainformer"):
        tune("text-classification", tmp_path / "out", model=tmp_path / "first", train=strange,
             max_steps=1)  # fmt: skip
    assert any("; 25 % of tokens unknown" in m for m in caplog.messages)


def test_tags_out_of_order(tmp_path):
    text = b"Ann B-PER\nLee I-PER\n\nso O\nParis I-LOC\n"
    message = message_of(
        DataError, lambda: train_on(tmp_path, text, "token-classification", "t.conll")
    )
    assert message.startswith(f"{tmp_path}/t.conll:5: ")
    assert "I-LOC after O" in message


def test_an_answer_that_is_not_in_the_context(tmp_path):
    row = {
        "question": "where ?",
        "context": "Ann is in Paris",
        "answers": [{"text": "Rome", "answer_start": 10}],
    }
    message = message_of(DataError, lambda: train_on(tmp_path, [row], "question-answering"))
    assert message.startswith(f"{tmp_path}/train.jsonl:1: answer 'Rome' is not at character 10")


@pytest.mark.filterwarnings("ignore:cross entropy. every label is ignored")
def test_training_goes_on_past_a_batch_without_a_gold_label(tmp_path):
    task = tune("token-classification", tmp_path / "out").task
    [[feature]] = task.encode(TOKENS[:1], labelled=True)
    silent = {**feature.inputs, "labels": np.full_like(feature.inputs["labels"], -100)}
    args = TrainingArguments(
        output_dir=str(tmp_path / "again"), per_device_train_batch_size=1, max_steps=2
    )
    with pytest.warns(PlainformerWarning, match="an update without labels that count"):
        output = Trainer(task.model, args, [silent, feature.inputs], None, task.collate).train()
    assert output.training_loss > 0


@pytest.mark.filterwarnings("ignore:cross entropy. every label is ignored")
def test_a_batch_without_a_gold_label_has_no_loss(tmp_path):
    task = tune("token-classification", tmp_path / "out").task
    [[feature]] = task.encode(TOKENS[:1], labelled=True)
    inputs = {**feature.inputs, "labels": np.full_like(feature.inputs["labels"], -100)}
    output = task.model(**task.collate([inputs]))
    assert float(np.asarray(output.loss)) == 0.0


def test_nan_in_the_weights_is_no_answer(directory):
    task = open_task(directory)
    weight = task.model.classifier.weight
    weight.assign(np.full_like(weight.data, np.nan))
    message = message_of(NonFiniteError, lambda: list(task.predict(TEXTS[:1])))
    assert message.startswith("logits: the model gives NaN")


def test_a_loss_that_becomes_nan_stops_training(tmp_path, directory):
    message = message_of(
        NonFiniteError,
        lambda: tune(
            "text-classification", tmp_path / "out", model=directory, learning_rate=1e38,
            max_grad_norm=0.0, max_steps=9, eval_strategy="no",
        ),
    )  # fmt: skip
    assert "not finite at step" in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "input: got int, expected a text, or an object"),
        ("", "input is empty; expected text"),
        ({"words": "x"}, "no 'text'"),
        ({"text": 3}, "got 3, expected text"),
        (["fine", None], "input: got NoneType"),
    ],
)
def test_requests_that_are_none(directory, given, message):
    classify = pf.pipeline(None, directory)
    assert message in message_of(DataError, lambda: classify(given))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("even", "class_weights: got 'even', expected 'balanced'"),
        ({"sad": 2.0}, "class_weights: 'sad' is none of the labels"),
        ({"pos": 0}, "class_weights: 'pos' has 0, expected above 0"),
        ({"pos": "2"}, "class_weights: 'pos' has '2', expected above 0"),
    ],
)
def test_class_weights_that_cannot_be(tmp_path, weights, message):
    assert message in message_of(
        ConfigError, lambda: tune("text-classification", tmp_path / "out", class_weights=weights)
    )


def test_class_weights_need_labels(tmp_path):
    assert "class_weights: dialogue has no labels" in message_of(
        ConfigError, lambda: tune("dialogue", tmp_path / "out", class_weights="balanced")
    )


def test_a_question_without_context_is_told_what_is_wanted(tmp_path):
    task = tune("question-answering", tmp_path / "out").task
    ask = pf.pipeline(None, task)
    assert 'expected {"question": ..., "context": ...}' in message_of(
        DataError, lambda: ask("where is Ann ?")
    )


def test_words_that_are_none(tmp_path):
    task = tune("token-classification", tmp_path / "out").task
    tag = pf.pipeline(None, task)
    assert "'tokens': expected a list of words" in message_of(
        DataError, lambda: tag({"tokens": "Ann Lee"})
    )
    assert tag(TokenExample(["Ann"])) == tag({"tokens": ["Ann"]})

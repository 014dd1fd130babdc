"""Tags of words: labels on first sub-tokens, windows of long sentences, none lost."""

import numpy as np
import pytest

from plainformer.data import TextExample, TokenExample, examples_of
from plainformer.data.batches import IGNORE_INDEX
from plainformer.tasks import TaskExamples
from plainformer.tasks.token_classification import Tagging

from .tiny import TOKENS, tune


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return tune(
        "token-classification", tmp_path_factory.mktemp("ner"), max_steps=1, max_length=8, overlap=2
    ).task


def long_sentence(words):
    tags = ["O", "B-PER", "I-PER", "O", "B-LOC"]
    return TokenExample(
        [TOKENS[0].tokens[i % 5] for i in range(words)], [tags[i % 5] for i in range(words)]
    )


@pytest.mark.parametrize("words", [1, 2, 5, 6, 7, 23, 60])
def test_every_gold_label_is_learned_exactly_once(task, words):
    example = long_sentence(words)
    [features] = task.encode([example], labelled=True)
    learned = [x for f in features for x in f.inputs["labels"] if x != IGNORE_INDEX]
    assert task.labels.names(learned) == example.tags
    assert all(len(f.inputs["input_ids"]) <= 8 for f in features)
    assert not any(f.cut for f in features)


def test_a_label_stands_on_the_first_sub_token(task):
    [features] = task.encode([TokenExample(["Parisian", "Lee"], ["B-LOC", "O"])], labelled=True)
    [feature] = features
    labels, ids = feature.inputs["labels"], feature.inputs["input_ids"]
    pieces = [task.tokenizer.id_to_token(i) for i in ids]
    first = [p for p, label in zip(pieces, labels) if label != IGNORE_INDEX]
    assert len(pieces) > 4  # [CLS], more than one piece of the first word, [SEP]
    assert not any(piece.startswith("##") for piece in first)
    assert len(first) == 2


@pytest.mark.parametrize("words", [3, 17, 40])
def test_every_word_gets_one_tag(task, words):
    example = long_sentence(words)
    [(_, prediction)] = task.predict([example])
    assert len(prediction.tags) == words
    assert prediction.scores.shape == (words,)
    assert task.record(example, prediction)["tokens"] == example.tokens


def test_windows_see_the_words_around_those_they_decide(task):
    [features] = task.encode([long_sentence(30)], labelled=False)
    assert len(features) > 3
    assert all(f.place.window.start <= f.place.window.own_start for f in features)
    inner = features[1].place.window
    assert inner.start < inner.own_start
    assert inner.own_stop < inner.stop


def test_plain_text_is_cut_into_words_signs_and_chinese_characters(task):
    example = TextExample("Ann's 3 cats, 北京人。")
    [(_, prediction)] = task.predict([example])
    record = task.record(example, prediction)
    assert record["tokens"] == ["Ann", "'s", "3", "cats", ",", "北", "京", "人", "。"]
    assert len(record["tags"]) == 9


def test_a_word_of_which_the_tokenizer_leaves_nothing_keeps_its_label(task):
    example = TokenExample(["Ann", "\u200b\u0007", "Lee"], ["B-PER", "O", "I-PER"])
    [features] = task.encode([example], labelled=True)
    learned = [x for f in features for x in f.inputs["labels"] if x != IGNORE_INDEX]
    assert task.labels.names(learned) == example.tags


def test_entities_have_their_characters(task):
    example = TextExample("so  Ann Lee")
    scores = np.array([0.5, 0.9, 0.7], np.float32)
    [entity] = task.answer(example, Tagging(["O", "B-PER", "I-PER"], scores))
    assert entity["word"] == "Ann Lee" == example.text[entity["start"] : entity["end"]]
    assert entity["entity_group"] == "PER"
    assert entity["score"] == pytest.approx(0.8)


def test_texts_with_entities_are_learned_as_they_are_asked(tmp_path):
    """Cut at every hyphen and apostrophe, and offsets are those of the text that was given."""
    rows = [
        {"text": f"{name}'s  Anglo-Dutch/U.S. 东京 town", "entities": [[0, 3, "PER"], [7, 12, "X"]]}
        for name in ("Ann", "Bob", "Eve")
    ]
    task = tune("token-classification", tmp_path, train=rows, validation=rows, max_steps=60).task
    assert task.settings.word_joiners == ""
    [learned] = examples_of(rows[:1], "ner")
    [features] = task.encode([learned], labelled=True)
    [asked] = task.encode([TextExample(rows[0]["text"])], labelled=False)
    for one, other in zip(features, asked, strict=True):
        assert (one.inputs["input_ids"] == other.inputs["input_ids"]).all()
    answers = TaskExamples(task, rows).predict(2)
    assert [[(e["start"], e["end"], e["entity_group"]) for e in own] for own in answers[0]] == [
        [(0, 3, "PER"), (7, 12, "X")]
    ] * 3
    assert answers.metrics["f1"] == 1.0
    tuples = [(row["text"], {"entities": [tuple(e) for e in row["entities"]]}) for row in rows]
    assert TaskExamples(task, tuples).evaluate(2)["f1"] == 1.0


def test_labels_that_are_no_entities_are_scored_word_by_word(tmp_path):
    nouns = [TokenExample(["sun", "shines"], ["NOUN", "VERB"])] * 3
    result = tune(
        "token-classification",
        tmp_path / "out",
        train=nouns,
        validation=nouns,
        max_steps=20,
        eval_strategy="no",
    )
    assert result.metrics["eval_accuracy"] == 1.0
    assert result.metrics["eval_f1"] == 1.0

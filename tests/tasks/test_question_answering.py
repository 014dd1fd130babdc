"""Answers in contexts: every gold answer reachable, windows over all text, no answer."""

import dataclasses

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import Answer, QuestionExample
from plainformer.errors import ConfigError
from plainformer.tasks import open_task

from .tiny import ENCODER, QUESTIONS, tune


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return tune("question-answering", tmp_path_factory.mktemp("q"), max_steps=1).task


def shortened(task, **changes):
    return type(task)(task.tokenizer, task.model, dataclasses.replace(task.settings, **changes))


def long_context(place):
    context = " ".join(
        ["the rain fell ."] * place + ["Ann is in Paris ."] + ["the sun came ."] * 12
    )
    answer = Answer("in Paris", context.index("in Paris"))
    return QuestionExample("where is Ann ?", context, [answer])


@pytest.mark.parametrize("place", [0, 1, 5, 12])
@pytest.mark.parametrize("overlap", [0, 1, 6])
def test_every_gold_answer_is_the_target_of_a_window(task, place, overlap):
    short = shortened(task, max_length=22, overlap=overlap)
    example = long_context(place)
    [features] = short.encode_to_learn([example])
    assert len(features) > 3
    text, start = example.answers[0]
    spans = set()
    for feature in features:
        first, last = feature.inputs["start_positions"], feature.inputs["end_positions"]
        if first > 0:
            spans.add((int(feature.place[first, 0]), int(feature.place[last, 1])))
    assert spans == {(start, start + len(text))}


def test_windows_cover_the_whole_context(task):
    short = shortened(task, max_length=20, overlap=3)
    example = long_context(9)
    [features] = short.encode([example], labelled=False)
    seen = np.zeros(len(example.context), bool)
    for feature in features:
        assert len(feature.inputs["input_ids"]) <= 20
        for start, end in feature.place[feature.place[:, 0] >= 0]:
            seen[start:end] = True
    assert all(seen[i] or example.context[i] == " " for i in range(len(seen)))


def test_answers_are_characters_of_the_context(tmp_path):
    tune("question-answering", tmp_path / "out", max_steps=120, eval_strategy="no")
    ask = pf.pipeline("question-answering", tmp_path / "out")
    for example in QUESTIONS:
        found = ask(question=example.question, context=example.context)
        assert found["answer"] == example.answers[0].text
        assert example.context[found["start"] : found["end"]] == found["answer"]
        assert 0 < found["score"] <= 1


def test_questions_without_an_answer_switch_the_null_score_on(tmp_path):
    none = [dataclasses.replace(e, answers=[], question="why rain ?") for e in QUESTIONS]
    both = [*QUESTIONS, *none]
    result = tune(
        "question-answering", tmp_path / "out", train=both, validation=both, max_steps=120,
        eval_strategy="no",
    )  # fmt: skip
    assert result.task.settings.null_threshold == 0.0
    assert result.metrics["eval_no_answer_accuracy"] == 1.0
    assert result.metrics["eval_has_answer_exact_match"] == 1.0
    found = pf.pipeline(None, tmp_path / "out")({"question": "why rain ?", "context": "it rains ."})
    assert (found["answer"], found["start"], found["end"]) == ("", 0, 0)


def test_a_high_threshold_always_answers(task):
    [(_, with_text)] = shortened(task, null_threshold=1e9).predict(QUESTIONS[:1])
    [(_, without)] = shortened(task, null_threshold=-1e9).predict(QUESTIONS[:1])
    assert with_text.text
    assert without.text == ""


def test_max_answer_length_counts_tokens(task):
    [(_, one)] = shortened(task, max_answer_length=1).predict(QUESTIONS[:1])
    assert " " not in one.text


def test_a_long_question_is_cut_and_counted(task):
    example = dataclasses.replace(QUESTIONS[0], question="where is Ann ? " * 30)
    short = shortened(task, max_question_length=4)
    [features] = short.encode([example], labelled=False)
    assert all(f.cut for f in features)
    plain = short.encode(
        [dataclasses.replace(QUESTIONS[0], question="where is Ann ?")], labelled=False
    )
    assert len(features[0].inputs["input_ids"]) == len(plain[0][0].inputs["input_ids"])


def test_no_room_for_a_context_is_an_error(task):
    with pytest.raises(ConfigError, match="max_length: got 6, which leaves no room for a context"):
        shortened(task, max_length=6).encode(QUESTIONS[:1], labelled=False)


@pytest.mark.parametrize("overlap", [0, 1])
def test_evaluation_asks_what_prediction_asks(task, overlap):
    """An answer that no window of the grid holds whole is found by neither."""
    short = shortened(task, max_length=13, overlap=overlap)
    examples = []
    for place in range(6):
        context = long_context(place).context
        answer = Answer("Ann is in Paris", context.index("Ann"))
        examples.append(QuestionExample("where is Ann ?", context, [answer]))
    learned, asked = short.encode_to_learn(examples), short.encode(examples, labelled=True)
    assert sum(map(len, learned)) > sum(map(len, asked))
    for one, other in zip(asked, short.encode(examples, labelled=False)):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert a.inputs["input_ids"].tolist() == b.inputs["input_ids"].tolist()


@pytest.mark.parametrize("kind", ["bpe:300", "char", "wordpiece:120"])
def test_answers_begin_with_the_word(tmp_path, kind):
    tune("question-answering", tmp_path, model=ENCODER, tokenizer=kind, max_steps=1,
         eval_strategy="no")  # fmt: skip
    task = open_task(tmp_path)
    example = dataclasses.replace(QUESTIONS[0], context="  the rain\tfell .  Ann is in Paris  ")
    [features] = task.encode([example], labelled=False)
    for start, end in np.concatenate([feature.place for feature in features]):
        token = example.context[start:end]
        assert start < 0 or token == token.strip() != ""
    [(_, found)] = task.predict([example])
    assert found.text == found.text.strip() == example.context[found.start : found.end]

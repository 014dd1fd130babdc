"""Answers in contexts: every gold answer reachable, windows over all text, no answer."""

import dataclasses

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import Answer, QuestionExample
from plainformer.data.windows import best_spans
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
            spans.add((int(feature.place.offsets[first, 0]), int(feature.place.offsets[last, 1])))
    assert spans == {(start, start + len(text))}


def test_windows_cover_the_whole_context(task):
    short = shortened(task, max_length=20, overlap=3)
    example = long_context(9)
    [features] = short.encode([example], labelled=False)
    seen = np.zeros(len(example.context), bool)
    for feature in features:
        assert len(feature.inputs["input_ids"]) <= 20
        for start, end in feature.place.offsets[feature.place.offsets[:, 0] >= 0]:
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
    assert with_text[0].text
    assert without[0].text == ""


def test_max_answer_length_counts_tokens(task):
    [(_, [one])] = shortened(task, max_answer_length=1).predict(QUESTIONS[:1])
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
    for start, end in np.concatenate([feature.place.offsets for feature in features]):
        token = example.context[start:end]
        assert start < 0 or token == token.strip() != ""
    [(_, [found])] = task.predict([example])
    assert found.text == found.text.strip() == example.context[found.start : found.end]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    directory = tmp_path_factory.mktemp("learned")
    tune("question-answering", directory, max_steps=120, eval_strategy="no")
    return directory


def best_score(task, example):
    """What start and end of the best answer in a context add up to."""
    [features] = task.encode([example], labelled=False)
    [best, *_], _ = best_spans(task._forward(features, None))
    return best.score


def test_several_documents_are_looked_through_and_the_answer_says_which(learned):
    ask = pf.pipeline("question-answering", learned)
    texts = {f"{e.id}.txt": e.context for e in QUESTIONS}
    for example in QUESTIONS:
        named = ask(question=example.question, context=texts)
        each = {
            name: best_score(ask.task, QuestionExample(example.question, text))
            for name, text in texts.items()
        }
        assert named["document"] == max(each, key=each.get)
        alone = ask(question=example.question, context=texts[named["document"]])
        assert {k: named[k] for k in ("answer", "start", "end")} == {
            k: alone[k] for k in ("answer", "start", "end")
        }
        numbered = ask(question=example.question, context=list(texts.values()))
        assert numbered == {**named, "document": list(texts).index(named["document"])}
        assert ask({"question": example.question, "context": texts}) == named
    assert "document" not in alone


@pytest.mark.parametrize("size", [1, 2, 5])
def test_documents_give_the_same_bytes_in_any_batch(learned, size):
    questions = [{"question": e.question, "context": [o.context for o in QUESTIONS]}
                 for e in QUESTIONS]  # fmt: skip
    ask = pf.pipeline("question-answering", learned, max_length=20, overlap=3, top_k=3)
    assert ask(questions, batch_size=size) == [ask(one) for one in questions]


def test_top_k_answers_share_no_word_and_begin_with_the_best(learned):
    ask = pf.pipeline("question-answering", learned)
    texts = {e.id: e.context for e in QUESTIONS}
    question = QUESTIONS[2].question
    best = ask(question=question, context=texts)
    found = ask(question=question, context=texts, top_k=40)
    assert found[0] == best
    assert 4 <= len(found) <= 40
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    taken = set()
    for one in found:
        own = {(one["document"], i) for i in range(one["start"], one["end"])}
        assert own
        assert not own & taken
        taken |= own
        assert texts[one["document"]][one["start"] : one["end"]] == one["answer"]
    assert ask(question=question, context=texts, top_k=1) == best
    assert ask(question=question, context=texts, top_k=3) == found[:3]


def test_that_there_is_no_answer_is_one_of_the_answers(task):
    never, always = (shortened(task, null_threshold=t, top_k=3) for t in (1e9, -1e9))
    found = [
        next(iter(kind.predict([QUESTIONS[0]])))[1]
        for kind in (shortened(task, top_k=3), never, always)
    ]
    assert all(one.text for one in found[0])
    assert found[1][0].text
    assert found[2][0].text == ""
    assert [one.text for one in found[2][1:]] == [one.text for one in found[0][:2]]
    scores = [one.score for one in always._ranked(QUESTIONS[0], [], 1.0)]
    assert scores == [1.0]


def test_a_list_of_questions_has_a_context_for_all_or_for_each(learned):
    ask = pf.pipeline("question-answering", learned)
    questions, contexts = ([getattr(e, n) for e in QUESTIONS] for n in ("question", "context"))
    each = [ask(question=q, context=c) for q, c in zip(questions, contexts)]
    assert ask(question=questions, context=contexts) == each
    assert ask(question=questions, context=contexts[0]) == [
        ask(question=q, context=contexts[0]) for q in questions
    ]
    with pytest.raises(ConfigError, match="context: got 2 for 4 questions, expected one for each"):
        ask(question=questions, context=contexts[:2])


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ([], "'context': got \\[\\], expected text"),
        (["a", ""], "document 1 of 'context' is empty"),
        ({"a.txt": 3}, "document 'a.txt' of 'context': got 3"),
        (3, "'context'"),
    ],
)
def test_documents_that_are_none_are_named(learned, context, reason):
    with pytest.raises(pf.errors.DataError, match=reason):
        pf.pipeline(None, learned)(question="who ?", context=context)


def test_labelled_data_has_one_context(tmp_path):
    row = {"question": "who ?", "context": ["Ann"], "answers": []}
    with pytest.raises(pf.errors.DataError, match="'context'"):
        pf.data.examples_of([row], "question-answering")

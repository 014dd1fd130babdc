"""Chinese from one end to the other, with characters and with WordPiece: every task learns, is
tested, and answers texts with characters that training has not."""

import json

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import (
    Answer,
    ChoiceExample,
    DialogueExample,
    Message,
    PairExample,
    QuestionExample,
    SimilarityExample,
    TextExample,
    TokenExample,
)
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks.question_answering import Prediction

from .tiny import DECODER, ENCODER, SEQ2SEQ, relation, tune

PEOPLE, PLACES = ["张三", "李四", "王五"], ["北京", "上海"]


def question(person, place):
    context = f"下雨了。{person}在{place}。太阳出来了。"
    return QuestionExample(f"{person}在哪里？", context, [Answer(place, context.index(place))])


# Of every task: configuration, examples, and a request with characters that none of them has.
DATA = {
    "text-classification": (
        ENCODER,
        [
            TextExample(f"这{n}真{a}", label)
            for n in ("书", "菜")
            for a, label in (("好", "好评"), ("差", "差评"))
        ],
        "龙真好",
    ),
    "token-classification": (
        ENCODER,
        [
            TokenExample([*p, "在", *place, "。"], ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O"])
            for p in PEOPLE
            for place in PLACES
        ],
        "龙三在北京。",
    ),
    "relation-extraction": (
        ENCODER,
        [
            relation("北京是中国的首都", "北京", "中国", "首都"),
            relation("张三喜欢茶", "张三", "茶", "Other"),
        ],
        "<e1>龙</e1>是<e2>国</e2>的首都",
    ),
    "question-answering": (
        ENCODER,
        [question(p, place) for p in PEOPLE for place in PLACES],
        {"question": "龙在哪里？", "context": "下雨了。龙在北京。"},
    ),
    "multiple-choice": (
        ENCODER,
        [ChoiceExample("雨是", ["湿的", "干的"], 0), ChoiceExample("沙是", ["湿的", "干的"], 1)],
        {"question": "龙是", "choices": ["湿的", "干的"]},
    ),
    "translation": (
        SEQ2SEQ,
        [PairExample(f"{a}{b}", f"{b}{a}") for a in "天地" for b in "人山"],
        "天龙",
    ),
    "text2text-generation": (
        SEQ2SEQ,
        [PairExample(f"{a}{b}", f"{b}{a}") for a in "天地" for b in "人山"],
        "天龙",
    ),
    "sentence-similarity": (
        ENCODER,
        [SimilarityExample(f"{p}在北京", f"北京有{p}") for p in PEOPLE],
        {"text": "龙在北京", "text_pair": "北京有龙"},
    ),
    "summarization": (
        DECODER,
        [PairExample(f"今天{p}去了{place}。", f"{p}去{place}") for p in PEOPLE for place in PLACES],
        "今天龙去了北京。",
    ),
    "dialogue": (
        DECODER,
        [
            DialogueExample([Message("user", f"我是{p}"), Message("assistant", f"你好{p}")])
            for p in PEOPLE
        ],
        "我是龙",
    ),
    "language-modeling": (DECODER, [TextExample("太阳很暖，雨是湿的。" * 30)], "太阳很"),
}


def test_every_task_is_here():
    assert set(DATA) == {name for name, kind in KINDS.items() if kind.learns}


@pytest.mark.parametrize("tokenizer", ["char", "wordpiece:100"])
@pytest.mark.parametrize("task", DATA)
def test_from_nothing_to_an_answer(tmp_path, task, tokenizer):
    config, examples, request = DATA[task]
    result = tune(
        task, tmp_path / "out", model=config, tokenizer=tokenizer, train=examples,
        validation=examples, max_steps=3,
    )  # fmt: skip
    assert np.isfinite(result.metrics["eval_loss"])
    [answer] = pf.pipeline(task, tmp_path / "out")([request])
    assert json.dumps(answer, ensure_ascii=False)


@pytest.mark.parametrize("tokenizer", ["char", "wordpiece:100"])
def test_entities_are_the_characters_of_the_text(tmp_path, tokenizer):
    config, examples, _ = DATA["token-classification"]
    tune(
        "token-classification", tmp_path / "out", model=config, tokenizer=tokenizer,
        train=examples, validation=examples, max_steps=60,
    )  # fmt: skip
    found = pf.pipeline("ner", tmp_path / "out")("李四在上海。")
    assert [(f["entity_group"], f["word"], f["start"]) for f in found] == [
        ("PER", "李四", 0),
        ("LOC", "上海", 3),
    ]


def test_answers_are_scored_by_characters(tmp_path):
    config, examples, _ = DATA["question-answering"]
    task = tune(
        "question-answering", tmp_path / "out", model=config, tokenizer="char", train=examples,
        validation=examples, max_steps=1,
    ).task  # fmt: skip
    near = [[Prediction(f"在{e.answers[0].text}", 0, 3, 1.0)] for e in examples]
    assert task.score(near, examples) == {"exact_match": 0.0, "f1": pytest.approx(0.8)}


@pytest.mark.parametrize("tokenizer", ["char", "wordpiece:100"])
@pytest.mark.parametrize("task", ["translation", "summarization"])
def test_what_is_written_has_no_spaces(tmp_path, task, tokenizer):
    config, examples, _ = DATA[task]
    tune(task, tmp_path / "out", model=config, tokenizer=tokenizer, train=examples,
         validation=examples, max_steps=120, eval_strategy="no")  # fmt: skip
    write = pf.pipeline(task, tmp_path / "out")
    written = [next(iter(write([e.source])[0].values())) for e in examples]
    assert written == [e.target for e in examples]

"""Every option of fine-tuning and every setting of every task does something that can be seen.

Two runs differ in one option; the difference must show in the weights, the figures, the answers or
the log. An option added without a case fails `test_every_option_has_a_case`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from plainformer.data import TextExample
from plainformer.options import names_of
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks import open_task
from plainformer.tasks.arguments import ModelOptions
from plainformer.tasks.data import DataOptions, class_weights
from plainformer.tasks.strategy import StrategyOptions
from tests.data.templates import TEMPLATES

from .tiny import BPE, DECODER, LIKE, TASKS, TEXTS, TOKENS, tune, weights, write_jsonl


@dataclass
class Case:
    """Another value of an option and what both runs need beside it."""

    value: Any
    beside: dict[str, Any] = field(default_factory=dict)
    first: Any = None  # the value of the other run, instead of leaving the option out


FILES = {"train": "REVIEWS", "validation": None}
AGAIN = {"model": "FIRST"}
TAGS = {"task": "token-classification"}
WRITE = {"task": "translation", "eval_strategy": "no"}
SPANS = [
    {"text": e.text, "entities": [[0, end, "FILM"]]} for e in TEXTS for end in (1, len(e.text))
]
OPTIONS = {
    "columns": Case(
        {"text": "review", "label": "stars"}, FILES, {"text": "other", "label": "stars"}
    ),
    "skip_bad_lines": Case(True, {"train": "BAD", "validation": None}),
    "max_train_samples": Case(7),
    "tag_scheme": Case(
        "IOB1", {"task": "token-classification", "train": "IOB1_FILE", "validation": None}
    ),
    "bad_spans": Case("skip", {**TAGS, "train": SPANS, "validation": None}, first="expand"),
    "encoding": Case("cp1252", {"train": "CP1252", "validation": None}),
    "validation_fraction": Case(0.5, {"validation": None}),
    "label_names": Case(["bad", "good"], {"train": "NUMBERED", "validation": None}),
    "tokenizer": Case("wordpiece:60", first="wordpiece:120"),
    "adapter": Case("ADAPTER", AGAIN),
    "new_head": Case(True, AGAIN),
    "pooling": Case("mean", {**AGAIN, "new_head": True}),
    "class_weights": Case({"pos": 5.0}),
    "replay": Case(TEXTS[5:], {**AGAIN, "train": TEXTS[:2]}),
    "replay_fraction": Case(1.0, {**AGAIN, "replay": TEXTS[5:]}),
    "replay_validation": Case(TEXTS[5:], AGAIN),
    "head_only": Case(True, AGAIN),
    "few_shot": Case(True, AGAIN),
    "few_shot_pairs": Case(1, {**AGAIN, "few_shot": True, "max_steps": -1}),
    "freeze_layers": Case(1),
    "gradual_unfreezing": Case(1.0, {"max_steps": 4}),
    "layerwise_lr_decay": Case(0.1),
    "lora_r": Case(2, AGAIN),
    "lora_alpha": Case(64.0, {**AGAIN, "lora_r": 2}),
    "lora_dropout": Case(0.5, {**AGAIN, "lora_r": 2}),
    "target_modules": Case(["key"], {**AGAIN, "lora_r": 2}),
}
PROSE = {"task": "language-modeling", "max_length": 16}
DRAWN = {**PROSE, "do_sample": True}
SHORT = {**PROSE, "train": TEXTS, "validation": TEXTS, "max_steps": 40}  # texts that end soon
JOINED = [TextExample(e.text, f"{e.label};film" if "film" in e.text else e.label) for e in TEXTS]
LIKENESS = {"task": "sentence-similarity"}
UPPER = [replace(e, text=e.text.upper()) for e in LIKE]
ALIKE = [replace(e, label=None) for e in LIKE if e.label]
SETTINGS = {
    "max_length": Case(4),
    "pooling": Case("cls", LIKENESS),
    "normalize": Case(True, LIKENESS),
    "lower_case": Case(True, {**LIKENESS, "train": UPPER, "validation": UPPER, "tokenizer": BPE}),
    "loss": Case("contrastive", LIKENESS),
    "margin": Case(0.1, {**LIKENESS, "loss": "contrastive"}),
    "scale": Case(1.0, {**LIKENESS, "train": ALIKE, "validation": ALIKE}),
    "largest_score": Case(2.0, LIKENESS),
    "out_of_scope": Case("neg", {"task": "text-classification"}),
    "problem_type": Case("multi_label_classification", {"task": "text-classification"}),
    "label_separator": Case(
        ";", {"train": JOINED, "validation": JOINED, "problem_type": "multi_label_classification"}
    ),
    "threshold": Case(0.999, {"problem_type": "multi_label_classification"}),
    "word_joiners": Case("", TAGS),
    "aggregation_strategy": Case("none", {**TAGS, "max_steps": 30}),
    "overlap": Case(3, {**TAGS, "max_length": 6}),
    "other": Case("Cause-Effect(e2,e1)", {"task": "relation-extraction"}),
    "max_question_length": Case(1, {"task": "question-answering"}),
    "max_answer_length": Case(1, {"task": "question-answering", "max_length": 24}),
    "null_threshold": Case(-99.0, {"task": "question-answering"}),
    "max_target_length": Case(2, WRITE),
    "num_beams": Case(1, {**WRITE, "max_steps": 30, "learning_rate": 1e-3}),
    "length_penalty": Case(-50.0, {**WRITE, "max_steps": 40}),
    "no_repeat_ngram_size": Case(1, WRITE),
    "prompt": Case("turn {source}", WRITE),
    "max_new_tokens": Case(2, {"task": "dialogue"}),
    "control_codes": Case(True, SHORT),
    "do_sample": Case(True, PROSE),
    "temperature": Case(9.0, DRAWN),
    "top_k": Case(1, DRAWN),
    "top_p": Case(0.01, DRAWN),
    "sampling_seed": Case(3, DRAWN),
    "num_return_sequences": Case(2, DRAWN),
    "min_new_tokens": Case(40, SHORT),
    "repetition_penalty": Case(5.0, PROSE),
    "bad_words": Case(["the", "sun", "warm", "rain", "wet"], {**PROSE, "max_steps": 60}),
    "force_words": Case(["zebra"], PROSE),
    "chat_template": Case("ZEPHYR", {"task": "dialogue"}),
    "all_turns": Case(True, {"task": "dialogue"}),
}


def test_every_option_has_a_case():
    kinds = (DataOptions, ModelOptions, StrategyOptions)
    assert set(OPTIONS) == {name for kind in kinds for name in names_of(kind)}
    learned = [kind for kind in KINDS.values() if kind.learns]  # those of others have their tests
    own = {name for kind in learned for name in names_of(kind.settings_class)}
    assert set(SETTINGS) == own


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A first model, an adapter for it, and files."""
    root = tmp_path_factory.mktemp("made")
    tune("text-classification", root / "first", eval_strategy="no", max_steps=4)
    tune("text-classification", root / "lora", model=root / "first", eval_strategy="no",
         lora_r=2, max_steps=20)  # fmt: skip
    rows = [{"review": e.text, "other": e.text[::-1], "stars": e.label} for e in TEXTS]
    bad = [{"text": e.text, "label": e.label} for e in TEXTS]
    zephyr = root / "zephyr.jinja"
    zephyr.write_text(TEMPLATES["Zephyr"].source)
    iob1 = root / "iob1.conll"
    iob1.write_text("".join(f"{w} {t}\n" for w, t in [("Ann", "I-PER"), ("saw", "O")]) + "\nso O\n")
    cp1252 = root / "cp1252.csv"
    cp1252.write_text("text,label\ncafé,pos\nthé,neg\n" * 4, encoding="cp1252")
    numbered = [{"text": e.text, "label": int(e.label == "pos")} for e in TEXTS]
    return {
        "FIRST": root / "first",
        "ADAPTER": str(root / "lora" / "adapter"),
        "REVIEWS": str(write_jsonl(root / "reviews.jsonl", rows)),
        "BAD": str(write_jsonl(root / "bad.jsonl", [*bad, {"text": "no label"}])),
        "IOB1_FILE": str(iob1),
        "ZEPHYR": str(zephyr),
        "CP1252": str(cp1252),
        "NUMBERED": str(write_jsonl(root / "numbered.jsonl", numbered)),
    }


def seen(task, directory, caplog, **options):
    """What can be seen of a run: or the error that it is."""
    caplog.clear()
    try:
        with caplog.at_level(logging.INFO, "plainformer"):
            result = tune(task, directory, **options)
    except ValueError as error:
        return {"error": str(error)}
    figures = {k: v for k, v in result.metrics.items() if "second" not in k and k != "output_dir"}
    opened = open_task(directory)
    asked = options.get("validation") or TASKS[task][2]
    if task == "token-classification":
        asked = [*asked, TextExample("Ann-Lee saw Paris")]
    answers = [opened.record(e, p) for e, p in opened.predict(asked)]
    told = [m for m in caplog.messages if str(directory) not in m]
    modules = directory / "modules.json"
    return {
        "weights": weights(directory),
        "answers": json.dumps(answers),
        **figures,
        "log": told,
        "modules": modules.read_text() if modules.exists() else None,
    }


@pytest.mark.parametrize("name", [*OPTIONS, *SETTINGS])
def test_the_option_does_something(name, made, tmp_path, caplog):
    case = {**OPTIONS, **SETTINGS}[name]
    beside = {
        key: made.get(value, value) if isinstance(value, str) else value
        for key, value in case.beside.items()
    }
    value = made.get(case.value, case.value) if isinstance(case.value, str) else case.value
    task = beside.pop("task", "text-classification")
    with_it = seen(task, tmp_path / "with", caplog, **beside, **{name: value})
    first = {} if case.first is None else {name: case.first}
    without = seen(task, tmp_path / "without", caplog, **beside, **first)
    assert "error" not in with_it
    assert with_it != without


@pytest.mark.parametrize("task", TASKS)
def test_two_equal_runs_differ_in_nothing_that_is_seen(task, tmp_path, caplog):
    beside = {"max_steps": 1}
    first = seen(task, tmp_path / "a", caplog, **beside)
    assert first == seen(task, tmp_path / "b", caplog, **beside)
    assert "error" not in first


def test_settings_of_a_decoder_do_something_too(tmp_path, caplog):
    beside = {"model": DECODER, "tokenizer": BPE}
    plain = seen("summarization", tmp_path / "a", caplog, **beside)
    prompt = seen("summarization", tmp_path / "b", caplog, **beside, prompt="{source} is: ")
    assert plain["weights"] != prompt["weights"]


def test_settings_that_tasks_share_do_something_in_each(tmp_path, caplog):
    plain = seen(**PROSE, directory=tmp_path / "a", caplog=caplog)
    for name, value in (("no_repeat_ngram_size", 1), ("max_new_tokens", 2)):
        other = seen(**PROSE, directory=tmp_path / name, caplog=caplog, **{name: value})
        assert plain["answers"] != other["answers"]


def test_balanced_weights_make_labels_weigh_the_same(tmp_path):
    task = tune("token-classification", tmp_path / "out").task
    found = class_weights(task, "balanced", TOKENS)
    counts = {"B-PER": 4, "I-PER": 4, "O": 11, "B-LOC": 5}
    for label, weight in zip(task.labels.labels, found):
        wanted = 24 / (4 * counts[label]) if label in counts else 1.0
        assert weight == pytest.approx(wanted)

"""`finetune` from configuration and checkpoint: figures, directories, answers."""

import json

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, DataError
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks import Task, open_task

from .tiny import BAD, GOOD, TASKS, TEXTS, tune, weights, write_jsonl

FEW = {"max_steps": 8, "learning_rate": 5e-3, "eval_strategy": "no"}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A directory of each task after a few steps, with its result."""
    root = tmp_path_factory.mktemp("outputs")
    return {task: (root / task, tune(task, root / task, **FEW)) for task in TASKS}


def test_every_task_is_tested():
    assert {name for name, kind in KINDS.items() if kind.learns} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_figures_stand_before_and_after(outputs, task):
    directory, result = outputs[task]
    key = f"eval_{KINDS[task].metric}"
    for name in ("eval_loss", key):
        assert np.isfinite(result.metrics[name])
        assert np.isfinite(result.metrics[f"before_{name}"])
    assert result.metrics["eval_loss"] < result.metrics["before_eval_loss"]
    assert result.metrics["output_dir"] == str(directory)
    assert result.metrics["steps"] == FEW["max_steps"]


@pytest.mark.parametrize("length", [None, 14])
@pytest.mark.parametrize("task", [t for t in TASKS if KINDS[t].score is not Task.score])
def test_evaluation_scores_what_prediction_answers(outputs, task, length):
    """Also where examples are cut, or take several windows."""
    limits = {} if length is None else {"max_length": length}
    if length is not None and task in ("translation", "summarization"):
        limits["max_target_length"] = 4
    opened, examples = open_task(outputs[task][0], **limits), TASKS[task][2]
    told = opened.evaluate(examples)
    scored = opened.score([prediction for _, prediction in opened.predict(examples)], examples)
    assert scored.items() <= told.items()


@pytest.mark.parametrize("task", TASKS)
def test_the_directory_opens_and_gives_the_same_figures(outputs, task):
    directory, result = outputs[task]
    opened = open_task(directory)
    assert opened.name == task
    metrics = opened.evaluate(TASKS[task][2])
    for name, value in metrics.items():
        assert result.metrics[f"eval_{name}"] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_alone_and_in_a_batch_is_the_same(outputs, task):
    directory, _ = outputs[task]
    opened = open_task(directory)
    examples = TASKS[task][2] * 2
    together = [opened.record(e, p) for e, p in opened.predict(examples, batch_size=8)]
    alone = [opened.record(e, p) for e, p in opened.predict(examples, batch_size=1)]
    assert json.dumps(together) == json.dumps(alone)


@pytest.mark.parametrize("task", TASKS)
def test_settings_come_back_from_the_directory(tmp_path, outputs, task):
    result = tune(task, tmp_path / "out", max_length=40, max_steps=1)
    again = open_task(tmp_path / "out")
    assert again.settings == result.task.settings
    assert again.settings.max_length == 40


def test_a_text_classifier_learns(tmp_path):
    result = tune("text-classification", tmp_path / "out", max_steps=80, eval_strategy="no")
    assert result.metrics["eval_accuracy"] == 1.0
    classify = pf.pipeline("text-classification", tmp_path / "out")
    found = classify([*GOOD, *BAD])
    assert [f["label"] for f in found] == ["pos"] * len(GOOD) + ["neg"] * len(BAD)
    assert all(0.5 < f["score"] <= 1 for f in found)


def test_a_tagger_learns(tmp_path):
    result = tune("token-classification", tmp_path / "out", max_steps=40)
    assert result.metrics["eval_f1"] == 1.0
    found = pf.pipeline("ner", tmp_path / "out")("Ann Lee saw Paris.")
    assert [(f["entity_group"], f["word"], f["start"], f["end"]) for f in found] == [
        ("PER", "Ann Lee", 0, 7),
        ("LOC", "Paris", 12, 17),
    ]


def test_a_translator_learns(tmp_path):
    result = tune("translation", tmp_path / "out", max_steps=120, num_beams=2, eval_strategy="no")
    assert result.metrics["eval_loss"] < 0.3
    translate = pf.pipeline("translation", tmp_path / "out")
    assert translate("a x") == [{"translation_text": "x a"}]


def test_a_dialogue_is_answered(tmp_path):
    tune("dialogue", tmp_path / "out", max_steps=300, max_new_tokens=8, eval_strategy="no")
    answer = pf.pipeline("dialogue", tmp_path / "out")("I am Bob")
    assert answer["generated_text"][-1] == {"role": "assistant", "content": "hello Bob"}


def test_the_best_model_of_all_epochs_is_kept(tmp_path):
    result = tune("text-classification", tmp_path / "out", max_steps=-1, num_train_epochs=4, seed=3)
    log = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    values = [r["eval_accuracy"] for r in map(json.loads, log) if "eval_accuracy" in r]
    assert len(values) == 4
    assert result.metrics["eval_accuracy"] == max(values)


@pytest.mark.parametrize("task", TASKS)
def test_every_epoch_is_judged_by_the_metric_of_the_task(tmp_path, task):
    """That of its answers, not only the loss; and by it the best model is chosen and kept."""
    result = tune(task, tmp_path / "out", max_steps=-1, num_train_epochs=3, logging_steps=1)
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    key = f"eval_{KINDS[task].metric}"
    found = {record["step"]: record[key] for record in log if key in record}
    assert len(found) == 3
    lower = key.endswith(("loss", "perplexity"))
    best = (min if lower else max)(found.values())
    assert result.metrics[key] == pytest.approx(best, rel=1e-6)
    assert found[result.metrics["best_step"]] == best
    scored = {name for name in result.metrics if name.startswith("eval_")}
    assert all(scored <= record.keys() for record in log if key in record)


def test_early_stopping_goes_by_the_metric_of_the_task(tmp_path):
    """And at the same metric by the loss, which goes on falling."""
    options = {"max_steps": -1, "num_train_epochs": 50, "early_stopping_patience": 1}
    result = tune("text-classification", tmp_path / "out", **options)
    assert result.metrics["epochs"] == 50
    assert result.metrics["best_step"] == result.metrics["steps"]
    options["early_stopping_threshold"] = 0.02
    result = tune("text-classification", tmp_path / "less", **options)
    assert result.metrics["epochs"] < 50


def test_a_test_set_is_scored_beside_the_validation_set(tmp_path):
    result = tune("text-classification", tmp_path / "out", test=TEXTS[:3])
    assert {"test_accuracy", "before_test_accuracy"} <= result.metrics.keys()


def test_a_result_prints_its_figures_and_marks_the_one_that_decided(tmp_path, outputs):
    directory = tmp_path / "out"
    result = tune("token-classification", directory, test=TASKS["token-classification"][2][:2])
    first, heading, *rows, last = str(result).splitlines()
    assert first.startswith("2 steps in ")
    assert heading.split()[:2] == ["before", "after"]
    assert heading.endswith("(< decided for the model of step 2)")
    figures = {name: words for name, *words in map(str.split, rows)}
    assert figures["eval_f1"][2:] == ["<"]
    for name, (before, after, *_) in figures.items():
        assert float(after) == pytest.approx(result.metrics[name], abs=1e-4)
        assert float(before) == pytest.approx(result.metrics[f"before_{name}"], abs=1e-4)
    assert sum("<" in words for words in figures.values()) == 1
    assert last == f"model in {directory}"
    assert "<" not in str(outputs["token-classification"][1])  # without evaluations none did


def test_a_result_without_validation_prints_where_the_model_is(tmp_path):
    result = tune("text-classification", tmp_path / "out", validation=None)
    assert str(result).splitlines()[1:] == [f"model in {tmp_path / 'out'}"]


def test_a_directory_in_use_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "out" / "checkpoint-3").mkdir(parents=True)
    with pytest.raises(ConfigError, match="checkpoint-3 is there from a former run"):
        tune("text-classification", tmp_path / "out", train=tmp_path / "no-such-file.jsonl")


class Rows:
    """A data set of objects that has a length and items, and nothing else."""

    def __len__(self):
        return len(TEXTS)

    def __getitem__(self, index):
        return {"text": TEXTS[index].text, "label": TEXTS[index].label}


@pytest.mark.parametrize("make", [Rows, lambda: list(map(Rows().__getitem__, range(len(TEXTS))))])
def test_objects_with_the_fields_of_a_task_are_learned_as_examples_are(tmp_path, make):
    tune("text-classification", tmp_path / "a")
    tune("text-classification", tmp_path / "b", train=make(), validation=make())
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_files_may_come_from_an_iterator(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", list(map(Rows().__getitem__, range(len(TEXTS)))))
    result = tune("text-classification", tmp_path / "out", train=tmp_path.glob("*.jsonl"))
    assert result.metrics["steps"] == 2


@pytest.mark.parametrize("wrong", [None, 3, {"text": ["a"], "label": ["b"]}, [1, "a.jsonl"]])
def test_what_is_no_data_is_said(tmp_path, wrong):
    with pytest.raises((ConfigError, DataError), match=r"^train(:1)?: got .*expected"):
        tune("text-classification", tmp_path / "out", train=wrong)


@pytest.mark.parametrize("wrong", [None, 3, ["a"]])
def test_what_is_no_model_is_said(tmp_path, wrong):
    with pytest.raises(ConfigError, match=r"model: got .*, expected a directory"):
        tune("text-classification", tmp_path / "out", model=wrong)


def test_without_validation_nothing_is_evaluated(tmp_path):
    result = tune("text-classification", tmp_path / "out", validation=None)
    assert not [name for name in result.metrics if "eval" in name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 3}, "overlap: has no effect on text-classification; it is for question-"),
        (
            {"learning_rte": 1},
            "learning_rte: not an option of fine-tuning; did you mean learning_rate",
        ),
        ({"max_length": 100}, "max_length: got 100, the model takes at most 48"),
        ({"tokenizer": None}, "tokenizer: got None, the model has none"),
        ({"new_head": True}, "new_head: has no effect on a model from a configuration"),
        ({"tag_scheme": "IOB2", "train": "x"}, "tag_scheme: has no effect on text-classification"),
        ({"head_only": True, "freeze": ["bert"]}, "freeze: has no effect beside"),
        ({"out_of_scope": "x"}, "out_of_scope: got 'x', which is none of the labels"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_cannot_be_is_named(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        tune("text-classification", tmp_path / "out", **options)


def test_a_task_is_not_opened_as_another(outputs):
    directory, _ = outputs["text-classification"]
    with pytest.raises(ConfigError, match="was fine-tuned for text-classification"):
        open_task(directory, "ner")


def test_a_family_without_the_head_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"question-answering is nothing for a model of type gpt2"
    ):
        tune(
            "question-answering", tmp_path / "out", model=TASKS["dialogue"][0], tokenizer="bpe:300"
        )


def test_evaluations_without_validation_data_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match=r"^validation: got None, eval_strategy='epoch' needs"):
        pf.finetune(
            "text-classification",
            {"model_type": "gpt2"},
            "nothing",
            output_dir=tmp_path,
            eval_strategy="epoch",
        )


def test_labels_of_arrays_are_labels(tmp_path):
    rows = [{"text": text, "label": label} for text, label in zip(GOOD, np.arange(4) % 2)]
    result = tune("text-classification", tmp_path / "out", train=rows, validation=None, max_steps=1)
    assert result.task.labels.labels == ("0", "1")


def test_no_examples_are_one_error_that_names_the_argument(tmp_path):
    for name in ("train", "validation"):
        with pytest.raises(ConfigError, match=f"^{name}: got an empty list, expected files"):
            tune("text-classification", tmp_path / "out", **{name: []})

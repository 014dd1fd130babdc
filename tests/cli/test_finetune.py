"""`plainformer finetune`, `evaluate` and `predict`: flags, files, figures, order and errors."""

import dataclasses
import json
import os

import click
import pytest
from click.testing import CliRunner

from plainformer.cli import finetune as finetune_module
from plainformer.cli import main
from plainformer.cli.finetune import finetune
from plainformer.options import names_of
from plainformer.tasks import TASKS, FineTuneResult
from plainformer.tasks.arguments import OPTIONS
from plainformer.training import TrainingArguments
from plainformer.training.batches import UpdatePlan
from tests.tasks.tiny import ENCODER, TEXTS, write_jsonl

ROWS = [{"text": e.text, "label": e.label} for e in TEXTS]
WANTED = {
    "command", "version", "task", "output_dir", "seed", "steps", "epochs", "seconds",
    "tokens_per_second", "train_loss", "eval_loss", "eval_accuracy", "before_eval_accuracy",
    "test_accuracy", "before_test_accuracy", "best_step",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def run(*arguments, stdin=None):
    """Exit code, standard output and standard error of a command line."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def command_of(tmp_path, *more):
    (tmp_path / "config.json").write_text(json.dumps(ENCODER))
    write_jsonl(tmp_path / "a.jsonl", ROWS[:5])
    write_jsonl(tmp_path / "b.jsonl", ROWS[5:])
    return [
        "finetune", "text-classification", "--model", tmp_path / "config.json",
        "--tokenizer", "wordpiece:120", "--train", tmp_path / "a.jsonl", tmp_path / "b.jsonl",
        "--validation", tmp_path / "b.jsonl", "--output-dir", tmp_path / "out",
        "--max-steps", 3, *more,
    ]  # fmt: skip


def test_a_run_prints_both_sides_and_leaves_a_model(tmp_path):
    code, out, err = run(*command_of(tmp_path))
    assert code == 0
    assert "before" in out
    assert "after" in out
    assert f"model in {tmp_path}/out" in out
    assert "2 labels: pos 5, neg 5" in err
    assert "text, words: 50 %" in err
    assert (tmp_path / "out" / "task.json").exists()


def test_json_is_one_flat_object_on_the_last_line(tmp_path):
    code, out, _ = run(*command_of(tmp_path, "--test", tmp_path / "a.jsonl", "--json"))
    assert code == 0
    [line] = out.strip().splitlines()
    result = json.loads(line)
    assert result.keys() >= WANTED
    assert not any(isinstance(value, (dict, list)) for value in result.values())


def test_a_run_file_holds_any_flag(tmp_path):
    code, out, _ = run(*command_of(tmp_path), "--json")
    flags = {
        "model": str(tmp_path / "config.json"), "tokenizer": "wordpiece:120",
        "train": [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")],
        "validation": str(tmp_path / "b.jsonl"), "output-dir": str(tmp_path / "again"),
        "max_steps": 3,
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(json.dumps(flags))
    code, again, _ = run(
        "finetune", "text-classification", "--run", tmp_path / "run.yaml", "--json"
    )
    assert code == 0
    assert json.loads(again)["eval_loss"] == json.loads(out)["eval_loss"]


def value_of(option):
    if option.name in ("columns", "lr_scheduler_kwargs", "class_weights"):
        return '{"a": 1}', {"a": 1}
    if option.name == "sweep":
        return "learning-rate=1,2", {"learning_rate": [1, 2]}
    if isinstance(option.type, click.types.IntParamType):
        return "3", 3
    if isinstance(option.type, click.types.FloatParamType):
        return "0.5", 0.5
    return "word", "word"


@pytest.mark.parametrize(
    "option",
    [
        p
        for p in finetune.params
        if isinstance(p, click.Option) and p.name not in ("json", "run_file")
    ],
    ids=lambda option: option.name,
)
def test_every_flag_reaches_the_function(option, monkeypatch):
    """And each of its names does something there: tests/tasks/test_option_walk.py."""
    given = {}

    def catch(task, **options):
        given.update(options)
        metrics = {"steps": 1, "seconds": 1.0, "tokens_per_second": 1.0, "output_dir": "o",
                   "trainable_parameters": 1, "parameters": 1}  # fmt: skip
        return FineTuneResult(None, metrics)

    monkeypatch.setattr(finetune_module, "run_finetune", catch)
    flags = {"--model": "m", "--train": "t", "--output-dir": "o"}
    flag = option.opts[0]
    if option.is_flag and option.name != "resume_from_checkpoint":
        words, wanted = [flag], True
    else:
        word, wanted = value_of(option)
        flags.pop(flag, None)
        words = [flag, word]
    code, _, err = run("finetune", "ner", *[w for pair in flags.items() for w in pair], *words)
    assert code == 0, err
    got = given[option.name]
    assert got in (wanted, [wanted], (wanted,))


def test_flags_are_all_options_there_are():
    flags = {p.name for p in finetune.params} - {"json", "run_file", "task"}
    kinds = [kind.settings_class for kind in TASKS.values()]
    wanted = {name for kind in kinds for name in names_of(kind)}
    wanted |= {field.name for field in dataclasses.fields(TrainingArguments)}
    wanted |= {name for kind in OPTIONS for name in names_of(kind)}
    assert flags == wanted | {"model", "train", "validation", "test", "sweep"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["finetune", "nerr", "--model", "m", "--train", "t", "--output-dir", "o"],
            2,
            "did you mean",
        ),
        (["finetune", "ner", "--train", "t"], 2, "missing --model, --output-dir"),
        (
            [
                "finetune",
                "ner",
                "--model",
                "m",
                "--train",
                "t",
                "--output-dir",
                "o",
                "--other",
                "x",
            ],
            2,
            "--other: has no effect on token-classification; it is for relation-extraction",
        ),
        (
            ["finetune", "ner", "--model", "m", "--train", "t", "--output-dir", "o"],
            1,
            "m: no such dir",
        ),
        (["predict", "no-such-directory", "x"], 2, "no-such-directory"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(words, code, message):
    got, out, err = run(*words, "--json")
    assert got == code
    assert message in json.loads(out.strip().splitlines()[-1])["error"]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"train: [a\n", r":2: is no YAML: expected ',' or ']'"),
        (b"train: \xff\n", ": not UTF-8"),
        (b"- train\n", ":1: expected flags as"),
        (b"trian: a\n", ":1: 'trian' is not a flag of this command; did you mean --train"),
    ],
)
def test_a_bad_run_file_is_wrong_usage(tmp_path, content, message):
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    code, out, err = run("finetune", "ner", "--run", file, "--json")
    assert code == 2
    assert f"{file}{message}" in json.loads(out.strip().splitlines()[-1])["error"]
    assert "Traceback" not in err


def test_a_directory_with_another_run_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "out" / "checkpoint-3").mkdir(parents=True)
    words = command_of(tmp_path)
    (tmp_path / "a.jsonl").unlink()
    code, _, err = run(*words)
    assert code == 2
    assert "checkpoint-3 is there from a former run" in err


def test_the_mark_is_beside_the_figure_that_decided(tmp_path):
    _, out, _ = run(*command_of(tmp_path))
    marked = [line.split()[0] for line in out.splitlines() if line.endswith("  <")]
    assert marked == ["eval_loss", "eval_accuracy"]  # several epochs got everything right
    assert "(< decided for the model of step " in out
    words = [w if w != tmp_path / "out" else tmp_path / "b" for w in command_of(tmp_path)]
    _, out, _ = run(*words, "--metric-for-best-model", "eval_macro_f1")
    marked = [line.split()[0] for line in out.splitlines() if line.endswith("  <")]
    assert marked == ["eval_loss", "eval_macro_f1"]
    words = [w if w != tmp_path / "out" else tmp_path / "c" for w in command_of(tmp_path)]
    _, out, _ = run(*words, "--save-strategy", "no")
    assert "<" not in out


def test_ctrl_c_says_how_to_resume_and_resuming_ends_the_same(tmp_path, monkeypatch):
    run(*command_of(tmp_path))
    whole = (tmp_path / "out" / "model.safetensors").read_bytes()
    original = UpdatePlan.batches
    calls = []

    def interrupting(self, step):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), 2)
        return original(self, step)

    words = [w if w != tmp_path / "out" else tmp_path / "cut" for w in command_of(tmp_path)]
    monkeypatch.setattr(UpdatePlan, "batches", interrupting)
    code, _, err = run(*words)
    assert code == 130
    assert "resume" in err
    code, _, _ = run(*words, "--resume-from-checkpoint")
    assert code == 0
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == whole

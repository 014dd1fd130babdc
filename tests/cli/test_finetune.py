"""`plainformer finetune`, `evaluate` and `predict`: flags, files, figures, order and errors."""

import dataclasses
import io
import json
import os
import sys

import click
import pytest
from click.testing import CliRunner

from plainformer.cli import finetune as finetune_module
from plainformer.cli import main
from plainformer.cli.finetune import finetune
from plainformer.tasks import TASKS, FineTuneResult
from plainformer.tasks.arguments import OPTIONS
from plainformer.tasks.options import names_of
from plainformer.tasks.trainer import TaskTrainer
from plainformer.training import TrainingArguments
from tests.tasks.tiny import ENCODER, TEXTS, TOKENS, tune, write_jsonl

ROWS = [{"text": e.text, "label": e.label} for e in TEXTS]
WANTED = {
    "command", "version", "task", "output_dir", "seed", "steps", "epochs", "seconds",
    "tokens_per_second", "train_loss", "eval_loss", "eval_accuracy", "before_eval_accuracy",
    "test_accuracy", "before_test_accuracy", "best_step",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Directories of a classifier and of a tagger, and a file of labelled texts."""
    root = tmp_path_factory.mktemp("trained")
    tune("text-classification", root / "texts", max_steps=30, eval_strategy="no")
    tune("token-classification", root / "tags", max_steps=40, eval_strategy="no")
    write_jsonl(root / "data.jsonl", ROWS)
    return root


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
    assert flags == wanted | {"model", "train", "validation", "test"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["finetune", "nerr", "--model", "m", "--train", "t", "--output-dir", "o"],
            2,
            "did you mean",
        ),
        (["finetune", "ner", "--train", "t"], 2, "missing --model, --output-dir"),
        (["finetune", "ner", "--model", "m", "--train", "t", "--output-dir", "o"], 1, "t: no such"),
        (["predict", "no-such-directory", "x"], 2, "no-such-directory"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(words, code, message):
    got, out, err = run(*words, "--json")
    assert got == code
    assert message in json.loads(out.strip().splitlines()[-1])["error"]
    assert "Traceback" not in err


def test_ctrl_c_says_how_to_resume_and_resuming_ends_the_same(tmp_path, monkeypatch):
    run(*command_of(tmp_path))
    whole = (tmp_path / "out" / "model.safetensors").read_bytes()
    original = TaskTrainer._collate
    calls = []

    def interrupting(self, inputs):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), 2)
        return original(self, inputs)

    words = [w if w != tmp_path / "out" else tmp_path / "cut" for w in command_of(tmp_path)]
    monkeypatch.setattr(TaskTrainer, "_collate", interrupting)
    code, _, err = run(*words)
    assert code == 130
    assert "resume" in err
    code, _, _ = run(*words, "--resume-from-checkpoint")
    assert code == 0
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == whole


def test_evaluate_gives_the_figures_of_labelled_data(trained):
    code, out, _ = run("evaluate", trained / "texts", "--data", trained / "data.jsonl", "--json")
    assert code == 0
    result = json.loads(out.strip().splitlines()[-1])
    assert result["eval_accuracy"] == 1.0
    assert (result["examples"], result["task"]) == (10, "text-classification")
    code, out, _ = run("evaluate", trained / "texts", "--data", trained / "data.jsonl")
    assert "accuracy" in out
    assert "10 examples" in out


def test_evaluate_takes_every_flag_of_reading(trained, tmp_path):
    rows = [{"t": e.text, "l": e.label} for e in TEXTS]
    path = write_jsonl(tmp_path / "other.jsonl", [*rows, {"t": "x"}])
    columns = '{"text": "t", "label": "l"}'
    words = ["evaluate", trained / "texts", "--data", path, "--columns", columns, "--json"]
    assert run(*words)[0] == 1
    code, out, _ = run(*words, "--skip-bad-lines")
    assert code == 0
    assert json.loads(out.strip().splitlines()[-1])["skipped_lines"] == 1


def lines_of(out):
    return [json.loads(line) for line in out.strip().splitlines()]


def test_predict_answers_arguments_in_order(trained):
    code, out, _ = run("predict", trained / "texts", "so good", '{"text": "so bad"}', "truly good")
    assert code == 0
    found = lines_of(out)
    assert [f["text"] for f in found] == ["so good", "so bad", "truly good"]
    assert [f["label"] for f in found] == ["pos", "neg", "pos"]


def test_predict_reads_standard_input_and_files_alike(trained, tmp_path):
    texts = ["so good it was", "so bad it was"] * 20
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(texts))
    code, from_stdin, _ = run("predict", trained / "texts", stdin="\n".join(texts))
    assert code == 0
    _, from_file, _ = run("predict", trained / "texts", "--input", path)
    run("predict", trained / "texts", "--input", path, "--output", tmp_path / "o.jsonl")
    assert from_stdin == from_file == (tmp_path / "o.jsonl").read_text()
    assert [f["text"] for f in lines_of(from_file)] == texts


def test_predict_gives_the_same_bytes_in_any_batch(trained, tmp_path):
    path = write_jsonl(tmp_path / "d.jsonl", [{"text": e.text} for e in TEXTS])
    outputs = {
        run("predict", trained / "texts", "--input", path, "--batch-size", size)[1]
        for size in (1, 3, 64)
    }
    assert len(outputs) == 1


def test_predict_tags_text_objects_and_columns(trained, tmp_path):
    lines = 'Ann Lee saw Paris .\n{"tokens": ["Bob", "Lee", "saw", "Paris", "."]}\n'
    code, out, _ = run("predict", trained / "tags", stdin=lines)
    assert code == 0
    one, two = lines_of(out)
    assert one["tags"] == two["tags"] == TOKENS[0].tags
    assert one["entities"][0]["word"] == "Ann Lee"
    columns = tmp_path / "x.conll"
    columns.write_text("Ann\nLee\n\nrain\nfell\n")
    _, out, _ = run("predict", trained / "tags", "--input", columns)
    assert [f["tokens"] for f in lines_of(out)] == [["Ann", "Lee"], ["rain", "fell"]]


def test_predict_streams_what_it_has(trained, monkeypatch):
    """Each batch is written before the next is read: memory does not grow with the input."""
    read, written = [], []

    class Lines(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            line = b"so good it was\n"
            if len(read) == 12:
                return 0
            read.append(len(written))
            buffer[: len(line)] = line
            return len(line)

    class Out(io.StringIO):
        def write(self, text):
            written.append(text)
            return len(text)

    stdin = io.TextIOWrapper(io.BufferedReader(Lines(), 15))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys, "stdout", Out())
    predict_command = main.get_command(None, "predict")
    with pytest.raises(SystemExit):
        predict_command.main([str(trained / "texts"), "--batch-size", "3"])
    assert len(written) == 12
    assert read[-1] >= 6  # most answers were out before the last line came in


def test_predict_counts_bad_lines_where_that_is_asked_for(trained, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "so good"}\n{"words": 1}\n{"text": "so bad"}\n')
    code, out, err = run("predict", trained / "texts", "--input", path)
    assert code == 1
    assert "bad.jsonl:2: " in err
    code, out, err = run(
        "predict", trained / "texts", "--input", path, "--skip-bad-lines", "--json"
    )
    assert code == 0
    assert "bad.jsonl:2: " in err
    assert json.loads(out.strip().splitlines()[-1])["examples"] == 2


def test_texts_and_files_exclude_each_other(trained):
    code, _, err = run("predict", trained / "texts", "x", "--input", "y")
    assert code == 2
    assert "give texts, or --input" in err


def test_settings_and_dtype_change_what_is_computed(trained):
    long = "so good it was " * 9 + "bad"
    _, plain, _ = run("predict", trained / "texts", long)
    _, short, _ = run("predict", trained / "texts", long, "--max-length", 4)
    _, wide, _ = run("predict", trained / "texts", long, "--dtype", "bfloat16")
    assert len({plain, short, wide}) == 3

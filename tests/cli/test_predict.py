"""`plainformer predict` and `evaluate` with every task: arguments, files, pipes; order, memory."""

import gc
import io
import json
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import _task_flags, main
from plainformer.cli._writers import writer_for
from plainformer.cli.evaluate import evaluate
from plainformer.cli.predict import predict
from plainformer.data import TextExample, read_examples
from plainformer.options import names_of
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks import open_task
from plainformer.tasks.answers import Answers
from plainformer.tasks.requests import Request
from tests.tasks.tiny import TASKS, tune

MAIN = "from plainformer.cli import main; main(prog_name='plainformer')"
# Of every task: its data as JSONL, with labels, and what of it is a request.
ROWS = {
    "text-classification": [
        {"text": "so good", "label": "pos"},
        {"text": "so bad", "label": "neg"},
    ],
    "token-classification": [
        {"tokens": ["Ann", "Lee"], "tags": ["B-PER", "I-PER"]},
        {"tokens": ["rain"], "tags": ["O"]},
    ],
    "relation-extraction": [
        {"text": "the <e1>saw</e1> cut the <e2>wood</e2>", "label": "Other"},
        {"text": "a <e1>cat</e1> and <e2>wood</e2>", "label": "Cause-Effect(e1,e2)"},
    ],
    "question-answering": [
        {"question": "who ?", "context": f"{name} is in Rome",
         "answers": [{"text": name, "answer_start": 0}]}
        for name in ("Ann", "Bob")
    ],
    "multiple-choice": [
        {"question": f"{it} is", "choices": ["wet", "dry"], "label": 0} for it in ("rain", "sea")
    ],
    "sentence-similarity": [
        {"text": "so good", "text_pair": "truly good", "label": 1},
        {"text": "so good", "text_pair": "so bad", "label": 0},
    ],
    "translation": [{"source": "a x", "target": "x a"}, {"source": "b y", "target": "y b"}],
    "summarization": [{"document": "a x", "summary": "x a"}, {"document": "b y", "summary": "y b"}],
    "text2text-generation": [
        {"source": "a x", "target": "x a"},
        {"source": "b y", "target": "y b"},
    ],
    "dialogue": [
        {"messages": [{"role": "user", "content": f"I am {name}"},
                      {"role": "assistant", "content": f"hello {name}"}]}
        for name in ("Ann", "Bob")
    ],
    "language-modeling": [{"text": "the sun is warm"}, {"text": "the rain is wet"}],
}  # fmt: skip
LABELS = ("label", "tags", "answers", "target", "summary")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("outputs")
    for task in TASKS:
        tune(task, root / task, eval_strategy="no", max_steps=2)
    return root


def run(*arguments, stdin=None):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result.stdout


def requests_of(task):
    """Data as JSON lines without what is to be found out."""
    rows = [{k: v for k, v in row.items() if k not in LABELS} for row in ROWS[task]]
    if task == "dialogue":
        rows = [{"messages": row["messages"][:1]} for row in rows]
    return [json.dumps(row) for row in rows]


def test_every_task_is_here():
    assert set(ROWS) == set(TASKS)


@pytest.mark.parametrize("task", ROWS)
def test_arguments_files_and_standard_input_get_the_same_lines(outputs, tmp_path, task):
    lines = requests_of(task) * 3
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(lines) + "\n")
    answers = {
        run("predict", outputs / task, *lines),
        run("predict", outputs / task, stdin=file.read_text()),
        run("predict", outputs / task, "--input", file, "--batch-size", 4),
        run("predict", outputs / task, "--input", file, "--batch-size", 1),
    }
    assert len(answers) == 1
    found = [json.loads(line) for line in answers.pop().splitlines()]
    assert len(found) == 6
    assert found[:2] == found[2:4] == found[4:]
    pipeline = pf.pipeline(task, outputs / task)
    assert pipeline([json.loads(line) for line in lines[:2]]) == [
        pipeline(json.loads(line)) for line in lines[:2]
    ]


@pytest.mark.parametrize("task", ROWS)
def test_evaluate_gives_the_figures_that_the_task_gives(outputs, tmp_path, task):
    file = tmp_path / "data.jsonl"
    rows = ROWS[task] * (20 if task == "language-modeling" else 1)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = run("evaluate", outputs / task, "--data", file, "--json")
    result = json.loads(out.strip().splitlines()[-1])
    examples = read_examples(file, task)
    metrics = open_task(outputs / task).evaluate(examples)
    assert {k: result[f"eval_{k}"] for k in metrics} == pytest.approx(metrics)
    assert (result["task"], result["examples"]) == (task, len(examples))
    assert {"command", "version", "output_dir", "seconds", "skipped_lines"} <= result.keys()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("task", TASKS)
def test_an_answer_alone_and_in_any_batch_is_the_same_bytes(outputs, task, dtype):
    opened = open_task(outputs / task, dtype=dtype)
    examples = list(TASKS[task][2][:5])
    if task == "language-modeling":
        examples = [TextExample("the sun is"), TextExample("the rain is wet and the")]
    answers = {
        size: [json.dumps(opened.record(e, p)) for e, p in opened.predict(examples, size)]
        for size in (1, 2, 5)
    }
    assert answers[1] == answers[2] == answers[5]
    assert [json.dumps(opened.record(*next(opened.predict([e])))) for e in examples] == answers[1]


def test_an_answer_is_out_before_the_next_line_is_in(outputs):
    """Through a real pipe that stays open."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "predict", str(outputs / "text-classification")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        for text in ("so good", "so bad", "truly good"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.write("no line end")
        process.stdin.close()
        assert json.loads(process.stdout.readline())["text"] == "no line end"
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_a_reader_that_leaves_ends_it_quietly(outputs):
    command = [sys.executable, "-c", MAIN, "predict", str(outputs / "text-classification")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    _, errors = process.communicate("so good\n" * 200, timeout=60)
    assert "Traceback" not in errors
    assert "cannot be read" not in errors


class Held:
    """Counts the examples that are alive while others are made."""

    def __init__(self, count):
        self.count, self.most = count, 0

    def __iter__(self):
        for i in range(self.count):
            if i % 50 == 49:
                gc.collect()
                alive = sum(isinstance(o, Numbered) for o in gc.get_objects())
                self.most = max(self.most, alive)
            yield Numbered(f"so good {i}")


class Numbered(TextExample):
    """An example that can be told from others."""


def test_what_is_held_does_not_grow_with_the_input(outputs):
    task = open_task(outputs / "text-classification")
    held, out = Held(1200), io.StringIO()
    requests = (Request(example) for example in held)
    Answers(task, writer_for(out, None, task, lambda: None), 8).add_all(requests)
    assert len(out.getvalue().splitlines()) == 1200
    assert 0 < held.most <= 2 * 8
    held = Held(1200)
    stream = pf.pipeline(None, task, batch_size=8).stream(held)
    assert sum(1 for _ in stream) == 1200
    assert 0 < held.most <= 2 * 8


class OpenedError(Exception):
    """Raised once a command has opened its model."""


READING = {"columns", "encoding", "skip_bad_lines"}
# What each flag is for, beside settings: tests of this file and of test_answers.py.
KNOWN = {
    "predict": READING
    | {
        "questions",
        "context_files",
        "output_format",
        "input_file",
        "output_file",
        "batch_size",
        "json",
    },
    "evaluate": READING
    | {"data", "batch_size", "tag_scheme", "bad_spans", "label_names", "json"}
    | {"chart", "output_file", "report_file"},
}
OPENING = {"task", "adapter", "dtype", "device"}
SETTINGS = {name for kind in KINDS.values() for name in names_of(kind.settings_class)}


@pytest.mark.parametrize("command", [predict, evaluate], ids=lambda c: c.name)
def test_flags_are_settings_and_what_is_tested(command):
    flags = {p.name for p in command.params if isinstance(p, click.Option)}
    assert flags == SETTINGS | OPENING | KNOWN[command.name]


@pytest.mark.parametrize("command", [predict, evaluate], ids=lambda c: c.name)
@pytest.mark.parametrize("name", sorted(SETTINGS | OPENING))
def test_every_flag_reaches_the_model(command, name, tmp_path, monkeypatch):
    """And each setting does something there: tests/tasks/test_option_walk.py."""
    given = {}

    def catch(directory, task=None, **options):
        given.update(options, task=task)
        raise OpenedError

    monkeypatch.setattr(_task_flags, "open_task", catch)
    flag = next(p for p in command.params if p.name == name)
    value = {"integer": "3", "float": "0.5"}.get(flag.type.name, "word")
    value = "cuda" if name == "device" else value
    words = [command.name, str(tmp_path), flag.opts[0], *([] if flag.is_flag else [value])]
    words += ["--data", "f"] if command is evaluate else []
    result = CliRunner().invoke(main, words)
    assert isinstance(result.exception, OpenedError)
    if flag.is_flag:
        assert given[name] is True
    elif flag.multiple:
        assert list(given[name]) == [value]
    else:
        assert str(given[name]) == value


def test_columns_name_the_fields_of_a_file(outputs, tmp_path):
    file = tmp_path / "reviews.csv"
    file.write_text("review,stars\nso good,5\nso bad,1\n")
    columns = ["--columns", '{"text": "review"}']
    out = run("predict", outputs / "text-classification", "--input", file, *columns)
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["so good", "so bad"]
    words = tmp_path / "words.jsonl"
    words.write_text('{"words": ["Ann", "Lee"]}\n')
    out = run("predict", outputs / "token-classification", "--input", words,
              "--columns", '{"tokens": "words"}')  # fmt: skip
    assert json.loads(out)["tokens"] == ["Ann", "Lee"]


def test_lines_keep_their_order_and_number(outputs, tmp_path):
    file = tmp_path / "many.txt"
    file.write_text("".join(f"so good {i}\n" for i in range(500)))
    out = run("predict", outputs / "text-classification", "--input", file, "--batch-size", 7)
    assert [json.loads(line)["text"] for line in out.splitlines()] == [
        f"so good {i}" for i in range(500)
    ]


def test_the_seed_of_what_is_drawn_is_told(outputs):
    """0 unless told, so that the same command gives the same answers."""
    drawn = ["predict", outputs / "language-modeling", "the sun", "--do-sample"]
    seeds = ([], ["--sampling-seed", "0"], ["--sampling-seed", "5"])
    first, again, other = (run(*drawn, *flags) for flags in seeds)
    assert "the sun" in first
    assert first == again != other
    told = [json.loads(run(*drawn, *flags, "--json").splitlines()[-1])["seed"] for flags in seeds]
    assert told == [0, 0, 5]

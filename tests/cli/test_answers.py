"""`plainformer predict` and `evaluate` of a classifier and a tagger: input of all kinds, errors."""

import io
import json
import os
import sys

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from tests.tasks.tiny import TEXTS, TOKENS, tune, write_jsonl

ROWS = [{"text": e.text, "label": e.label} for e in TEXTS]


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
    assert "got TEXT beside --input and how to read it; give one of them" in err


def test_settings_and_dtype_change_what_is_computed(trained):
    long = "so good it was " * 9 + "bad"
    _, plain, _ = run("predict", trained / "texts", long)
    _, short, _ = run("predict", trained / "texts", long, "--max-length", 4)
    _, wide, _ = run("predict", trained / "texts", long, "--dtype", "bfloat16")
    assert len({plain, short, wide}) == 3

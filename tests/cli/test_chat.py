"""`plainformer chat`: turns from standard input, what was said before, flags."""

import json
import os

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from tests.tasks.tiny import tune


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    tune("dialogue", root / "talk", max_steps=300, max_new_tokens=8, eval_strategy="no")
    tune("text-classification", root / "texts", max_steps=1)
    return root


def run(*arguments, stdin=""):
    """Exit code, standard output and standard error of a command line."""
    result = CliRunner().invoke(main, ["chat", *map(str, arguments)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_each_line_is_answered(trained):
    code, out, _ = run(trained / "talk", stdin="I am Bob\n\nnever read\n")
    assert code == 0
    assert out == "hello Bob\n"


def test_json_counts_turns(trained):
    code, out, _ = run(trained / "talk", "--json", stdin="I am Bob\nI am Eve\n")
    assert code == 0
    assert json.loads(out)["turns"] == 2


FLAGS = {
    "--system": "I am Eve",
    "--max-new-tokens": "1",
    "--temperature": "9.0",
    "--top-k": "1",
    "--top-p": "0.01",
    "--seed": "5",
    "--repetition-penalty": "50.0",
}


def test_every_flag_has_a_case():
    names = {p.opts[0] for p in main.get_command(None, "chat").params}
    assert names == {*FLAGS, "--do-sample", "--dtype", "--adapter", "--json", "directory"}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_changes_what_is_said(trained, flag):
    draws = flag in ("--temperature", "--top-k", "--top-p", "--seed")
    beside = ["--do-sample", "--temperature", "4.0"] if draws else []
    talk = "I am Bob\nI am Ann\nI am Tom\n"
    _, without, _ = run(trained / "talk", *beside, stdin=talk)
    code, with_it, err = run(trained / "talk", *beside, flag, FLAGS[flag], stdin=talk)
    assert code == 0, err
    assert with_it != without


def test_a_model_for_something_else_is_refused(trained):
    code, _, err = run(trained / "texts")
    assert code == 2
    assert "was fine-tuned for text-classification" in err
    code, _, err = run(trained / "talk", "--top-k", "3", stdin="hi\n")
    assert code == 2
    assert "top_k" in err

"""`plainformer tokenizer train|encode`."""

import importlib
import json

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from plainformer.data.tokenizer import read_tokenizer, save_tokenizer
from tests.data.tokenizer_files import characters_alone


def run(*args):
    return CliRunner().invoke(main, ["tokenizer", *map(str, args)])


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("to be, or not to be\n" * 50)
    return path


def test_train_writes_what_encode_reads(tmp_path, text):
    out = tmp_path / "t"
    result = run("train", "--data", text, "--tokenizer", "bpe:262", "--output-dir", out, "--json")
    assert result.exit_code == 0, result.output
    values = last_json(result)
    assert values["command"] == "tokenizer train"
    assert values["vocab_size"] == 262
    assert values["output_dir"] == str(out)
    assert values["skipped_lines"] == 0
    result = run("encode", out, "to be", "--json")
    values = last_json(result)
    assert values["ids"] == read_tokenizer(out).encode("to be").ids
    assert "".join(values["tokens"]) == "to be"
    assert values["count"] == len(values["ids"])


def test_the_objective_decides_the_special_tokens(tmp_path, text):
    ends = {"clm": "<|endoftext|>", "mlm": "</s>", "denoise": "</s>", "span": "</s>"}
    for objective, end in ends.items():
        args = ["--data", text, "--tokenizer", "bpe:360", "--output-dir", tmp_path / objective]
        assert run("train", *args, "--objective", objective).exit_code == 0
        loaded = read_tokenizer(tmp_path / objective)
        assert loaded.token_to_id(end) is not None
        assert (loaded.token_to_id("<mask>") is not None) == (objective in ("mlm", "denoise"))
        assert (loaded.token_to_id("<extra_id_0>") is not None) == (objective == "span")
    args[3] = "bpe:300"
    result = run("train", *args, "--objective", "span", "--json")
    assert result.exit_code == 2
    assert "expected at least 359" in last_json(result)["error"]


def test_people_see_one_token_a_line(tmp_path, text):
    run("train", "--data", text, "--tokenizer", "char", "--output-dir", tmp_path / "t")
    lines = run("encode", tmp_path / "t", "be\n").stdout.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["'b'", "'e'", r"'\n'"]
    assert lines[3] == "3 characters, 3 tokens"


def test_several_files_column_and_bad_lines(tmp_path, text):
    (tmp_path / "b.jsonl").write_text('{"body": "xyz"}\n{\n')
    args = ["train", "--data", tmp_path / "b.jsonl", tmp_path / "b.jsonl", "--tokenizer", "char"]
    args += ["--output-dir", tmp_path / "t", "--text-column", "body"]
    result = run(*args, "--json")
    assert result.exit_code == 1
    assert "b.jsonl:2: not JSON" in last_json(result)["error"]
    result = run(*args, "--json", "--skip-bad-lines")
    assert last_json(result)["skipped_lines"] == 1
    assert last_json(result)["vocab_size"] == 3 + 256


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [("bpe:12", 2, "SIZE >= 257"), ("words", 2, "got 'words'"), (".", 2, "trained already")],
)
def test_wrong_specs_are_usage(tmp_path, text, spec, code, message):
    args = ["train", "--data", text, "--tokenizer", spec, "--output-dir", tmp_path / "t"]
    result = run(*args)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "t").exists()


def test_failures_are_one_line(tmp_path, text):
    save_tokenizer(characters_alone(text.read_text()), tmp_path / "t")
    cases = {
        "is not among the tokenizer's": ("encode", tmp_path / "t", "é"),
        "none: no such directory": ("encode", tmp_path / "none", "a"),
        "no such file": ("train", "--data", "none.txt", "--tokenizer", "char", "--output-dir", "x"),
    }
    for message, args in cases.items():
        result = run(*args)
        assert result.exit_code == 1
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_place_that_cannot_be_written_to_is_told_before_any_work(tmp_path, text, monkeypatch):
    module = importlib.import_module("plainformer.cli.tokenizer")
    monkeypatch.setattr(module, "make_tokenizer", lambda *_: pytest.fail("trained"))
    result = run("train", "--data", text, "--tokenizer", "char", "--output-dir", text / "x")
    assert result.exit_code == 1
    assert "Not a directory" in result.stderr
    assert "plain text" not in result.stderr

"""`plainformer quantize`: a fine-tuned model and one that writes, and what is done with them."""

import json
import os

import pytest

from plainformer.nn import quantization
from tests.cli.test_answers import ROWS, run
from tests.tasks.tiny import tune, write_jsonl


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(quantization, "LEAST_OUTPUTS", 1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("quantize")
    tune("text-classification", root / "texts", max_steps=30, eval_strategy="no")
    write_jsonl(root / "data.jsonl", ROWS)
    return root


def last_json(out):
    return json.loads(out.strip().splitlines()[-1])


@pytest.mark.parametrize("options", [[], ["--mode", "weight-only", "--group-size", 8]], ids=str)
def test_a_quantized_classifier_answers_and_is_tested(root, tmp_path, options):
    code, out, _ = run("quantize", root / "texts", tmp_path / "q", *options, "--json")
    assert code == 0
    said = last_json(out)
    assert said["mode"] == ("weight-only" if options else "dynamic")
    assert said["bytes_after"] < said["bytes_before"]
    names = {path.name for path in (tmp_path / "q").iterdir()}
    assert {"task.json", "tokenizer.json", "config.json", "model.safetensors"} <= names
    code, out, _ = run("evaluate", tmp_path / "q", "--data", root / "data.jsonl", "--json")
    assert code == 0
    assert last_json(out)["eval_accuracy"] == 1.0
    code, out, _ = run("predict", tmp_path / "q", ROWS[0]["text"])
    assert code == 0
    assert ROWS[0]["label"] in out


def test_what_cannot_be_done_is_one_error(root, tmp_path):
    assert run("quantize", root / "texts", tmp_path / "q")[0] == 0
    data = root / "data.jsonl"
    for words, message in (
        (["quantize", tmp_path / "q", tmp_path / "r"], "got a model that is quantized already"),
        (["quantize", root / "texts", root / "texts"], "got the model's own directory"),
        (["quantize", root / "texts", tmp_path / "r", "--mode", "int4"], "'int4' is not one of"),
        (["quantize", root / "texts", tmp_path / "r", "--group-size", 6], "expected a multiple of"),
        (
            ["finetune", "text-classification", "--model", tmp_path / "q", "--train", data,
             "--output-dir", tmp_path / "t"],
            "int8 weights are not trained",
        ),
    ):  # fmt: skip
        code, _, err = run(*words)
        assert code != 0
        assert message in err, err
    assert not (tmp_path / "r").exists()

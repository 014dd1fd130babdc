"""`plainformer evaluate`: the report on the terminal and in files."""

import csv
import json

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from tests.tasks.tiny import TASKS, TEXTS, TOKENS, tune, write_jsonl


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluated")
    for task in ("text-classification", "token-classification", "translation"):
        tune(task, root / task, eval_strategy="no", max_steps=2)
    rows = [{"text": e.text, "label": e.label} for e in TEXTS]
    write_jsonl(root / "texts.jsonl", rows)
    write_jsonl(root / "tokens.jsonl", [{"tokens": e.tokens, "tags": e.tags} for e in TOKENS])
    pairs = [{"source": e.source, "target": e.target} for e in TASKS["translation"][2]]
    write_jsonl(root / "pairs.jsonl", pairs)
    return root


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_tables_are_printed_and_json_is_flat(outputs):
    words = (outputs / "text-classification", "--data", outputs / "texts.jsonl")
    told = run(*words).stdout
    for part in ("precision", "support", "macro", "confusion: rows are right", "ECE"):
        assert part in told
    found = json.loads(run(*words, "--json").stdout.splitlines()[-1])
    assert 0 <= found["eval_ece"] <= 1
    assert not any(isinstance(value, (dict, list)) for value in found.values())


def test_files_hold_every_answer_and_all_figures(outputs, tmp_path):
    words = (outputs / "text-classification", "--data", outputs / "texts.jsonl")
    names = {"output": "a.jsonl", "report": "r.json", "confusion-matrix": "c.png"}
    files = [f"--{flag}={tmp_path / name}" for flag, name in names.items()]
    run(*words, *files)
    run(*words, "--output", tmp_path / "a.csv")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert sorted(r["text"] for r in rows) == sorted(e.text for e in TEXTS)
    right = [r["correct"] for r in rows]
    assert right == sorted(right)
    wrong = [r["score"] for r in rows if not r["correct"]]
    assert wrong == sorted(wrong, reverse=True)
    assert all(sum(r["probabilities"].values()) == pytest.approx(1, abs=1e-5) for r in rows)
    assert (rows[0]["file"], set(rows[0]["probabilities"])) == (
        str(outputs / "texts.jsonl"), {"pos", "neg"},
    )  # fmt: skip
    table = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [r["text"] for r in table] == [r["text"] for r in rows]
    assert float(table[0]["probabilities:pos"]) == rows[0]["probabilities"]["pos"]
    told = json.loads((tmp_path / "r.json").read_text())
    assert set(told) == {"ece", "labels", "confusion", "calibration"}
    assert sum(map(sum, told["confusion"]["matrix"])) == len(TEXTS)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_entities_are_reported_by_type(outputs, tmp_path):
    told = run(outputs / "token-classification", "--data", outputs / "tokens.jsonl",
               "--output", tmp_path / "e.jsonl").stdout  # fmt: skip
    assert "type" in told
    assert "PER" in told
    rows = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert {"entity", "gold", "prediction", "start", "end", "text"} <= rows[0].keys()


@pytest.mark.parametrize("flag", ["--output", "--report", "--confusion-matrix"])
def test_a_task_without_labels_has_no_report(outputs, tmp_path, flag):
    words = (outputs / "translation", "--data", outputs / "pairs.jsonl", flag, tmp_path / "x.json")
    assert f"{flag}: has no effect on translation" in run(*words, code=2).stderr


@pytest.mark.parametrize("flag", ["--output", "--report", "--confusion-matrix"])
def test_data_is_not_overwritten(outputs, flag):
    file = outputs / "texts.jsonl"
    before = file.read_bytes()
    for data in (file, outputs / "text*.jsonl"):
        told = run(outputs / "text-classification", "--data", data, flag, file, code=2).stderr
        assert f"{flag}: got" in told
        assert "which --data reads" in told
    assert file.read_bytes() == before


def test_a_file_in_no_directory_is_told_before_anything_is_computed(outputs, tmp_path):
    words = (outputs / "text-classification", "--data", outputs / "nothing.jsonl")
    told = run(*words, "--report", tmp_path / "no" / "r.json", code=2).stderr
    assert "--report: got" in told


def test_a_missing_extra_is_named(outputs, monkeypatch, tmp_path):
    monkeypatch.setattr("plainformer.runtime.is_installed", lambda name: False)
    told = run(outputs / "text-classification", "--data", outputs / "texts.jsonl",
               "--confusion-matrix", tmp_path / "c.png", code=2).stderr  # fmt: skip
    assert "pip install 'plainformer[viz]'" in told

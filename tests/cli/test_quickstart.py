"""`plainformer quickstart`: needs nothing but the package, and ends with a model that writes."""

import json

import pytest
from click.testing import CliRunner

from plainformer.cli import _chart, main, quickstart


@pytest.fixture
def small(monkeypatch):
    """The same command with a model and a run that take seconds."""
    monkeypatch.setattr(quickstart, "VOCABULARY", 300)
    monkeypatch.setattr(quickstart, "BLOCK_SIZE", 16)
    monkeypatch.setattr(quickstart, "STEPS", 30)
    monkeypatch.setattr(quickstart, "SAMPLE_TOKENS", 5)
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 16}
    monkeypatch.setattr(quickstart, "CONFIG", quickstart.CONFIG | sizes)
    run = {"eval_steps": 15, "save_steps": 15, "logging_steps": 5, "warmup_steps": 2}
    monkeypatch.setattr(quickstart, "TRAINING", quickstart.TRAINING | run)
    documents = quickstart.python_documents(max_bytes=60_000)
    monkeypatch.setattr(quickstart, "python_documents", lambda: documents)


def run(*arguments):
    result = CliRunner().invoke(main, ["quickstart", "--json", *map(str, arguments)])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.mark.parametrize("with_matplotlib", [False, True])
def test_it_trains_draws_writes_and_says_what_next(small, tmp_path, monkeypatch, with_matplotlib):
    if with_matplotlib:
        pytest.importorskip("matplotlib")
    monkeypatch.setattr(quickstart, "has_matplotlib", lambda: with_matplotlib)
    result, said = run("--output-dir", tmp_path / "out")
    assert result["steps"] == 30
    assert result["eval_loss"] < 5.7  # log(300) knows nothing
    assert result["sample"].startswith(quickstart.PROMPT)
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert (tmp_path / "out" / "loss.png").exists() == with_matplotlib
    assert ("o validation" in said) != with_matplotlib
    assert "plainformer generate" in said


def test_time_only_stops_it_early_and_it_says_so(small, tmp_path):
    result, said = run("--output-dir", tmp_path / "out", "--max-seconds", "0.001")
    assert result["steps"] < 30
    assert "time limit" in said


def test_two_runs_of_one_seed_are_the_same_run(small, tmp_path):
    first, _ = run("--output-dir", tmp_path / "a", "--seed", 3)
    second, _ = run("--output-dir", tmp_path / "b", "--seed", 3)
    other, _ = run("--output-dir", tmp_path / "c", "--seed", 4)
    assert first["sample"] == second["sample"]
    assert first["train_loss"] == second["train_loss"] != other["train_loss"]
    weights = [(tmp_path / d / "model.safetensors").read_bytes() for d in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_text_chart_places_both_curves():
    chart = _chart.text_chart([(1, 4.0), (10, 2.0)], [(10, 3.0)], width=10, height=5)
    lines = chart.splitlines()
    assert lines[0] == "   4.000 |.         "
    assert lines[2].endswith("o")
    assert lines[4] == "   2.000 |         ."
    assert "step 1 to 10" in lines[-1]
    assert _chart.text_chart([], []) == ""
    assert "." in _chart.text_chart([(5, 1.0)], [])

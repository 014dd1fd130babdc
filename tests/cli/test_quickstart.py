"""`plainformer quickstart`: needs nothing but the package, and ends with a model that writes."""

import json
import os

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main, quickstart
from plainformer.pretraining import Pretraining
from plainformer.quickstart import docstrings, language_model
from plainformer.quickstart import size as sizes
from plainformer.quickstart.corpus import python_documents
from plainformer.quickstart.docstrings import MODULES, docstring_task
from plainformer.quickstart.size import SIZES, Choice, Size
from plainformer.training import TrainingInterrupted


@pytest.fixture
def small(monkeypatch):
    """The same command with a model and a run that take seconds."""
    monkeypatch.setattr(language_model, "VOCABULARY", 300)
    monkeypatch.setattr(sizes, "BLOCK_SIZE", 16)
    monkeypatch.setitem(SIZES, "small", Size("small", 32, 30))
    monkeypatch.setattr(language_model, "SAMPLE_TOKENS", 5)
    run = {"logging_steps": 5, "warmup_steps": 2}
    monkeypatch.setattr(language_model, "TRAINING", language_model.TRAINING | run)
    documents = python_documents(max_bytes=60_000)
    monkeypatch.setattr(quickstart, "python_documents", lambda without: documents)
    monkeypatch.setattr(docstrings, "LABELS", 2)
    monkeypatch.setattr(docstrings, "HELD_BACK", 3)
    run = {"num_train_epochs": 2, "warmup_steps": 1}
    monkeypatch.setattr(docstrings, "TRAINING", docstrings.TRAINING | run)


def run(*arguments):
    words = ["quickstart", "--json", "--size", "small", *map(str, arguments)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.mark.parametrize("with_matplotlib", [False, True])
def test_it_trains_draws_writes_and_says_what_next(small, tmp_path, monkeypatch, with_matplotlib):
    if with_matplotlib:
        pytest.importorskip("matplotlib")
    monkeypatch.setattr(quickstart, "is_installed", lambda package: with_matplotlib)
    result, said = run("--output-dir", tmp_path / "out")
    assert result["steps"] == 30
    assert result["size"] == "small"
    assert result["eval_loss"] < 5.7  # log(300) knows nothing
    assert result["sample"].startswith(language_model.PROMPT)
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert (tmp_path / "out" / "loss.png").exists() == with_matplotlib
    assert ("o validation" in said) != with_matplotlib
    assert "plainformer generate" in said


def test_it_fine_tunes_what_it_trained_beside_new_weights(small, tmp_path):
    out = tmp_path / "out"
    result, said = run("--output-dir", out)
    accuracies = [result[f"{name}eval_accuracy"] for name in ("before_", "", "scratch_")]
    assert all((24 * accuracy).is_integer() for accuracy in accuracies)  # 8 modules, 3 of each
    table = said[said.index("accuracy on 24 docstrings") :]
    assert all(f"{accuracy:.1%}" in table for accuracy in accuracies)
    assert "guessing: 12.5%" in table
    answer = pf.pipeline("text-classification", out / "classifier")("Open a file for reading.")
    assert answer[0]["label"] in MODULES
    assert f"plainformer predict {out}/classifier" in said


def test_the_classifier_is_the_saved_one_and_new_weights_are_none_of_it(small, tmp_path):
    out = tmp_path / "out"
    result, _ = run("--output-dir", out)
    for name, key in (("classifier", "eval_accuracy"), ("scratch", "scratch_eval_accuracy")):
        examples = out / "docstrings" / "validation.jsonl"
        again = CliRunner().invoke(
            main, ["evaluate", str(out / name), "--data", str(examples), "--json"]
        )
        figures = json.loads(again.stdout.strip().splitlines()[-1])
        assert figures["eval_accuracy"] == result[key]
    weights = [
        dict(pf.load(out / name).named_parameters())["transformer.wte.weight"].data
        for name in ("", "classifier", "scratch")
    ]
    trained, tuned, new = weights
    assert 0 < abs(tuned - trained).mean() < abs(new - trained).mean()


@pytest.mark.parametrize(("seconds", "said"), [(80.4, "80 seconds"), (290.0, "5 minutes")])
def test_it_says_beforehand_how_long_it_takes(capsys, seconds, said):
    quickstart.say_size(Choice(SIZES["small"], seconds))
    text = capsys.readouterr().out
    assert f"about {said} on this machine as it is now; --size small repeats it" in text


def test_time_only_stops_it_early_and_it_says_so(small, tmp_path):
    result, said = run("--output-dir", tmp_path / "out", "--max-seconds", "0.001")
    assert result["steps"] < 30
    assert "left out: the time limit has passed" in said
    assert "eval_accuracy" not in result
    assert "classifier" not in said


def test_a_python_without_the_modules_leaves_fine_tuning_out(small, tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart, "docstring_task", lambda: docstring_task(tmp_path))
    result, said = run("--output-dir", tmp_path / "out")
    assert result["steps"] == 30
    assert "left out: this Python has 0 docstrings of asyncio to use, fewer than 5" in said
    assert "eval_accuracy" not in result


def test_two_runs_of_one_seed_are_the_same_run(small, tmp_path):
    first, _ = run("--output-dir", tmp_path / "a", "--seed", 3)
    second, _ = run("--output-dir", tmp_path / "b", "--seed", 3)
    other, _ = run("--output-dir", tmp_path / "c", "--seed", 4)
    assert first["sample"] == second["sample"]
    assert first["train_loss"] == second["train_loss"] != other["train_loss"]
    for name in ("model.safetensors", "classifier/model.safetensors", "scratch/model.safetensors"):
        weights = [(tmp_path / d / name).read_bytes() for d in "abc"]
        assert weights[0] == weights[1] != weights[2]


def test_ctrl_c_names_no_flag_that_it_has_not(small, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise TrainingInterrupted(7, tmp_path)

    monkeypatch.setattr(Pretraining, "run", stop)
    words = ["quickstart", "--size", "small", "--output-dir", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 130
    assert "stopped by Ctrl-C after step 7; quickstart begins anew each time" in result.stderr
    assert "--resume" not in result.stderr


@pytest.mark.parametrize("name", ["model.safetensors", "latest"])
def test_another_runs_model_is_not_replaced(tmp_path, name):
    """It begins anew each time, in a directory of its own."""
    (tmp_path / name).write_text("mine")
    words = ["quickstart", "--size", "small", "--output-dir", str(tmp_path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert f"holds a model or checkpoints of another run ({name})" in result.stderr
    assert os.listdir(tmp_path) == [name]

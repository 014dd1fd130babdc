"""`plainformer plot`: what a log says, as lines of bars and as pictures."""

import json
import sys

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from plainformer.errors import DataError
from plainformer.training.curves import read_figures, sparkline, told
from tests.training.tiny import tiny_trainer


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name, rate in (("a", 1e-2), ("b", 1e-3)):
        tiny_trainer(
            root / name, learning_rate=rate, logging_steps=1, max_steps=6, eval_strategy="steps",
            eval_steps=2, save_strategy="no",
        ).train()  # fmt: skip
    return root


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["plot", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def records(directory):
    return [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]


def test_curves_are_those_of_the_log(runs):
    curves = read_figures(runs / "a")
    assert curves == read_figures(runs / "a" / "log.jsonl")
    for name in ("loss", "eval_loss", "learning_rate", "grad_norm"):
        assert curves[name] == [(r["step"], r[name]) for r in records(runs / "a") if name in r]
    assert [step for step, _ in curves["eval_loss"]] == [2, 4, 6]
    assert not {"step", "epoch", "tokens"} & curves.keys()


def test_text_tells_first_last_and_least_of_each_run(runs):
    out = run(runs / "a", runs / "b").stdout.splitlines()
    assert [line for line in out if "steps" in line] == [
        f"{runs / 'a'}, 6 steps", f"{runs / 'b'}, 6 steps",
    ]  # fmt: skip
    curve = read_figures(runs / "a")["eval_loss"]
    [line, _] = [line for line in out if line.split()[0] == "eval_loss"]
    assert f"{curve[0][1]:.4g} to {curve[-1][1]:.4g}" in " ".join(line.split())
    step, least = min(curve, key=lambda point: point[1])
    assert line.endswith(f"least {least:.4g} at step {step}")
    found = json.loads(run(runs / "a", runs / "b", "--json").stdout.splitlines()[-1])
    assert found["eval_loss"] == [records(runs / name)[-1]["eval_loss"] for name in "ab"]


def test_other_figures_may_be_asked_for(runs):
    out = run(runs / "a", "--metric", "grad_norm").stdout.splitlines()
    assert [line.split()[0] for line in out[1:]] == ["grad_norm"]
    told = run(runs / "a", "--metric", "accuracy", code=1).stderr
    assert "--metric: got accuracy, expected one of eval_loss, grad_norm, learning_rate" in told


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([1.0], "▅"),
        ([1.0, 1.0, 1.0], "▅▅▅"),
        ([0.0, 7.0], "▁█"),
        (list(range(8)), "▁▂▃▄▅▆▇█"),
        ([float(i // 100) for i in range(400)], "▁" * 10 + "▃" * 10 + "▆" * 10 + "█" * 10),
    ],
)
def test_bars_go_from_the_least_to_the_largest(values, bars):
    assert sparkline(list(enumerate(map(float, values)))) == bars


def test_terminals_without_bars_get_others():
    curves = {"loss": [(1, 2.0), (2, 1.0)]}
    [line] = told(curves, ["loss", "eval_loss"], "ascii")
    assert line.isascii()
    assert "▁" in told(curves, ["loss"], "utf-8")[0]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_has_all_runs(runs, tmp_path, ending):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"curves.{ending}"
    run(runs / "a", runs / "b", "--output", path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    alone = tmp_path / f"alone.{ending}"
    run(runs / "a", "--output", alone)
    assert alone.read_bytes() != data


def test_a_picture_without_matplotlib_is_one_clear_error(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(runs / "a", "--output", tmp_path / "a.png", code=2)
    assert "needs matplotlib, which is not installed: pip install 'plainformer[viz]'" in (
        result.stderr
    )
    run(runs / "a")


def test_a_run_that_goes_on_has_a_torn_last_line(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"step": 1, "loss": 2.0, "grad_norm": null}\n\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo'
    )
    assert read_figures(tmp_path) == {"loss": [(1, 2.0), (2, 1.0)]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "log.jsonl: cannot be read: No such file"),
        ("", "holds no figures yet"),
        ('{"step": 1}\n', "holds no figures yet"),
        ("no\n", "log.jsonl:1: is no record of a training"),
        ('{"loss": 1.0}\n', "log.jsonl:1: is no record of a training"),
        ("[" * 100000 + "\n", "log.jsonl:1: is no record of a training"),
        ('{"step": 1, "loss": 1' + "0" * 400 + "}\n", "holds no figures yet"),
        ('{"step": "a", "loss": 1.0}\n', "log.jsonl:1: is no record of a training"),
    ],
)
def test_what_is_no_log_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        read_figures(tmp_path)
    run(tmp_path, code=1)


def test_other_endings_and_no_run_are_wrong_usage(runs):
    assert (
        "expected a name in .png, .svg, .pdf" in run(runs / "a", "--output", "x.bmp", code=2).stderr
    )
    run(code=2)

"""Choosing cells and peers by name, and one real run from end to end."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from plainformer.bench import session as session_module
from plainformer.bench.cases import NAMES
from plainformer.bench.runner import QUICK, run_case
from plainformer.bench.session import Session, check_peer_names, select, write_json
from plainformer.cli import main
from plainformer.errors import ConfigError


def test_an_operation_selects_all_its_cells():
    cases = select(["softmax"], ["float32"])
    assert {case.operation for case in cases} == {"softmax"}
    assert {case.variant for case in cases} == {"forward", "backward"}


def test_patterns_narrow_down():
    (case,) = select(["softmax.backward.*.512x*"], ["bfloat16"])
    assert case.name == "softmax.backward.bfloat16.512x50257"


def test_no_pattern_means_everything():
    assert len(select([], ["float32", "bfloat16"])) == 2 * len(select([], ["float32"]))


@pytest.mark.parametrize(
    ("patterns", "dtypes", "message"),
    [
        (["sofmax"], ["float32"], "OP: 'sofmax' matches nothing; operations: gemm"),
        ([], ["float16"], "dtype: got 'float16', expected one of float32, bfloat16"),
    ],
    ids=["operation", "dtype"],
)
def test_unknown_names_are_errors(patterns, dtypes, message):
    with pytest.raises(ConfigError, match=message):
        select(patterns, dtypes)


@pytest.mark.parametrize("name", ["jax", "torch:avx2", "plainformer"])
def test_unknown_peers_are_errors(name):
    with pytest.raises(ConfigError, match=f"peers: got '{name}', expected numpy, torch, mkl"):
        check_peer_names(["numpy", name])


def run(*arguments):
    return CliRunner().invoke(main, ["bench", *arguments])


def test_list_names_variants_and_shapes():
    result = run("--list", "norm")
    assert result.exit_code == 0
    assert "norm: layer norm and RMS norm" in result.output
    assert "8192x768" in result.output
    assert "gemm" not in result.output


def test_wrong_usage_is_said_in_one_line():
    result = run("nothing")
    assert result.exit_code == 2
    assert "Error: OP: 'nothing' matches nothing" in result.output


def test_thread_clock_needs_one_thread():
    result = run("embedding", "--clock", "thread", "--threads", "2")
    assert result.exit_code == 2
    assert "--clock thread: needs --threads 1" in result.output


def test_a_quick_run_measures_checks_and_writes(tmp_path):
    output = tmp_path / "results.json"
    pattern = "embedding.forward.*.768x65x128"
    result = run(pattern, "--dtype", "float32", "--threads", "1", "--rounds", "2", "--json",
                 "--peers", "numpy,plainformer:generic", "--output", str(output))  # fmt: skip
    assert result.exit_code == 0, result.output
    totals = json.loads(result.stdout.splitlines()[-1])
    assert totals["cells"] == totals["numpy_compared"] == 1
    written = json.loads(output.read_text())
    assert written["threads"] == 1
    assert written["ceilings"]["float32"] > 1e9
    assert written["peers"]["plainformer:generic"]["level"] == "generic"
    (cell,) = written["cells"]
    assert [result["error"] for result in cell["results"]] == [0.0, 0.0, 0.0]
    assert any(name.startswith("_cpu") for name in written["peers"]["plainformer"]["sources"])


def test_a_missing_peer_is_one_line():
    result = run("embedding.forward.*.768x65x128", "--dtype", "float32", "--peers", "torch",
                 "--peer-python", "/no/such/python", "--threads", "1", "--rounds", "1")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "torch: not measured, cannot run /no/such/python" in result.output


class Clock:
    """Time that passes by `cost` with each cell."""

    def __init__(self, cost):
        self.now, self.cost, self.measured = 1000.0, cost, []

    def monotonic(self):
        return self.now

    def run_case(self, case, peers, plan, end):
        self.now += self.cost(case)
        self.measured.append(case.name)
        return case


def measured(monkeypatch, cost, max_seconds):
    """What a quick session measures of all cells, what it leaves out, and how long it takes."""
    clock = Clock(cost)
    monkeypatch.setattr(session_module, "time", clock)
    monkeypatch.setattr(session_module, "run_case", clock.run_case)
    monkeypatch.setattr(Session, "_start", lambda self: None)
    monkeypatch.setattr(Session, "_raise_ceilings", lambda self: None)
    cases = select([], ["float32", "bfloat16"], quick=True)
    with Session([], 1, QUICK, quick=True, max_seconds=max_seconds) as session:
        assert len(list(session.run(cases))) + len(session.left_out) == len(cases)
    return clock.measured, session.left_out, clock.now - 1000.0


def test_on_a_fast_machine_nothing_is_left_out(monkeypatch):
    _, left_out, seconds = measured(monkeypatch, lambda case: 0.5, 90.0)
    assert not left_out
    assert seconds < 90
    _, left_out, _ = measured(monkeypatch, lambda case: 1000.0, None)
    assert not left_out


@pytest.mark.parametrize("slow", [2.0, 5.0])
def test_on_a_slow_machine_every_operation_has_some_cells_in_time(monkeypatch, slow):
    cells, left_out, seconds = measured(monkeypatch, lambda case: slow, 90.0)
    assert left_out
    assert {name.split(".")[0] for name in cells} == set(NAMES)
    assert seconds <= 90 + slow


def test_the_end_is_kept_whatever_a_cell_costs(monkeypatch):
    cells, _, seconds = measured(monkeypatch, lambda case: 29.0, 90.0)
    assert len(cells) == 4
    assert seconds < 120


def test_a_round_more_is_not_begun_when_there_is_no_time():
    plan = dataclasses.replace(QUICK, rounds=5)
    case = select(["embedding.forward.float32.768x65x128"], ["float32"])[0]
    with Session([], 1, plan, quick=True) as session:
        short = run_case(case, session.peers, plan, 0.0)
        whole = run_case(case, session.peers, plan)
    assert [len(short.ours.rounds), len(whole.ours.rounds)] == [1, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "avx3"], "level: got 'avx3', expected one of generic"),
        (["--peer-python", "=/x"], "peer-python: got '=/x', expected PATH or NAME=PATH"),
    ],
)
def test_what_is_unknown_is_said_before_anything_is_measured(arguments, message):
    result = run("embedding", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_everyone_is_held_to_the_level(tmp_path):
    output = tmp_path / "results.json"
    result = run("embedding.forward.*.768x65x128", "--dtype", "float32", "--peers", "numpy",
                 "--threads", "1", "--rounds", "1", "--level", "generic",
                 "--output", str(output))  # fmt: skip
    assert result.exit_code == 0, result.output
    written = json.loads(output.read_text())
    assert (written["level"], written["held"]) == ("generic", True)
    assert written["peers"]["plainformer"]["level"] == "generic"
    assert set(written["peers"]["numpy"]["instructions"].values()) <= {"generic", None}
    assert written["summary"]["numpy_compared"] == 1


EMBEDDING = "embedding.forward.*.768x65x128"
QUICKLY = ["--dtype", "float32", "--peers", "numpy", "--threads", "1", "--rounds", "1", "--quick"]


def test_a_run_may_fill_a_file_bit_by_bit(tmp_path):
    file, picture = tmp_path / "results.json", tmp_path / "ratios.svg"
    for pattern in (EMBEDDING, "add.forward.*.8x16", EMBEDDING):
        result = run(pattern, *QUICKLY, "--output", str(file), "--append", "--plot", str(picture))
        assert result.exit_code == 0, result.output
    written = json.loads(file.read_text())
    names = [cell["case"]["name"] for cell in written["cells"]]
    assert names == ["embedding.forward.float32.768x65x128", "add.forward.float32.8x16"]
    assert written["summary"]["cells"] == written["summary"]["numpy_compared"] == 2
    assert all("commit" in cell for cell in written["cells"])
    assert picture.read_text().startswith("<?xml")
    wrong = run(EMBEDDING, *QUICKLY, "--threads", "2", "--output", str(file), "--append")
    assert wrong.exit_code == 2
    assert "--append: has threads 1, this run 2" in wrong.output


@pytest.mark.parametrize(("factor", "code"), [(0.2, 0), (50.0, 1)])
def test_a_ratio_that_has_fallen_is_named_and_fails(tmp_path, factor, code):
    file = tmp_path / "results.json"
    assert run(EMBEDDING, *QUICKLY, "--output", str(file)).exit_code == 0
    written = json.loads(file.read_text())
    written["cells"][0]["results"][1]["times_ours"] *= factor
    file.write_text(json.dumps(written))
    result = run(EMBEDDING, *QUICKLY, "--baseline", str(file), "--tolerance", "0.5")
    assert result.exit_code == code, result.output
    assert f"1 ratios beside {written['machine']['commit']}, {code} fallen" in result.output
    assert ("embedding.forward.float32.768x65x128: numpy" in result.output) == bool(code)


def test_a_baseline_that_is_none_is_said(tmp_path):
    file = tmp_path / "other.json"
    file.write_text("{}")
    result = run(EMBEDDING, *QUICKLY, "--baseline", str(file))
    assert result.exit_code == 2
    assert "no results of this command" in result.output


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, "[]", "null", b"\xff".decode("latin-1"), '{"cells": []}',
        '{"machine": {"commit": "a"}, "cells": [{"case": {"name": "a"}, "results": null}]}',
        '{"machine": {"commit": "a"}, "cells": [{"case": {"name": "a"}, "results": [1, 2]}]}',
        '{"machine": {"commit": "a"}, "cells": [{"case": {"name": "a"}, "results": '
        '[{}, {"peer": "numpy", "times_ours": "1"}]}]}',
    ],
    ids=lambda text: text[:20] + text[-20:],
)  # fmt: skip
def test_a_broken_baseline_is_said_before_anything_is_measured(tmp_path, text):
    file = tmp_path / "results.json"
    file.write_text(text, encoding="latin-1")
    result = run(EMBEDDING, *QUICKLY, "--baseline", str(file))
    assert result.exit_code == 2
    assert "no results of this command" in result.output
    assert "ceilings" not in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "nowhere/a.json"], "--output: got nowhere/a.json, whose directory does not"),
        (["--plot", "nowhere/a.png"], "--plot: got nowhere/a.png, whose directory does not exist"),
        (["--plot", "a.doc"], "--plot: got a.doc, expected a name in .png .svg .pdf"),
        (["--plot", "a"], "--plot: got a, expected a name in"),
    ],
)
def test_files_that_cannot_be_written_are_said_before_anything_is_measured(options, message):
    result = run(EMBEDDING, *QUICKLY, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert "ceilings" not in result.output


def test_a_cell_of_all_shapes_is_measured_when_it_is_named():
    (case,) = select(["gemm.nn.float32.2048x50257x1024"], ["float32"])
    assert case.name not in {case.name for case in select([], ["float32"])}
    assert case.name in {case.name for case in select([], ["float32"], everything=True)}


def test_results_go_to_a_pipe_too(tmp_path):
    """And a device is not replaced by a file."""
    write_json({"a": 1}, "/dev/null")
    assert not Path("/dev/null").is_file()
    write_json({"a": 1}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}

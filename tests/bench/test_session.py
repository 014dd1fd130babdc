"""Choosing cells and peers by name, and one real run from end to end."""

import json

import pytest
from click.testing import CliRunner

from plainformer.bench.session import check_peer_names, select
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
    with pytest.raises(ConfigError, match=f"peers: got '{name}', expected numpy, torch or"):
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

"""The scripts of benchmarks/ that time models, from end to end, with no peer installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import plainformer
from plainformer.bench.process import environment

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NOWHERE = ["--peer-python", "/no/such/python"]
SCRIPTS = {
    "train_gpt": ["--config", "nano", "--dtype", "bfloat16", "--rounds", "1", "--busy"],
    "encoder": [
        "--case",
        "B1 T16",
        "--case",
        "train B32 T64",
        "--dtype",
        "float32",
        "--rounds",
        "1",
    ],
    "finetune": ["--steps", "2", "--rounds", "1"],
    "latency": ["--rounds", "1", "--busy"],
    "decode_gpt": ["--dtype", "float32", "--tokens", "3", "--rounds", "1", "--busy"],
    "translate": ["--dtype", "float32", "--rounds", "1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_measures_ours_at_a_level_and_names_who_is_missing(name, tmp_path):
    output = tmp_path / "results.json"
    package = str(Path(plainformer.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *SCRIPTS[name], *NOWHERE,
         "--level", "generic", "--threads", "1", "--output", str(output)],
        capture_output=True, text=True, env={**environment(1, {}), "PYTHONPATH": package},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "torch: not measured, cannot run /no/such/python" in done.stdout.replace(", default", "")
    results = json.loads(output.read_text())
    assert (results["level"], results["held"]) == ("generic", True)
    assert results["cells"]
    for cell in results["cells"].values():
        assert "ratio" not in cell
        assert cell["commit"] == results["machine"]["commit"]
        assert ("busy_ratio" in cell) == ("--busy" in SCRIPTS[name])

"""The scripts of benchmarks/ that read results: the README's table and the speed floors."""

import importlib
import importlib.util
import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from click.testing import CliRunner

from plainformer.bench.session import select

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readme_table, check_floors = script("readme_table"), script("check_floors")


def cell(operation, variant, dtype, label, milliseconds, **times_ours):
    """A cell of a results file; times_ours maps peers to their ratio (None: not measured)."""
    ours = {
        "peer": "plainformer",
        "note": "" if milliseconds else "WRONG",
        "seconds": milliseconds and {"median": milliseconds / 1e3},
        "percent_of_ceiling": 50.0,
    }
    others = [{"peer": peer, "times_ours": ratio} for peer, ratio in times_ours.items()]
    case = {"operation": operation, "variant": variant, "dtype": dtype, "label": label}
    name = f"{operation}.{variant}.{dtype}.{label}"
    return {"case": {**case, "name": name}, "results": [ours, *others]}


def results(*cells, level="avx2"):
    return {
        "threads": 2,
        "level": level,
        "machine": {"processor": "some-cpu-1"},
        "peers": {
            "plainformer": {"level": level, "cpu": {"name": "Some CPU"}, "numpy": "2.4"},
            "numpy": {"numpy": "2.4", "blas": "openblas 0.3"},
        },
        "cells": list(cells),
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(readme_table, "RESULTS", tmp_path)

    def keep(what, level, values):
        file = tmp_path / f"{what}-some-cpu-1-{level}.json"
        file.write_text(json.dumps(values))
        return file

    return keep


def softmax(milliseconds, ratio, label="16x4", dtype="float32"):
    return cell("softmax", "forward", dtype, label, milliseconds, numpy=ratio)


def test_levels_stand_beside_each_other_slower_cells_too(folder):
    bf16 = softmax(1.0, None, dtype="bfloat16")
    folder("bench", "avx2", results(softmax(2.0, 0.8), softmax(1.0, 3.0, "9x9"), bf16))
    folder("bench", "avx512bf16", results(softmax(1.0, 1.8), level="avx512bf16"))
    lines = readme_table.tables("some-cpu-1", "README.md").splitlines()
    assert lines[2:4] == [
        "| softmax | 16x4 | float32 | 2 ms, 50 % | 0.80x | 1 ms, 50 % | 1.80x |",
        "| softmax | 16x4 | bfloat16 | 1 ms, 50 % | - | - | - |",
    ]
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert "avx2: Some CPU (some-cpu-1), 2 threads, numpy 2.4, blas openblas 0.3" in lines[-1]


def test_a_wrong_cell_says_so(folder):
    folder("bench", "avx2", results(softmax(None, None)))
    assert "| WRONG | - |" in readme_table.tables("some-cpu-1", "README.md")


def test_models_have_a_row_a_cell_and_the_fastest_peer(folder):
    fast = {"plainformer_ms": 2.0, "ratio": 0.5, "fastest_peer": "torch"}
    text = {
        "plainformer, pipeline": {"p50_ms": 3.0, "p99_ms": 4.0},
        "beside pipeline": {"ratio_p50": 0.3},
        "beside onnxruntime, by hand": {"ratio_p50": 0.6},
    }
    folder("encoder", "avx2", {"cells": {"B1 T16 float32": fast}})
    folder("latency", "avx512bf16", {"cells": {"float32": text}})
    lines = readme_table.tables("some-cpu-1", "README.md").splitlines()
    assert "| MiniLM | B1 T16 float32 | 2 ms, 0.50 (PyTorch) | - |" in lines
    assert any(line.endswith("| - | 3 ms, 0.60 (onnxruntime, by hand) |") for line in lines)


@pytest.mark.parametrize("name", readme_table.LANGUAGES)
def test_the_readmes_have_the_tables_of_the_committed_results(name):
    text = (BENCHMARKS.parent / name).read_text(encoding="utf-8")
    if not readme_table.read("bench", readme_table.PROCESSOR):
        pytest.skip("no results are committed")
    table = readme_table.tables(readme_table.PROCESSOR, name)
    assert readme_table.insert(text, table) == text, "run python benchmarks/readme_table.py --write"


def test_a_file_without_marks_is_left_alone():
    with pytest.raises(Exception, match="expected <!-- benchmark table -->"):
        readme_table.insert("no marks", "table")


def run_floors(tmp_path, *values):
    files = [tmp_path / f"{i}.json" for i in range(len(values))]
    for file, one in zip(files, values):
        file.write_text(json.dumps(one))
    return CliRunner().invoke(check_floors.main, [str(file) for file in files])


def gemm(label, milliseconds, ratio, dtype="float32", percent=95.0, **others):
    one = cell("gemm", "nn", dtype, label, milliseconds, numpy=ratio, **others)
    one["results"][0]["percent_of_ceiling"] = percent
    return one


def test_the_fastest_peer_counts_and_a_missed_floor_fails(tmp_path):
    fast = gemm("1024x768x768", 2.0, 1.4, torch=1.1)
    slow = gemm("1024x3072x768", 2.0, 1.4, torch=0.9, percent=80.0)
    outcome = run_floors(tmp_path, results(fast, slow))
    assert outcome.exit_code == 1
    assert "held     1.10 of 1.00  gemm.nn.float32.1024x768x768 against torch" in outcome.output
    assert "MISSED   0.90 of 1.00  gemm.nn.float32.1024x3072x768 against torch" in outcome.output
    assert "MISSED  80.00 of 85.00  gemm.nn.float32.1024x3072x768, percent" in outcome.output
    assert "4 floors, 2 missed" in outcome.output


def test_each_level_has_its_own_floors(tmp_path):
    at = {level: results(gemm("1024x768x768", 2.0, 1.02), level=level)
          for level in ("generic", "avx2", "avx512bf16")}  # fmt: skip
    assert run_floors(tmp_path, at["avx2"]).exit_code == 0
    assert run_floors(tmp_path, at["avx512bf16"]).exit_code == 1
    assert "0 floors, 0 missed" in run_floors(tmp_path, at["generic"]).output


def test_dtypes_are_compared_with_each_other(tmp_path):
    pair = (gemm("1024x768x768", 2.0, 2.0), gemm("1024x768x768", 4.0, None, "bfloat16"))
    outcome = run_floors(tmp_path, results(*pair))
    assert "MISSED   0.50 of 0.95  gemm.nn.bfloat16.1024x768x768 against float32" in outcome.output


def test_whole_models_have_floors_too(tmp_path):
    cells = {
        "nano float32": {"ratio": 0.5, "fastest_peer": "torch", "busy_ratio": 3.0},
        "B1 T128 float32": {"ratio": 0.8, "fastest_peer": "onnxruntime"},
        "float32": {"of_bound": 0.9},
    }
    outcome = run_floors(tmp_path, {"level": "avx2", "cells": cells})
    assert "held     2.00 of 1.54  nano float32, torch's time over ours" in outcome.output
    assert "MISSED   0.33 of 0.40  nano float32, of its speed when beside" in outcome.output
    assert "MISSED   1.25 of 1.54  B1 T128 float32, onnxruntime's time over ours" in outcome.output
    assert "held     0.90 of 0.80  float32, of reading the weights" in outcome.output


def test_what_was_not_measured_is_said_and_does_not_fail(tmp_path):
    outcome = run_floors(tmp_path, results(gemm("1024x768x768", 2.0, None)))
    assert outcome.exit_code == 0
    assert "not measured: optimizer.adamw" in outcome.output


@pytest.mark.parametrize("level", check_floors.FLOORS)
def test_every_floor_names_cells_that_exist(level):
    for floor in check_floors.FLOORS[level]:
        assert select([floor.pattern], ["float32"], everything=True), floor.pattern


def test_every_model_of_a_floor_exists():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        encoder, recipe = (importlib.import_module(n) for n in ("encoder", "gpt_recipe"))
    finally:
        sys.path.remove(str(BENCHMARKS))
    names = [f"{name} float32" for name in (*encoder.CASES, *recipe.CONFIGS)]
    names += [name.replace("float32", "bfloat16") for name in names]
    for pattern in check_floors.MODELS:
        assert any(fnmatchcase(name, pattern) for name in names), pattern


def test_results_of_scripts_are_kept_by_processor_and_level(tmp_path, monkeypatch):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        running = importlib.import_module("running")
    finally:
        sys.path.remove(str(BENCHMARKS))
    monkeypatch.setattr(running, "RESULTS", tmp_path)
    common = {"pythons": {}, "output": None, "append": False, "record": True, "busy": False}
    setup = running.Setup(threads=1, level="generic", **common)
    for name in ("a", "b", "a"):
        running.Results("encoder", setup).add(name, {"plainformer_ms": 1.0})
    (file,) = tmp_path.iterdir()
    assert file.name == f"encoder-{running.machine.processor()}-generic.json"
    written = json.loads(file.read_text())
    assert list(written["cells"]) == ["a", "b"]
    assert written["held"]
    assert written["cells"]["a"]["commit"] == written["machine"]["commit"]
    other = running.Setup(threads=2, level="generic", **common)
    with pytest.raises(Exception, match="was measured with threads 1, not 2"):
        running.Results("encoder", other)


def test_every_script_takes_arguments():
    """So that --help tells of it, and does not run it."""
    texts = {path.name: path.read_text() for path in BENCHMARKS.glob("*.py")}
    scripts = [name for name, text in texts.items() if '__name__ == "__main__"' in text]
    assert len(scripts) > 10
    assert not [n for n in scripts if "argparse" not in texts[n] and "click" not in texts[n]]

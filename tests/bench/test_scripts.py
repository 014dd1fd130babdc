"""The scripts of benchmarks/ that read results: the README's table and the speed floors."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

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


def results(*cells):
    return {
        "threads": 2,
        "peers": {
            "plainformer": {"level": "avx2", "cpu": {"name": "Some CPU"}, "numpy": "2.4"},
            "numpy": {"numpy": "2.4", "blas": "openblas 0.3"},
        },
        "cells": list(cells),
    }


def test_table_has_the_first_cell_of_each_dtype_slower_ones_too():
    lines = readme_table.table(
        results(
            cell("softmax", "forward", "float32", "16x4", 2.0, numpy=0.8),
            cell("softmax", "forward", "float32", "9x9", 1.0, numpy=3.0),
            cell("softmax", "forward", "bfloat16", "16x4", 1.0, numpy=None),
        )
    ).splitlines()
    assert lines[2:4] == [
        "| softmax | 16x4 | float32 | 2 ms | 50 % | 0.80x |",
        "| softmax | 16x4 | bfloat16 | 1 ms | 50 % | - |",
    ]
    assert lines[-1].startswith("Some CPU, 2 threads, level avx2; numpy 2.4, blas openblas 0.3.")


def test_table_rows_have_as_many_columns_as_the_heading():
    bad = cell("softmax", "forward", "float32", "16x4", None, numpy=None)
    lines = readme_table.table(results(bad)).splitlines()[:3]
    assert len({line.count("|") for line in lines}) == 1
    assert "WRONG" in lines[2]


def test_table_goes_between_its_marks(tmp_path):
    readme, file = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(f"before\n{readme_table.BEGIN}\nold\n{readme_table.END}\nafter\n")
    file.write_text(json.dumps(results()))
    outcome = CliRunner().invoke(readme_table.main, [str(file), "--readme", str(readme)])
    assert outcome.exit_code == 0, outcome.output
    lines = readme.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines


def test_a_file_without_marks_is_left_alone():
    with pytest.raises(Exception, match="expected <!-- benchmark table -->"):
        readme_table.insert("no marks", "table")


def run_floors(tmp_path, *cells):
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results(*cells)))
    return CliRunner().invoke(check_floors.main, [str(file)])


def test_a_missed_floor_fails(tmp_path):
    outcome = run_floors(
        tmp_path,
        cell("gemm", "nn", "float32", "1024x768x768", 2.0, numpy=0.95),
        cell("gemm", "nn", "float32", "1024x768x3072", 2.0, numpy=0.85),
    )
    assert outcome.exit_code == 1
    assert "held    0.95 of 0.90  gemm.nn.float32.1024x768x768 against numpy" in outcome.output
    assert "MISSED  0.85 of 0.90" in outcome.output
    assert "2 floors, 1 missed" in outcome.output


def test_levels_and_dtypes_are_compared_with_each_other(tmp_path):
    outcome = run_floors(
        tmp_path,
        cell("gemm", "nn", "float32", "1024x768x768", 2.0, **{"plainformer:avx2": 2.0}),
        cell("gemm", "nn", "bfloat16", "1024x768x768", 1.0),
    )
    assert "MISSED  0.50 of 0.60  gemm.nn.float32.1024x768x768, avx2" in outcome.output
    assert "held    2.00 of 1.50  gemm.nn.bfloat16.1024x768x768 against float32" in outcome.output


def test_what_was_not_measured_is_said_and_does_not_fail(tmp_path):
    outcome = run_floors(tmp_path, cell("gemm", "nn", "float32", "1024x768x768", 2.0, numpy=None))
    assert outcome.exit_code == 0
    assert "not measured: optimizer.adamw" in outcome.output


def test_every_floor_names_cells_that_exist():
    from plainformer.bench.session import select

    for floor in check_floors.FLOORS:
        assert select([floor.pattern], ["float32"])

"""The README's CUDA table is made of evidence, and of nothing else."""

import importlib.util

import pytest

from plainformer.bench.machine import file_hash
from tests.emulated import ROOT


@pytest.fixture
def cuda_table():
    spec = importlib.util.spec_from_file_location("cuda_table", ROOT / "benchmarks/cuda_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_readmes_have_the_table_of_now(cuda_table, name):
    """Where it fails: python benchmarks/cuda_table.py --write."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert cuda_table.replaced(text) == text


def results_for(cuda_table, path):
    """What a run on a GPU would leave for one file, in its present state."""
    hashes = {str(f.relative_to(ROOT)): file_hash(f) for f in cuda_table.included(path)}
    case = {"operation": "softmax", "variant": "forward", "dtype": "bfloat16", "label": "8x8"}
    ours = {"seconds": {"median": 1e-5}, "percent_of_ceiling": 90.0}
    return {
        "peers": {"plainformer": {"sources": hashes}},
        "cells": [{"case": case, "results": [ours]}],
    }


def test_evidence_ends_with_any_change_of_what_a_kernel_includes(cuda_table, monkeypatch):
    path = ROOT / "csrc/cuda/softmax.cu"
    results = results_for(cuda_table, path)
    monkeypatch.setattr(cuda_table, "evidence", lambda: {"h200": results})
    assert cuda_table.was_run(path, results)
    row = next(line for line in cuda_table.table().splitlines() if "`softmax.cu`" in line)
    assert "10 us, 90 %" in row
    assert "softmax.cu" not in cuda_table.without_evidence()
    for header in ("csrc/cuda/vector.cuh", "csrc/include/plainformer/softmax.h"):
        changed = results_for(cuda_table, path)
        changed["peers"]["plainformer"]["sources"][header] = "0"
        assert not cuda_table.was_run(path, changed)
        monkeypatch.setattr(cuda_table, "evidence", lambda changed=changed: {"h200": changed})
        assert cuda_table.NOT_RUN in cuda_table.table()
        assert "softmax.cu" in cuda_table.without_evidence()


def test_every_kernel_file_is_in_the_table_and_every_operation_is_measured(cuda_table):
    families = {path.stem.removesuffix("_sm90") for path in cuda_table.kernel_files()}
    # linear_grad is measured with linear's backward; the others are not worth a cell.
    assert families - cuda_table.MEASURED.keys() <= {"add", "linear_grad", "topk"}

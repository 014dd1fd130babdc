"""Rows, percentages and totals."""

import json
from dataclasses import replace

import pytest

from plainformer.bench import report, roofline
from plainformer.bench.case import Case, Work
from plainformer.bench.runner import Cell, Result
from plainformer.bench.timing import Summary

CASE = Case("softmax", "forward", "float32", {"rows": 1000, "columns": 1000})
CEILINGS = {
    "float32": 200e9,
    "bfloat16": 400e9,
    "int8": 800e9,
    "copy": 30e9,
    "stream": 40e9,
    "read": 20e9,
}


def result(name, *rounds, note=""):
    seconds = Summary(rounds[0], rounds[0], rounds[0], len(rounds)) if rounds else None
    return Result(name, error=0.0, rounds=list(rounds), seconds=seconds, note=note)


def cell(ours, *others):
    return Cell(CASE, 1e-6, [result("plainformer", ours), *others])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (1.524e-3, "1.52 ms"), (3e-6, "3 us"), (4.2e-8, "42 ns"), (0.0, "0 ns")],
)
def test_seconds_are_readable(seconds, text):
    assert report.readable_seconds(seconds) == text


@pytest.mark.parametrize(
    ("work", "dtype", "seconds"),
    [
        (Work(flop=200e9, read=1), "float32", 1.0),
        (Work(flop=200e9, read=1), "bfloat16", 0.5),
        (Work(read=20e9, write=20e9), "float32", 1.0),
        (Work(read=20e9), "float32", 1.0),
        (Work(flop=1, read=40e9), "float32", 2.0),
    ],
    ids=["arithmetic", "bfloat16", "better copy", "read alone", "memory over arithmetic"],
)
def test_the_ceiling_is_the_nearer_limit(work, dtype, seconds):
    assert roofline.least_seconds(work, dtype, CEILINGS) == pytest.approx(seconds)


def test_without_bfloat16_products_float32_is_the_ceiling():
    ceilings = {**CEILINGS, "bfloat16": 0.0}
    assert roofline.least_seconds(Work(flop=200e9, read=1), "bfloat16", ceilings) == 1.0


def test_a_row_has_time_rate_ceiling_and_ratios():
    row = report.row(cell(1e-3, result("numpy", 2e-3), result("torch", 0.5e-3)), CEILINGS)
    assert " ".join(row.split()) == ("1000x1000 1 ms 1 ms 1 ms 8.0 GB/s 20 % 2.00x 0.50x slower")


def test_rows_stand_under_their_headings():
    heading = report.heading(CASE, ["numpy"]).splitlines()[1]
    assert len(heading) == len(report.row(cell(1e-3, result("numpy", 2e-3)), CEILINGS))


def test_summary_counts_slower_cells_and_averages_geometrically():
    cells = [cell(1e-3, result("numpy", 2e-3)), cell(1e-3, result("numpy", 0.5e-3))]
    assert report.summary(cells) == {
        "cells": 2,
        "wrong": 0,
        "numpy_compared": 2,
        "numpy_slower": 1,
        "numpy_mean_ratio": 1.0,
        "numpy_worst_ratio": 0.5,
    }


def test_summary_leaves_out_a_peer_that_was_never_compared():
    absent = result("torch", note="no softmax")
    assert report.summary([cell(1e-3, absent)]) == {"cells": 1, "wrong": 0}


def test_json_keeps_everything_a_reader_needs():
    values = report.as_json(cell(1e-3, result("numpy", 2e-3)), CEILINGS)
    values = json.loads(json.dumps(values))
    assert values["case"]["name"] == CASE.name
    ours, other = values["results"]
    assert ours["percent_of_ceiling"] == pytest.approx(20)
    assert ours["seconds"]["median"] == 1e-3
    assert other["times_ours"] == 2.0


def test_json_has_no_infinity():
    bad = replace(result("plainformer", note="WRONG"), error=float("inf"))
    text = json.dumps(report.as_json(replace(cell(1e-3), results=[bad]), CEILINGS))
    assert "Infinity" not in text


def test_wrong_cells_are_counted():
    bad = replace(cell(1e-3), results=[result("plainformer", note="WRONG")])
    assert report.summary([bad])["wrong"] == 1

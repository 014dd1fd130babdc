"""The check before timing finds what is wrong and passes what is only rounded."""

import numpy as np
import pytest

from plainformer.bench import checking
from plainformer.bench.case import Case, make_inputs
from plainformer.bench.cases import dropout, operation

EXACT = (np.array([1.0, -4.0]), np.array([2.0]))


def test_error_is_relative_to_the_largest_number_of_each_output():
    outputs = (np.array([1.0, -4.4]), np.array([2.1]))
    assert checking.relative_error(outputs, EXACT) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "outputs",
    [
        (np.array([1.0, -4.0]),),
        (np.array([1.0, -4.0, 0.0]), np.array([2.0])),
        (np.array([1.0, np.nan]), np.array([2.0])),
    ],
    ids=["missing output", "wrong shape", "NaN"],
)
def test_what_cannot_be_compared_is_infinitely_wrong(outputs):
    assert checking.relative_error(outputs, EXACT) == float("inf")


def test_bound_grows_with_the_rounding_and_the_length_of_sums():
    op = operation("softmax")
    short = {"rows": 2, "columns": 16}
    long = {"rows": 2, "columns": 4096}
    bounds = [
        checking.allowed_error(op, Case("softmax", "forward", dtype, shape))
        for dtype, shape in [("float32", short), ("float32", long), ("bfloat16", short)]
    ]
    assert bounds == sorted(bounds)
    assert bounds[1] < 1e-4


@pytest.mark.parametrize(("p", "right"), [(dropout.P, True), (0.5, False)])
def test_dropout_is_judged_by_what_it_keeps(p, right):
    op, case = operation("dropout"), Case("dropout", "forward", "float32", dropout.SHAPES[1])
    inputs = make_inputs(op, case, 0)
    kept = np.random.default_rng(0).random(inputs["x"].shape) >= p
    outputs = checking.observed(op, case, (inputs["x"] * kept / (1 - p),), inputs)
    error = checking.relative_error(outputs, checking.reference(op, case, inputs))
    assert (error <= checking.allowed_error(op, case)) == right

"""The metrics are listed, documented, name their two sides, and need nothing but NumPy."""

import contextlib
import inspect
import subprocess
import sys

import pytest

from plainformer import metrics
from plainformer.errors import DTypeError


def test_public_names_are_listed_and_documented():
    assert sorted(metrics.__all__) == metrics.__all__
    for name in metrics.__all__:
        assert (getattr(metrics, name).__doc__ or "").strip(), name


def sides(name):
    """The names of what a metric compares; None where it compares nothing."""
    parameters = list(inspect.signature(getattr(metrics, name)).parameters)[:2]
    known = [("reference", "prediction"), ("heads", "completions")]
    return parameters if any(all(map(str.startswith, parameters, pair)) for pair in known) else None


PAIRED = [
    name for name in metrics.__all__ if not inspect.isclass(getattr(metrics, name)) and sides(name)
]
# Two sides for each kind that a metric takes; they differ in what they have.
VALUES = [
    ([0, 1, 2, 0, 1, 1], [0, 2, 1, 0, 0, 1]),
    ([["a"], ["a", "b"], []], [["b"], ["a"], ["c", "a"]]),
    ([1.0, 2.0, 4.0], [1.0, 3.0, 2.0]),
    ("a b c d", "b c"),
]


@pytest.mark.parametrize("name", PAIRED)
def test_exchanged_sides_change_nothing_or_cannot_pass(name):
    """By position a metric is the same both ways round; others take names alone."""
    metric, compared = getattr(metrics, name), 0
    first = next(iter(inspect.signature(metric).parameters.values()))
    for one, other in VALUES:
        if first.kind is first.KEYWORD_ONLY:
            message = rf"{name}: got 2 arguments without names; write {name}\({first.name}="
            with pytest.raises(DTypeError, match=message):
                metric(one, other)
        else:
            with contextlib.suppress(TypeError, ValueError):  # another metric's kind
                assert metric(one, other) == metric(other, one)
                compared += 1
    assert compared or first.kind is first.KEYWORD_ONLY
    assert len(PAIRED) > 20


def test_numpy_is_all_they_import():
    code = """
import sys
import plainformer.metrics
assert not {"sacrebleu", "tokenizers", "ml_dtypes", "plainformer._cpu"} & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

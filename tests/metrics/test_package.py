"""The metrics are listed, documented, name their two sides, and need nothing but NumPy."""

import contextlib
import inspect
import subprocess
import sys

import numpy as np
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


class Column:
    """As a column of a table whose rows have names: no positions, and no Sequence."""

    ndim = 1

    def __init__(self, values):
        self.values = list(values)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __getitem__(self, name):
        raise KeyError(name)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


LABELS, WORDS = VALUES[0], (["a", "b", "oos"], ["a", "oos", "oos"])
COLUMNS = {
    **dict.fromkeys(["accuracy", "classification_metrics", "f1_score", "label_scores"], LABELS),
    **dict.fromkeys(["confusion_matrix", "matthews_corrcoef"], LABELS),
    **dict.fromkeys(["multi_label_metrics", "multi_label_scores"], VALUES[1]),
    **dict.fromkeys(["pearson_correlation", "regression_metrics"], VALUES[2]),
    **dict.fromkeys(["intent_metrics", "bleu", "chrf", "rouge_metrics"], WORDS),
    "entity_metrics": ([["B-X", "O"]], [["B-X", "B-Y"]]),
    "relation_metrics": (["R(e1,e2)", "Other"], ["R(e2,e1)", "Other"]),
    "squad_metrics": ([["a b"], []], ["b", ""]),
    "multiple_choice_accuracy": ([0, 1], [[0.5, 0.1], [0.5, 0.1]]),
    "parse_rate": (["def f():\n"], ["    return 1\n"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_tables_are_lists(name):
    metric, pair = getattr(metrics, name), dict(zip(sides(name), COLUMNS[name]))
    wanted = repr(metric(**pair))
    assert repr(metric(**{side: Column(values) for side, values in pair.items()})) == wanted

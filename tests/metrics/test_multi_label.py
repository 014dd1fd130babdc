"""Scores of any number of labels an example, scikit-learn's figures."""

import pytest

from plainformer import metrics
from plainformer.errors import DTypeError, ShapeError

FOUND = [("a", "b"), (), ("c",), ("a",), ("b", "c")]
WANTED = [["a"], [], ["c", "a"], ["b"], ["c", "b"]]


def test_counts_of_all_labels_make_micro_f1():
    told = metrics.multi_label_metrics(predictions=FOUND, references=WANTED)
    # a: 1 of 2 found, 2 wanted; b: 1 of 2, 2; c: 2 of 2, 2
    assert told["micro_f1"] == pytest.approx(2 * 4 / (6 + 6))
    assert told["macro_f1"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert told["subset_accuracy"] == 2 / 5
    scores = metrics.multi_label_scores(predictions=FOUND, references=WANTED)
    assert list(scores) == ["a", "b", "c"]
    assert scores["a"] == (0.5, 0.5, 0.5, 2)
    assert scores["c"] == (1, 1, 1, 2)


def test_nothing_found_and_nothing_wanted():
    assert metrics.multi_label_metrics(predictions=[()], references=[()]) == {
        "micro_f1": 0.0, "macro_f1": 0.0, "subset_accuracy": 1.0,
    }  # fmt: skip
    assert metrics.multi_label_metrics(predictions=[()], references=[("a",)])["micro_f1"] == 0


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match="no examples"):
        metrics.multi_label_metrics(predictions=[], references=[])
    with pytest.raises(ShapeError, match="one for each"):
        metrics.multi_label_metrics(predictions=[()], references=[(), ()])
    with pytest.raises(DTypeError, match=r"predictions\[0\]: got str, expected a list of labels"):
        metrics.multi_label_metrics(predictions=["ab"], references=[("a",)])

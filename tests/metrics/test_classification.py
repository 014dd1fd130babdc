"""Classification, intent and multiple choice against the examples of scikit-learn's documentation.

The examples are those of `f1_score`, `confusion_matrix`, `matthews_corrcoef` and
`classification_report` in scikit-learn 1.9; digits beyond those printed there come from running it.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainformer import metrics
from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError

REFERENCES, PREDICTIONS = [0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]
LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1)


@pytest.mark.parametrize(
    ("average", "expected"), [("macro", 0.26666667), ("micro", 1 / 3), ("weighted", 0.26666667)]
)
def test_f1(average, expected):
    assert metrics.f1_score(
        predictions=PREDICTIONS, references=REFERENCES, average=average
    ) == pytest.approx(expected)


def test_micro_f1_of_some_labels_leaves_the_others_out():
    """2 right, 5 called 0 or 1, 4 that are: 2 * 2 / (5 + 4), as sklearn with these labels."""
    assert (
        metrics.f1_score(
            predictions=PREDICTIONS, references=REFERENCES, average="micro", labels=[0, 1]
        )
        == 4 / 9
    )


def test_scores_of_each_label():
    """classification_report's example."""
    references, predictions = [0, 1, 2, 2, 2], [0, 0, 2, 2, 1]
    scores = metrics.label_scores(predictions=predictions, references=references)
    assert list(scores) == [0, 1, 2]
    assert scores[0] == (0.5, 1.0, pytest.approx(2 / 3), 1)
    assert scores[1] == (0.0, 0.0, 0.0, 1)
    assert scores[2] == (1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3)
    assert metrics.f1_score(
        predictions=predictions, references=references, average="weighted"
    ) == pytest.approx(0.6133333)


def test_confusion_matrix():
    references = ["cat", "ant", "cat", "cat", "ant", "bird"]
    predictions = ["ant", "ant", "cat", "cat", "ant", "cat"]
    labels, matrix = metrics.confusion_matrix(predictions=predictions, references=references)
    assert labels == ["ant", "bird", "cat"]
    assert matrix.tolist() == [[2, 0, 0], [0, 0, 1], [1, 0, 2]]
    labels, matrix = metrics.confusion_matrix(
        predictions=predictions, references=references, labels=["cat", "dog", "bird", "ant"]
    )
    assert matrix.tolist() == [[2, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 2]]


def test_matthews_correlation():
    assert metrics.matthews_corrcoef(
        predictions=[1, -1, 1, 1], references=[1, 1, 1, -1]
    ) == pytest.approx(-1 / 3)
    assert metrics.matthews_corrcoef(predictions=PREDICTIONS, references=REFERENCES) == 0
    several = metrics.matthews_corrcoef(predictions=[0, 0, 2, 2, 1], references=[0, 1, 2, 2, 2])
    assert several == pytest.approx((3 * 5 - 9) / (16 * 14) ** 0.5)
    assert (
        metrics.matthews_corrcoef(predictions=["a", "a"], references=["a", "b"]) == 0.0
    )  # one label on a side


def test_one_label_only_is_defined():
    assert metrics.classification_metrics(predictions=["x"] * 3, references=["x"] * 3) == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "mcc": 0.0,
    }


@given(LABELS)
def test_every_figure_agrees_with_the_confusion_matrix(pairs):
    predictions, references = zip(*pairs)
    labels, matrix = metrics.confusion_matrix(predictions=predictions, references=references)
    right = np.diag(matrix)
    scores = metrics.label_scores(predictions=predictions, references=references)
    assert list(scores) == labels
    assert metrics.accuracy(predictions=predictions, references=references) == right.sum() / len(
        pairs
    )
    assert metrics.f1_score(
        predictions=predictions, references=references, average="micro"
    ) == pytest.approx(right.sum() / len(pairs))
    for i, label in enumerate(labels):
        precision, recall, _, support = scores[label]
        assert precision * matrix[:, i].sum() == pytest.approx(right[i])
        assert recall * support == pytest.approx(right[i])
        assert support == matrix[i].sum()


@given(LABELS)
def test_swapping_sides_swaps_precision_and_recall(pairs):
    predictions, references = zip(*pairs)
    there = metrics.label_scores(predictions=predictions, references=references)
    back = metrics.label_scores(predictions=references, references=predictions)
    for label, score in there.items():
        assert (score.precision, score.recall, score.f1) == (
            back[label].recall,
            back[label].precision,
            back[label].f1,
        )
    assert metrics.matthews_corrcoef(
        predictions=predictions, references=references
    ) == pytest.approx(metrics.matthews_corrcoef(predictions=references, references=predictions))


def test_arrays_and_lists_are_the_same():
    assert metrics.classification_metrics(
        predictions=np.array(PREDICTIONS), references=np.array(REFERENCES)
    ) == metrics.classification_metrics(predictions=PREDICTIONS, references=REFERENCES)


BAD = {
    "empty": ([], [], ShapeError, "no examples"),
    "lengths": ([1], [1, 2], ShapeError, "got 1, expected one for each of the 2"),
    "scores": (np.zeros((2, 3)), [0, 1], ShapeError, r"got shape \(2, 3\).*argmax"),
    "kinds": (["1"], [1], DTypeError, "strings and integers"),
    "floats": ([0.0], [1], DTypeError, r"predictions\[0\]: got 0.0"),
    "none": (["a"], [None], DTypeError, r"references\[0\]: got None"),
    "a string": ("ab", "ab", DTypeError, "got str, expected a list"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "function",
    [
        metrics.accuracy,
        metrics.confusion_matrix,
        metrics.label_scores,
        metrics.f1_score,
        metrics.matthews_corrcoef,
        metrics.classification_metrics,
        metrics.intent_metrics,
    ],
)
def test_bad_input_is_named(function, name):
    predictions, references, error, message = BAD[name]
    with pytest.raises(error, match=message):
        function(predictions=predictions, references=references)


def test_bad_options_are_named():
    with pytest.raises(ConfigError, match="average: got 'none'"):
        metrics.f1_score(predictions=[1], references=[1], average="none")
    with pytest.raises(ConfigError, match="labels: 2 occurs"):
        metrics.confusion_matrix(predictions=[2], references=[1], labels=[1])
    for labels in ([], [1, 1]):
        with pytest.raises(ConfigError, match="each once"):
            metrics.label_scores(predictions=[1], references=[1], labels=labels)


def test_intent():
    references = ["a", "a", "b", "b", "oos", "oos", "oos", "oos"]
    predictions = ["a", "b", "b", "oos", "oos", "a", "oos", "oos"]
    assert metrics.intent_metrics(predictions=predictions, references=references) == {
        "accuracy": 5 / 8,
        "in_scope_accuracy": 2 / 4,
        "oos_recall": 3 / 4,
        "oos_precision": 3 / 4,
    }


def test_intent_leaves_out_what_is_not_defined():
    assert metrics.intent_metrics(predictions=[0], references=[1], out_of_scope=0) == {
        "accuracy": 0.0,
        "in_scope_accuracy": 0.0,
        "oos_precision": 0.0,
    }
    assert metrics.intent_metrics(predictions=[1], references=[0], out_of_scope=0) == {
        "accuracy": 0.0,
        "oos_recall": 0.0,
    }
    with pytest.raises(ConfigError, match="out_of_scope: got 'oos'"):
        metrics.intent_metrics(predictions=["a"], references=["a"])


def test_multiple_choice():
    scores = np.array([[0.1, 0.9], [2.0, 1.0], [-np.inf, -1.0], [1.0, 1.0]])
    assert metrics.multiple_choice_accuracy(predictions=scores, references=[1, 1, 1, 0]) == 0.75
    assert (
        metrics.multiple_choice_accuracy(predictions=[[1.0], [0.0, 2.0, 1.0]], references=[0, 1])
        == 1.0
    )


@pytest.mark.parametrize(
    ("scores", "references", "error", "message"),
    [
        ([[0.0, np.nan]], [0], DataError, r"predictions\[0\]\[1\]: got NaN"),
        ([[0.0, 1.0]], [2], DataError, r"references\[0\]: got 2, expected 0 to 1"),
        ([[0.0, 1.0]], ["a"], DataError, "got 'a'"),
        ([[]], [0], ShapeError, "expected one a choice"),
        ([], [], ShapeError, "no examples"),
        ([[1.0]], [0, 0], ShapeError, "one for each"),
    ],
)
def test_bad_choices_are_named(scores, references, error, message):
    with pytest.raises(error, match=message):
        metrics.multiple_choice_accuracy(predictions=scores, references=references)

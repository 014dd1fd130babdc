"""Labels: order, maps to ids and back, what validation has that training lacks."""

import numpy as np
import pytest

from plainformer.data import LabelMap, TextExample, TokenExample
from plainformer.data.labels import (
    check_labels,
    label_counts,
    label_set,
    sort_labels,
    unseen_labels,
)
from plainformer.errors import ConfigError, DataError


def texts(*labels):
    return [TextExample("text", label, "v.jsonl", i + 1) for i, label in enumerate(labels)]


def test_integers_sort_by_value_and_names_by_code_point():
    assert sort_labels(["10", "9", "-1", "9"]) == ["-1", "9", "10"]
    assert sort_labels(["b", "10", "B", "9"]) == ["10", "9", "B", "b"]
    assert sort_labels(["01", "1"]) == ["01", "1"]
    assert sort_labels([]) == []


def test_label_set_does_not_depend_on_the_order_of_examples():
    assert label_set(texts("b", "a", "b")) == label_set(texts("a", "b")) == ["a", "b"]
    assert label_counts(texts("b", "a", "b")) == {"b": 2, "a": 1}


def test_tags_are_completed():
    """B-X alone in training: I-X in validation is no unseen type."""
    assert label_set([TokenExample(["w"], ["B-X"])]) == ["B-X", "I-X", "O"]
    assert label_set([TokenExample(["v", "w"], ["S-X", "O"])]) == [
        "B-X",
        "E-X",
        "I-X",
        "O",
        "S-X",
    ]
    assert label_set([TokenExample(["v", "w"], ["NN", "VB"])]) == ["NN", "VB"]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (texts("a", "a"), "v.jsonl: labels: got only 'a', in 2 examples; expected at least two"),
        (texts(None), "labels: got none"),
        ([], "labels: got none"),
        ([TokenExample(["w"], ["O"])], "got only 'O'"),
    ],
)
def test_one_class_only_is_named(examples, message):
    with pytest.raises(DataError, match=message):
        label_set(examples)


def test_labels_of_validation_that_training_lacks():
    examples = texts("a", "c", "b", "c", "d")
    assert unseen_labels(examples, ["a", "b"]) == {"c": 2, "d": 1}
    with pytest.raises(DataError) as error:
        check_labels(examples, ["a", "b"])
    assert str(error.value) == (
        "v.jsonl:2: label 'c' is not among the 2 known ones (a, b); such labels: 'c' 2 times, "
        "'d' 1 times"
    )
    assert (error.value.file, error.value.line) == ("v.jsonl", 2)
    check_labels(examples, ["a", "b", "c", "d"])
    with pytest.raises(DataError, match=r"and 2 others"):
        check_labels(texts(*map(str, range(10))), ["a"])


def test_label_map():
    labels = LabelMap(["neg", "pos"])
    assert (labels.id2label, labels.label2id) == ({0: "neg", 1: "pos"}, {"neg": 0, "pos": 1})
    assert len(labels) == 2
    assert labels.ids(["pos", "neg", "pos"]).tolist() == [1, 0, 1]
    assert labels.ids([]).dtype == np.int64
    assert labels.names(np.array([1, 0])) == ["pos", "neg"]


def test_a_map_from_a_config_and_back():
    config = {"0": "b", "1": "a", "2": "c"}
    labels = LabelMap.from_id2label(config)
    assert labels.labels == ("b", "a", "c")
    assert {str(k): v for k, v in labels.id2label.items()} == config


def test_new_labels_come_after_the_old_which_keep_their_ids():
    labels = LabelMap(["z", "b"]).extended(["y", "b", "a"])
    assert labels.labels == ("z", "b", "a", "y")


@pytest.mark.parametrize(
    ("id2label", "message"),
    [
        ({"0": "a", "2": "b"}, r"got ids \[0, 2\]"),
        ({"x": "a"}, "expected ids for keys"),
        ({None: "a"}, "expected ids for keys"),
        ({"0": 1}, "expected strings"),
        ({"0": "a", "1": "a"}, "got 'a' twice"),
    ],
)
def test_bad_configs_are_named(id2label, message):
    with pytest.raises(ConfigError, match=message):
        LabelMap.from_id2label(id2label)


def test_an_unknown_label_is_named():
    with pytest.raises(DataError, match=r"label 'x' is not among the 1 known ones \(a\)"):
        LabelMap(["a"]).ids(["a", "x"])

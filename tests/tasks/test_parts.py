"""Training data cut in two, and what is told of odd data and of the most frequent label."""

from collections import Counter

import pytest

from plainformer.data import TextExample
from plainformer.errors import ConfigError, DataError
from plainformer.tasks.parts import cut_off, majority, oddities

from .tiny import TASKS, TEXTS, tune

MANY = [TextExample(f"text {i}", "ab"[i % 10 < 3]) for i in range(200)]  # 140 a, 60 b


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_part_has_its_share_of_each_label(fraction):
    rest, part = cut_off(MANY, fraction, 0)
    assert Counter(e.label for e in part) == {"a": 140 * fraction, "b": 60 * fraction}
    assert sorted([*rest, *part], key=MANY.index) == MANY
    assert rest == sorted(rest, key=MANY.index)


def test_the_seed_decides_which():
    parts = [[e.text for e in cut_off(MANY, 0.1, seed)[1]] for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


def test_many_rare_labels_give_their_share_together():
    rare = [TextExample(f"text {i}", f"label {i // 4}") for i in range(100)]
    rest, part = cut_off(rare, 0.1, 0)
    assert len(part) == 10
    assert len({e.label for e in rest}) == 25


def test_a_label_of_one_example_is_learned():
    rest, _ = cut_off([*MANY, TextExample("alone", "c")], 0.5, 0)
    assert "c" in {e.label for e in rest}
    with pytest.raises(DataError, match=r"validation_fraction: 0\.1 of 2 examples is none"):
        cut_off(MANY[:2], 0.1, 0)


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "translation"])
def test_a_run_is_validated_on_what_it_holds_back(tmp_path, task):
    examples = TASKS[task][2] * 3
    how = {"train": examples, "validation": None, "validation_fraction": 0.3}
    result = tune(task, tmp_path, **how)
    assert "eval_loss" in result.metrics
    assert "before_eval_loss" in result.metrics


def test_two_ways_to_validate_are_an_error(tmp_path):
    with pytest.raises(ConfigError, match="validation_fraction: has no effect beside validation"):
        tune("text-classification", tmp_path, validation_fraction=0.3)


def test_odd_data_is_told():
    train = [TextExample("a", "x"), TextExample("a", "x"), TextExample("b", "X ".strip()),
             TextExample("c", "x y"), TextExample("c", "x  y"), TextExample("d", "x")]  # fmt: skip
    assert oddities(train, {"validation": [TextExample("d", "x"), TextExample("e", "x")]}) == [
        "train: 2 of 6 examples are there before",
        "train: 1 texts have several labels",
        "validation: 1 of 2 examples are in train too",
        "train: labels 'X' and 'x' differ by case or blanks alone",
        "train: labels 'x  y' and 'x y' differ by case or blanks alone",
        "train: fewer than 3 examples of 3 labels: X, x  y, x y",
    ]
    assert oddities(MANY, {"validation": [TextExample("new", "a")]}) == []


def test_the_most_frequent_label_stands_beside_accuracy(tmp_path):
    assert majority(MANY, MANY[:10]) == ("a", 0.7)
    result = tune("text-classification", tmp_path, train=TEXTS, validation=TEXTS[:6])
    assert result.metrics["majority_eval_accuracy"] == pytest.approx(1 / 6)

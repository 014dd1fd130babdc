"""Kinds of values: what an annotation lets through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from plainformer.errors import CheckpointError, ConfigError
from plainformer.kinds import check_kind, check_kinds, described, fits

FITS = [
    (int, [0, -5, 2**63, 2**64 - 1], [True, 1.0, "1", None, 2**64, -(2**64), 10**400]),
    (float, [0, -1.5, 3e38], [True, 1e39, "1", float("nan"), float("inf"), 10**400]),
    (bool, [True], [0, 1, "true", None]),
    (str, ["", "a"], [1, None, ["a"]]),
    (int | None, [None, 3], ["3", []]),
    (list[int], [[], [1, 2]], [[1.5], [[1]], (1,), "1", {}, None]),
    (Sequence[str], [["a"], ("a",)], ["a", [1], {"a": 1}]),
    (dict[str, Any], [{}, {"a": [1]}], [[], {1: 2}]),
    (Mapping[int, str], [{0: "a"}, {"0": "a"}, {"-3": "a"}], [{"a": "b"}, {"0": 1}, ["a"]]),
    (tuple[int, float], [(1, 0.5)], [(1,), [1, 0.5], (0.5, 1)]),
    (Literal["a", 1], ["a", 1], ["b", True, 1.0, None]),
    (str | list[str], ["a", ["a"]], [[1], 1]),
    (Any, [object()], []),
]


@pytest.mark.parametrize(("annotation", "good", "bad"), FITS, ids=lambda value: str(value)[:30])
def test_fits(annotation, good, bad):
    assert all(fits(value, annotation) for value in good)
    assert [value for value in bad if fits(value, annotation)] == []


def test_a_wrong_value_is_named_with_the_kind_that_was_wanted():
    with pytest.raises(ConfigError, match=r"^n: got '5', expected int or None$"):
        check_kind("n", "5", int | None)
    with pytest.raises(CheckpointError, match=r"expected a list of integers$"):
        check_kind("n", [[]], list[int], error=CheckpointError)
    assert check_kind("n", 5, int) == 5


def test_described():
    kinds = {
        Mapping[str, int | None] | str: "an object of int or None or str",
        Sequence[str] | None: "a list of texts or None",
        list[list[int]]: "a list of lists of integers",
        list[dict[str, Any]]: "a list of objects",
        dict[int, str]: "an object of texts under integers",
        tuple[int, float]: "(int, float)",
        Literal["a", "b"]: "'a' or 'b'",
        Any: "any value",
        list: "a list",
        dict: "an object",
    }
    assert {kind: described(kind) for kind in kinds} == kinds


def test_every_field_of_a_dataclass_is_checked():
    check_kinds(_Pair(1, ["a"]))
    with pytest.raises(
        CheckpointError, match=r"^a\.json: names: got \[1\], expected a list of texts$"
    ):
        check_kinds(_Pair(1, [1]), where="a.json: ", error=CheckpointError)


@dataclass
class _Pair:
    count: int
    names: list[str]

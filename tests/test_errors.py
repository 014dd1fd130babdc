"""What messages repeat of a value: one line, some 80 characters."""

import numpy as np
import pytest

from plainformer.errors import DataError, PlainformerError, listed, short, shown


class Stubborn:
    def __repr__(self):
        raise RuntimeError("no")


NESTED = [[[[[1] * 50] * 50] * 50] * 50] * 50
VALUES = {
    "text": "x" * 1_000_000,
    "lines": "a\nb\r\n\x1b[31mred\u202e\u2028" * 10,
    "integer": -(1 << 100_000),
    "list": ["word" * 30] * 1000,
    "nested": NESTED,
    "dict": {("k" * 100, i): "v" * 100 for i in range(1000)},
    "mixed keys": {1: "a", "b": 2, None: 3},
    "array": np.arange(4_000.0).reshape(20, 200),
    "bytes": b"\n" * 10_000,
    "own repr": Stubborn(),
    "set": {str(i) * 40 for i in range(100)},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("form", [shown, lambda value: short(VALUES["lines"] + "y" * 1000)])
def test_a_value_is_one_short_line_that_prints(form, value):
    text = form(value)
    assert 0 < len(text) <= 80
    assert text.isprintable()


@pytest.mark.parametrize("value", ["a  b", "", "it's", 3, 2.5, None, [1, "a"], {"a": [1]}, (1,)])
def test_a_small_value_is_as_repr_writes_it(value):
    assert shown(value) == repr(value)


def test_both_ends_of_a_long_value_are_seen():
    assert shown("begin" + "x" * 1000 + "end").startswith("'begin")
    assert shown("begin" + "x" * 1000 + "end").endswith("end'")
    assert short("begin" + "x" * 1000 + "end").endswith("end")


def test_a_list_of_names_is_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcd", most=3) == "a, b, c, ..."
    assert len(listed(iter(["n\n" * 100] * 100))) < 900
    assert listed([]) == ""


def test_numpy_numbers_are_numbers():
    assert [shown(np.float64(0.5)), shown(np.int32(3)), shown(np.array(2.0))] == ["0.5", "3", "2.0"]


@pytest.mark.parametrize("kind", [PlainformerError, DataError])
def test_no_error_is_longer_than_a_page_or_moves_the_cursor(kind):
    assert str(kind("a line\nanother, and a path /home/x")) == (
        "a line\nanother, and a path /home/x"
    )
    assert len(str(kind("w" * 100_000 + " end"))) < 500
    assert len(str(kind("a b " * 100_000 + "end"))) <= 8000
    assert "\x1b" not in str(kind("\x1b[2J"))
    assert "\u202e" not in str(kind("\u202e"))

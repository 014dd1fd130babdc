"""Objects in memory as examples: the checks and messages of files, without one."""

import re

import pytest

from plainformer.data import TextExample, TokenExample, examples_of
from plainformer.errors import ConfigError, DataError

ROWS = [{"text": "a good film", "label": "pos"}, {"text": "a bad film", "label": 0}]


def test_objects_become_the_examples_of_the_task():
    examples = examples_of(ROWS[:1], "text-classification", name="train")
    assert examples == [TextExample("a good film", "pos")]
    assert (examples[0].file, examples[0].line) == ("train", 1)


def test_columns_rename_fields():
    rows = [{"review": "fine", "stars": 4}]
    columns = {"text": "review", "label": "stars"}
    assert examples_of(rows, "text-classification", columns=columns) == [TextExample("fine", "4")]


def test_tags_are_checked_and_schemes_told():
    rows = [{"tokens": ["Ann", "Lee"], "tags": ["I-PER", "I-PER"]}]
    with pytest.raises(DataError, match="examples:1: word 1"):
        examples_of(rows, "ner")
    [example] = examples_of(rows, "ner", tag_scheme="IOB1")
    assert example == TokenExample(["Ann", "Lee"], ["B-PER", "I-PER"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "x"}], "examples:1: no 'label'; expected text, label"),
        (ROWS, "examples:2: label '0' is a number, expected text as the first label ('pos')"),
        ([*ROWS[:1], ("a", "b")], "examples:2: got tuple, expected an object with text, label"),
        ([], "examples: holds no examples"),
    ],
)
def test_a_bad_object_is_named_with_its_number(rows, message):
    with pytest.raises(DataError, match=re.escape(message)):
        examples_of(rows, "text-classification")


def test_bad_objects_are_left_out_where_that_is_asked_for():
    rows = [*ROWS[:1], {"text": " "}, None]
    assert len(examples_of(rows, "text-classification", skip_bad_lines=True)) == 1


def test_unlabelled_objects_need_no_label():
    assert examples_of([{"text": "x"}], "text-classification", labelled=False)[0].label is None


def test_an_unknown_column_is_named():
    with pytest.raises(ConfigError, match="columns: got 'txt'"):
        examples_of(ROWS, "text-classification", columns={"txt": "a"})

"""Documents from text, JSONL, CSV and TSV; bad input names file and line."""

import contextlib
import csv
import json
import logging
import os
import threading
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plainformer.data.records import source
from plainformer.data.records.files import find_files
from plainformer.data.text import SEARCHED, Documents
from plainformer.errors import DataError, DTypeError


def texts(paths, **kw):
    return [document.text for document in Documents(paths, **kw)]


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_plain_text_is_one_document_and_keeps_its_line_ends(tmp_path):
    text = "one\r\ntwo\n\n\u2028three\rfour"
    (document,) = Documents(write(tmp_path / "a.txt", "\ufeff" + text))
    assert document.text == text
    assert document.line_of(text.index("three")) == 4
    assert document.line_of(0) == 1


def test_jsonl(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a\\nb", "n": 1}\n\n{"text": "é"}\n{"text": ""}\n')
    documents = list(Documents(path))
    assert [(d.text, d.line) for d in documents] == [("a\nb", 1), ("é", 3)]
    assert documents[0].line_of(2) == 1
    assert texts(write(tmp_path / "b.jsonl", '{"body": "x"}'), column="body") == ["x"]


def test_csv_and_tsv(tmp_path):
    table = write(tmp_path / "a.csv", '\ufefflabel,text\n1,"a, ""b""\nc"\n\n0,d\n')
    assert [(d.text, d.line) for d in Documents(table)] == [('a, "b"\nc', 2), ("d", 5)]
    assert texts(write(tmp_path / "a.tsv", 'text\tlabel\n"a\t1\n')) == ['"a']
    assert texts(table, column="label") == ["1", "0"]


def test_long_fields(tmp_path):
    limit = csv.field_size_limit()
    assert len(texts(write(tmp_path / "a.csv", "text\n" + "x" * 300_000))[0]) == 300_000
    assert csv.field_size_limit() == limit


def test_directories_and_globs_are_sorted_and_files_come_once(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.md", ".hidden/d.txt", "image.png", "sub/.e.txt"):
        write(tmp_path / name, name)
    assert texts(tmp_path) == ["a.txt", "b.txt", "sub/c.md"]
    assert texts(tmp_path / "**" / "*.txt") == ["a.txt", "b.txt"]
    assert texts([tmp_path / "b.txt", tmp_path]) == ["b.txt", "a.txt", "sub/c.md"]
    assert texts(write(tmp_path / "odd[1].txt", "odd")) == ["odd"]
    assert texts(tmp_path / "image.png") == ["image.png"]


@pytest.mark.parametrize("path", ["none.txt", "*.none", "empty"])
def test_nothing_found(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no such file|no text files") as error:
        find_files([tmp_path / path], SEARCHED)
    assert error.value.file == str(tmp_path / path)


BAD = {
    "not utf-8": ("a.txt", b"one\ntw\xffo\n", 2, "not UTF-8: byte 0xff at column 3"),
    "empty": ("a.txt", b"", None, "holds no text"),
    "only a mark": ("a.txt", b"\xef\xbb\xbf", None, "holds no text"),
    "empty jsonl": ("a.jsonl", b"\n\n", None, "holds no text"),
    "not json": ("a.jsonl", b'{"text": "a"}\n{"text": \n', 2, "not JSON"),
    "no field": ("a.jsonl", b'{"body": "a"}', 1, "a string 'text'"),
    "not a string": ("a.jsonl", b'{"text": 3}', 1, "a string 'text'"),
    "not an object": ("a.jsonl", b"[1]", 1, "got a JSON list, expected an object"),
    "deep": ("a.jsonl", b"[" * 100_000, 1, "not JSON"),
    "surrogate": ("a.jsonl", b'{"text": "\\ud800"}', 1, "not UTF-8"),
    "jsonl not utf-8": ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}', 2, "not UTF-8"),
    "no column": ("a.csv", b"a,b\n1,2\n", 1, "no column 'text'"),
    "empty table": ("a.csv", b"", None, "holds no text"),
    "header only": ("a.csv", b"text\n", None, "holds no text"),
    "too few fields": (
        "a.csv",
        b"text,b\n1,2\n1\n",
        3,
        "got 1 fields, expected 2 as in the first row",
    ),
    "open quote": ("a.csv", b'text\na\n"b\nc\n', 3, "not a row"),
    "table not utf-8": ("a.tsv", b"text\n\xff\n", 2, "not UTF-8"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_file_and_line(tmp_path, name):
    file, data, line, message = BAD[name]
    path = write(tmp_path / file, data)
    with pytest.raises(DataError, match=message) as error:
        texts(path)
    assert (error.value.file, error.value.line) == (str(path), line)
    assert str(error.value).count(str(path)) == 1


@pytest.mark.parametrize(
    ("file", "data", "left", "skipped"),
    [
        ("a.txt", b"a\n\xff\nb\n", ["a\n\nb\n"], 1),
        ("a.jsonl", b'{"text": "a"}\n{\n\xff\n3\n{"text": "b"}\n', ["a", "b"], 3),
        ("a.csv", b'n,text\n1,a\n1\n2,"b"c\n3,d\n', ["a", "d"], 2),
    ],
)
def test_bad_lines_are_skipped_and_counted(tmp_path, caplog, file, data, left, skipped):
    documents = Documents(write(tmp_path / file, data), skip_bad_lines=True)
    with caplog.at_level(logging.INFO, "plainformer"):
        for _ in range(2):
            assert [d.text for d in documents] == left
            assert documents.skipped == skipped
    assert f"{skipped} bad line" in caplog.text


def test_long_text_is_cut_between_a_letter_and_a_space(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 8)
    path = write(tmp_path / "a.txt", "one two. three\nfour! five six\nseven\n")
    parts = list(Documents(path))
    assert "".join(p.text for p in parts) == path.read_text()
    cuts = [(a.text[-1].isalnum(), b.text[0] in " \n") for a, b in pairwise(parts)]
    assert cuts == [(True, True)] * (len(parts) - 1)
    assert len(parts) > 2
    last = parts[-1]
    assert last.line_of(last.text.index("seven")) == 3


def test_characters_are_never_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 5)
    text = "\u4e2d\u6587\u3002\U0001f600" * 9  # 3 and 4 bytes each, no place to cut at
    parts = texts(write(tmp_path / "a.txt", text))
    assert "".join(parts) == text
    assert len(parts) > 5


def test_a_bad_line_far_into_a_long_file(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 16)
    path = write(tmp_path / "a.txt", b"good line\n" * 40 + b"ba\xff d\n" + b"good line\n" * 3)
    with pytest.raises(DataError, match="byte 0xff at column 3") as error:
        texts(path)
    assert error.value.line == 41
    documents = Documents(path, skip_bad_lines=True)
    assert "".join(d.text for d in documents) == "good line\n" * 40 + "\n" + "good line\n" * 3
    assert documents.skipped == 1


def test_a_pipe_is_read_too(tmp_path):
    path = tmp_path / "pipe.txt"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"\xef\xbb\xbfone\n",))
    writer.start()
    assert texts(path) == ["one\n"]
    writer.join()


def test_unreadable_file(tmp_path):
    documents = Documents(write(tmp_path / "a.txt", "x"))
    os.remove(tmp_path / "a.txt")
    with pytest.raises(DataError, match="cannot be read"):
        list(documents)


# csv of Python 3.10 neither writes nor reads a null character.
NOT_NULL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NOT_NULL, min_size=1))
def test_any_text_survives_jsonl_and_csv(tmp_path, values):
    lines = "".join(json.dumps({"text": value}) + "\n" for value in values)
    assert texts(write(tmp_path / "a.jsonl", lines)) == values
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text"], *([v] for v in values)])
    assert texts(tmp_path / "a.csv") == values


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from(["a.txt", "a.jsonl", "a.csv", "a.tsv"]))
def test_random_bytes_are_read_or_a_data_error(tmp_path, data, name):
    path = write(tmp_path / name, b"text\n" + data)
    for skip in (False, True):
        with contextlib.suppress(DataError):
            texts(path, skip_bad_lines=skip)


def test_tables_are_those_of_labelled_data(tmp_path):
    """One reader: another delimiter, another case, and a bad byte inside quotes that costs no more
    than its row."""
    assert texts(write(tmp_path / "a.csv", "id;TEXT\n1;a, b\n")) == ["a, b"]
    path = write(tmp_path / "b.csv", b'text\n"a\n\xff\n"\n"b\nc"\nd\n')
    documents = Documents(path, skip_bad_lines=True)
    assert [(d.text, d.line) for d in documents] == [("b\nc", 5), ("d", 7)]
    assert documents.skipped == 3
    with pytest.raises(DataError, match="byte 0xff at column 1") as error:
        texts(path)
    assert error.value.line == 3


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"\x28\xb5\x2f\xfd", "is compressed"),
        (b"PAR1\x15", "cannot be read as Parquet"),
        (b"\x1f\x8b\x08", "cannot be read"),
    ],
)
def test_files_of_other_programs_are_told(tmp_path, name, begin, message):
    path = write(tmp_path / name, begin)
    for skip in (False, True):
        with pytest.raises(DataError, match=message):
            texts(path, skip_bad_lines=skip)


def test_the_first_bad_lines_are_logged_and_all_counted(tmp_path, caplog):
    documents = Documents(write(tmp_path / "a.jsonl", "{\n" * 50 + '{"text": "a"}\n'),
                          skip_bad_lines=True)  # fmt: skip
    with caplog.at_level(logging.INFO, "plainformer"):
        assert [d.text for d in documents] == ["a"]
    assert sum("skipped: " in message for message in caplog.messages) == 20
    assert "a.jsonl: jsonl, 1 document, 50 bad lines skipped" in caplog.text


def test_standard_input_is_no_text_to_read_again():
    with pytest.raises(DataError, match=r"standard input: is read once.*name a file"):
        texts("-")


def test_paths_of_another_kind_are_named():
    with pytest.raises(DTypeError, match="paths: got 3, expected paths of files"):
        Documents([3])

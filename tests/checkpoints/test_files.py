"""Small files that strangers wrote: strict JSON, plain names."""

import pytest

from plainformer.checkpoints.files import (
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    parse_json_object,
    plain_name,
    read_json,
    read_text,
)
from plainformer.errors import CheckpointError


def test_an_object_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"é": [1, {"a": null}]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"é": [1, {"a": None}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "JSON"),
        (b"[]", "got list"),
        (b'{"a": {"b": 1, "b": 2}}', "'b' stands twice"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"\xff": 1}', "byte 2 is not valid UTF-8"),
        (b'{"a": ' * 100_000, "nested too deep"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'{"a": ["\\ud800"]}', "lone surrogate"),
        (b'{"a": 1e999}', "'1e999' is too large for a float"),
        (b'{"a": ' + b"1" * 5000 + b"}", "digits"),
        (
            b'{"' + b"a" * 9999 + b'": 1, "' + b"a" * 9999 + b'": 2}',
            "a{30,40}\\.\\.\\.a+' stands twice",
        ),
    ],
)
def test_what_json_loads_lets_through_is_an_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        parse_json_object(data)
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"a\.json: .*{message}"):
        read_json(tmp_path / "a.json")


def test_pairs_of_surrogates_are_characters():
    assert parse_json_object(b'{"\\ud83d\\ude00": "\\ud83d\\ude00"}') == {"😀": "😀"}


@pytest.mark.parametrize(
    ("read", "most"), [(read_json, MAX_JSON_BYTES), (read_text, MAX_TEXT_BYTES)]
)
def test_huge_files_are_refused_before_reading(tmp_path, read, most):
    with open(tmp_path / "a", "wb") as file:
        file.truncate(most + 1)
    with pytest.raises(
        CheckpointError, match=rf"a: got {most + 1} bytes, expected at most {most}$"
    ):
        read(tmp_path / "a")


def test_text(tmp_path):
    (tmp_path / "a").write_bytes("é\r\n".encode())
    assert read_text(tmp_path / "a") == "é\r\n"
    (tmp_path / "a").write_bytes(b"ab\xff")
    with pytest.raises(CheckpointError, match="a: byte 2 is not valid UTF-8"):
        read_text(tmp_path / "a")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "../a", "a\\b", "C:a", "a\0", None, 3, b"a", ["a"]]
)
def test_names_that_lead_elsewhere(name):
    with pytest.raises(ValueError, match="plain name"):
        plain_name(name)


@pytest.mark.parametrize("name", ["model.safetensors", "..a", "checkpoint-10", " é"])
def test_plain_names(name):
    assert plain_name(name) == name

"""Small files that strangers wrote: strict JSON, plain names."""

import pytest

from plainformer.checkpoints.files import parse_json_object, plain_name, read_json
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
    ],
)
def test_what_json_loads_lets_through_is_an_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        parse_json_object(data)
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"a\.json: .*{message}"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "../a", "a\\b", "C:a", "a\0", None, 3, b"a", ["a"]]
)
def test_names_that_lead_elsewhere(name):
    with pytest.raises(ValueError, match="plain name"):
        plain_name(name)


@pytest.mark.parametrize("name", ["model.safetensors", "..a", "checkpoint-10", " é"])
def test_plain_names(name):
    assert plain_name(name) == name

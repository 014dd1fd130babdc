"""Damage from a seed: a valid file becomes one that is nearly valid.

Text and bytes are cut, repeated and overwritten. JSON is edited as a value (kinds, sizes, nesting)
and then as text (keys that stand twice, NaN, byte order marks, bytes that are not UTF-8).
"""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

DEEP = "\x00deep\x00"  # stands for lists nested deeper than an interpreter's stack
_DEPTH = 5000
# What a hostile or broken writer puts where a figure, a name or a list belongs.
JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, 3, 7, -1, -5, 0.0, 0.5, -0.5, 1.5, 1e-300, 1e308, -1e308,
    1000, 65536, 10_000_000, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63),
    10**40, 10**400, float("nan"), float("inf"), float("-inf"),
    "", "a", " ", "1", "0.5", "true", "../x", "../../etc/passwd", "/etc/passwd", "/dev/zero",
    "a\0b",
    "\ud800", "a\nb", "é", "\U0001f600", "x" * 9999, "[UNK]", "{{ x }}", "F32", "BOOL", "no", "1e3",
    [], [1], [0, 0], [-1], ["a"], [None], [[]], [[1], [2, 3]], [{}], ["a", 1], [1.5], [[]] * 50,
    [2**63], list(range(300)), {}, {"a": 1}, {"0": "a"}, {"a": {}}, {"": []}, {"-1": "a"}, DEEP,
)  # fmt: skip
_BYTES = (
    b"\0", b"{", b"[" * 2000, b'"', b"\xff", b"\xed\xa0\x80", b"\n\n", b"9" * 30, b"\r", b"\t",
    b",", b"\xef\xbb\xbf", b"\xff\xfe", b"-", b"\\u", b"NaN", b" " * 500, b"\xe2\x80\xa8", b":",
    b"<e1>", b"O\n", b"'",
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below `value`."""
    keys = value if isinstance(value, dict) else range(len(value) if type(value) is list else 0)
    found = []
    for key in keys:
        found += [(*at, key), *places(value[key], (*at, key))]
    return found


def junk(random: Random) -> Any:
    return copy.deepcopy(random.choice(JUNK))


def edited(random: Random, value: Any, names: tuple[str, ...] = ()) -> Any:
    """`value`, of JSON, after one to three edits; `names` are keys that may come in addition."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        found = places(value)
        if names and isinstance(value, dict) and random.random() < 0.25:
            value[random.choice(names)] = junk(random)
        elif not found or random.random() < 0.02:
            value = junk(random)
        else:
            _edit(random, value, random.choice(found), found)
    return value


def _edit(random: Random, value: Any, path: tuple[Any, ...], found: list[tuple[Any, ...]]) -> None:
    """Change what lies at a path."""
    owner = _at(value, path[:-1])
    key, old = path[-1], _at(value, path)
    kind = random.choice(("junk",) * 5 + ("delete", "nest", "copy", "number", "text", "longer"))
    if kind == "delete":
        del owner[key]
    elif kind == "nest":
        owner[key] = random.choice(([old], {"a": old}))
    elif kind == "copy":
        owner[key] = copy.deepcopy(_at(value, random.choice(found)))
    elif kind == "number" and type(old) in (int, float):
        owner[key] = random.choice((-old, old + 1, old - 1, old * 2, old + 8, old * 1000, old // 2))
    elif kind == "text":
        owner[key] = str(old)
    elif kind == "longer" and type(old) in (str, list):
        owner[key] = old * random.choice((2, 3, 1000))
    elif kind == "longer" and type(old) is dict:
        old[random.choice(("a", "0", "99", "-1"))] = junk(random)
    else:
        owner[key] = junk(random)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def json_bytes(random: Random, value: Any) -> bytes:
    """A value as JSON, sometimes with what only text can have."""
    text = json.dumps(value)
    text = text.replace(json.dumps(DEEP), "[" * _DEPTH + "]" * _DEPTH)
    kind = random.random()
    if kind < 0.02 and text.startswith("{") and len(text) > 2:
        text = text[:-1] + ", " + text[1:]  # every key twice
    elif kind < 0.03:
        text = text[: random.randrange(len(text) + 1)]
    elif kind < 0.035:
        return b"\xef\xbb\xbf" + text.encode()
    elif kind < 0.04:
        return text.encode("utf-16")
    data = text.encode()
    return damaged(random, data) if kind > 0.98 else data


def damaged(random: Random, data: bytes) -> bytes:
    """`data` with a few bytes changed, cut off, repeated or put in between."""
    result = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(result) + 1)
        kind = random.choice(("change", "change", "cut", "repeat", "insert", "insert", "delete"))
        if kind == "change" and at < len(result):
            result[at] = random.randrange(256)
        elif kind == "cut":
            del result[at:]
        elif kind == "repeat":
            result[at:at] = result[at : at + random.randrange(1, 64)] * random.choice((1, 1, 300))
        elif kind == "insert":
            result[at:at] = random.choice(_BYTES)
        else:
            del result[at : at + random.randrange(1, 9)]
    return bytes(result)


def mutated(random: Random, name: str, data: bytes, names: tuple[str, ...] = ()) -> bytes:
    """A damaged version of the file `name` that holds `data`."""
    if random.random() < 0.1:
        return damaged(random, data)
    if name.endswith(".json"):
        return json_bytes(random, edited(random, json.loads(data), names))
    if name.endswith(".jsonl"):
        return _jsonl(random, data, names)
    if name.endswith(".yaml"):
        import yaml

        return yaml.safe_dump(edited(random, yaml.safe_load(data), names)).encode(
            "utf-8", "surrogatepass"
        )
    if name.endswith(".safetensors"):
        return _safetensors(random, data)
    return damaged(random, data)


def _jsonl(random: Random, data: bytes, names: tuple[str, ...]) -> bytes:
    """Lines of JSON, one of them edited."""
    lines = data.splitlines()
    at = random.randrange(len(lines))
    lines[at] = json_bytes(random, edited(random, json.loads(lines[at]), names))
    return b"\n".join(lines) + b"\n" * random.choice((0, 1, 1, 1))


def _safetensors(random: Random, data: bytes) -> bytes:
    """A file with an edited header, whose length is right."""
    length = int.from_bytes(data[:8], "little")
    header = json_bytes(random, edited(random, json.loads(data[8 : 8 + length])))
    body = random.choice(
        (data[8 + length :],) * 4 + (data[8 + length : -1], data[8 + length :] * 2)
    )
    return len(header).to_bytes(8, "little") + header + body

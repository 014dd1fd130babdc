"""Reading small files that strangers wrote: regular files only, bounded size, strict JSON."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import CheckpointError, shown

# Indexes of the largest models have 10 MB. Parsed, the worst JSON takes 30 times its bytes.
MAX_JSON_BYTES = 1 << 25
MAX_TEXT_BYTES = 1 << 27  # the largest tokenizer.json files have 40 MB
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

PathLike = str | os.PathLike[str]


def open_regular(path: PathLike) -> BinaryIO:
    """Open `path` for reading; anything but a regular file (a pipe, a device) is an error.

    Raises
    ------
    CheckpointError : no such file, no permission, or not a regular file
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before opening: a pipe would block
            raise CheckpointError(f"{path}: not a regular file")
        return open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path}: cannot be read: {reason}") from error


def read_text(path: PathLike) -> str:
    """Read all of a UTF-8 file of at most `MAX_TEXT_BYTES`.

    Raises
    ------
    CheckpointError : naming the file and what is wrong with it
    """
    try:
        return read_bytes(path, MAX_TEXT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: byte {error.start} is not valid UTF-8") from None


def read_json(path: PathLike) -> dict[str, Any]:
    """Read a JSON object from `path` by the rules of `parse_json_object`.

    Raises
    ------
    CheckpointError : naming the file and what is wrong with it
    """
    found: dict[str, Any] = _read_json(path, dict)
    return found


def read_json_list(path: PathLike) -> list[Any]:
    """As `read_json`, a JSON array."""
    found: list[Any] = _read_json(path, list)
    return found


def _read_json(path: PathLike, kind: type) -> Any:
    data = read_bytes(path, MAX_JSON_BYTES)
    try:
        return parse_json_of(data, kind)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_bytes(path: PathLike, most: int) -> bytes:
    """Read all of a regular file of at most `most` bytes.

    Raises
    ------
    CheckpointError : naming the file and what is wrong with it
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise CheckpointError(f"{path}: got {size} bytes, expected at most {most}")
        return file.read(size)


def parse_json_object(data: bytes) -> dict[str, Any]:
    """Parse UTF-8 JSON holding one object; ValueError says what is wrong. The caller bounds it."""
    found: dict[str, Any] = parse_json_of(data, dict)
    return found


def parse_json_of(data: bytes, kind: type) -> Any:
    """As `parse_json_object`, for JSON that holds a dict or a list.

    Stricter than `json.loads`: duplicate keys, NaN, infinities, numbers too large for a float and
    lone surrogates are errors, and so is nesting too deep for the interpreter's stack.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if _SURROGATE.search(data):  # halves of pairs are an error to whoever writes them again
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("JSON: nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"JSON: byte {error.start} is not valid UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("JSON: a text has a lone surrogate") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON: {error}") from None
    if not isinstance(value, kind):
        wanted = "an object" if kind is dict else "an array"
        raise ValueError(f"JSON: got {type(value).__name__}, expected {wanted}")
    return value


def plain_name(name: object) -> str:
    """Return `name` when it is the name of a file in the same directory; else ValueError.

    "../x", "/etc/passwd", "a/b", "C:x", "" and "." are not.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or any(c in name for c in "/\\:\0"):
        raise ValueError(f"got {shown(name)}, expected the plain name of a file beside it")
    return name


def relative(path: Path, directory: Path) -> str:
    """The path inside `directory`, with forward slashes on every system."""
    return path.relative_to(directory).as_posix()


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"JSON: the key {shown(twice)} stands twice")
    return result


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"JSON: {shown(text)} is too large for a float")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON: {name} is not a number")

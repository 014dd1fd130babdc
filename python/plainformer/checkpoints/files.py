"""Reading small files that strangers wrote: regular files only, bounded size, strict JSON."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from plainformer.errors import CheckpointError

MAX_JSON_BYTES = 100_000_000  # the safetensors library's own limit for a header

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


def read_json(path: PathLike) -> dict[str, Any]:
    """Read a JSON object from `path` by the rules of `parse_json_object`.

    Raises
    ------
    CheckpointError : naming the file and what is wrong with it
    """
    with open_regular(path) as file:
        data = file.read(MAX_JSON_BYTES + 1)
    try:
        return parse_json_object(data)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def parse_json_object(data: bytes) -> dict[str, Any]:
    """Parse UTF-8 JSON holding one object; ValueError says what is wrong.

    Stricter than `json.loads`: duplicate keys, NaN, infinities and lone surrogates are errors,
    and so is nesting too deep for the interpreter's stack.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"JSON: got more than the {MAX_JSON_BYTES} bytes allowed")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("JSON: nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"JSON: byte {error.start} is not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"JSON: got {type(value).__name__}, expected an object")
    return value


def plain_name(name: object) -> str:
    """Return `name` when it is the name of a file in the same directory; else ValueError.

    "../x", "/etc/passwd", "a/b", "C:x", "" and "." are not.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or any(c in name for c in "/\\:\0"):
        raise ValueError(f"got {name!r}, expected the plain name of a file beside it")
    return name


def relative(path: Path, directory: Path) -> str:
    """The path inside `directory`, with forward slashes on every system."""
    return path.relative_to(directory).as_posix()


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"JSON: the key {twice!r} stands twice")
    for key in result:
        if not _encodable(key):
            raise ValueError(f"JSON: the key {key!a} has a lone surrogate")
    return result


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON: {name} is not a number")

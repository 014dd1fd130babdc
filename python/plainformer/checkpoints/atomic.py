"""Files and directories that appear whole or not at all.

Everything is written beside its target under a name ending in `.partial`, forced to the disk
(fsync of files, then of directories) and renamed into place. A full disk, a file size limit or
SIGKILL at any moment leaves the old state; what a killed process left behind is removed by
`remove_partials`. A pointer file, written last, names the newest complete directory.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from plainformer.errors import CheckpointError

from .files import PathLike, open_regular, plain_name, read_json, relative

CHECKSUMS = "checksums.json"
PARTIAL = ".partial"
_CHUNK = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def atomic_file(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the body ends well.

    Raises
    ------
    OSError : the disk is full, a limit is reached, ...; `path` is as it was, and the error names it
    """
    path = Path(path)
    partial = _partial_beside(path)
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_bytes_atomic(path: PathLike, data: bytes) -> None:
    """Replace the contents of `path` by `data`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def write_json_atomic(path: PathLike, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, whole or not at all.

    NaN and infinities, which JSON has not, are a ValueError.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes_atomic(path, (text + "\n").encode())


@contextmanager
def atomic_directory(target: PathLike) -> Iterator[Path]:
    """Yield a temporary directory that becomes `target` when the body ends well.

    An existing `target` is exchanged in one step where the system can (Linux), so that it is
    never absent; elsewhere it is moved aside first. Its old contents are then deleted.

    Raises
    ------
    OSError : from the body or from publishing; `target` is as it was
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_beside(target)
    partial.mkdir()
    try:
        yield partial
        _sync_tree(partial)
        _publish(partial, target)
        _sync_directory(target.parent)
    finally:  # nothing of ours stays: neither a failed attempt nor the contents replaced
        shutil.rmtree(partial, ignore_errors=True)


def remove_partials(directory: PathLike) -> list[str]:
    """Delete what killed processes left in `directory`; return the names.

    For the one process that owns `directory`: another writer's partial would be deleted too.
    """
    names = sorted(p.name for p in Path(directory).glob(f".*{PARTIAL}"))
    for name in names:
        path = Path(directory, name)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return names


def write_pointer(path: PathLike, name: str) -> None:
    """Let the file `path` name `name`, a file or directory beside it."""
    write_bytes_atomic(path, f"{plain_name(name)}\n".encode())


def read_pointer(path: PathLike) -> str | None:
    """The name that `path` holds; None when there is no such file.

    Raises
    ------
    CheckpointError : the file cannot be read or holds no plain name
    """
    if not os.path.lexists(path):
        return None
    with open_regular(path) as file:
        data = file.read(4096)
    try:
        return plain_name(data.decode("utf-8").removesuffix("\n"))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def checksum_file(path: PathLike) -> str:
    """`"sha256:" + hex digest` of the file's bytes."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def write_checksums(directory: PathLike) -> None:
    """Write `checksums.json`: the digest of every other file in and below `directory`."""
    directory = Path(directory)
    digests = {relative(p, directory): checksum_file(p) for p in _files_below(directory)}
    write_json_atomic(directory / CHECKSUMS, digests)


def verify_checksums(directory: PathLike) -> None:
    """Compare every file with `checksums.json`.

    Raises
    ------
    CheckpointError : naming the first file that is missing, changed or not listed
    """
    directory = Path(directory)
    expected = read_json(directory / CHECKSUMS)
    present = {relative(p, directory): p for p in _files_below(directory)}
    for name in sorted(expected.keys() | present.keys()):
        if name not in present:
            raise CheckpointError(f"{directory / name}: missing, though {CHECKSUMS} lists it")
        if name not in expected:
            raise CheckpointError(f"{directory / name}: not listed in {CHECKSUMS}")
        if checksum_file(present[name]) != expected[name]:
            raise CheckpointError(f"{directory / name}: damaged: its checksum does not match")


def _files_below(directory: Path) -> list[Path]:
    files = (p for p in directory.rglob("*") if not p.is_dir())
    return sorted(p for p in files if p != directory / CHECKSUMS)


def _partial_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def _sync_tree(directory: Path) -> None:
    """Force every file below `directory`, then every directory bottom up, to the disk."""
    for parent, _, names in os.walk(directory, topdown=False):
        for name in names:
            _sync(os.path.join(parent, name), os.O_RDONLY)
        _sync_directory(Path(parent))


def _sync_directory(directory: Path) -> None:
    _sync(str(directory), os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(partial: Path, target: Path) -> None:
    """Rename `partial` to `target`; afterwards `partial` holds what was replaced, if anything."""
    if not os.path.lexists(target):
        os.rename(partial, target)
    elif not _exchange(partial, target):
        aside = _partial_beside(target)
        os.rename(target, aside)
        os.rename(partial, target)
        os.rename(aside, partial)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two names in one step (renameat2); False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = (_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b))
    return rename(*names, _RENAME_EXCHANGE) == 0

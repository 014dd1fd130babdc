"""Files and directories that appear whole or not at all.

Everything is written beside its target under a name that only we give, forced to the disk (fsync of
files, then of directories) and renamed into place. A full disk, a file size limit or SIGKILL at any
moment leaves the old state. A pointer file, written last, names the newest complete directory.

What is half written is locked by its writer, so that `remove_partials` tells what dead processes
left from what living ones are at. It also runs when a process first writes into a directory.
"""

from __future__ import annotations

import ctypes
import functools
import json
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import CheckpointError
from .files import PathLike, open_regular, plain_name
from .locks import NO_LINKS, is_at, try_lock

PARTIAL = ".plainformer-partial"
_OURS = re.compile(rf"\..+\.(?:[0-9a-f]{{16}}|replaced){re.escape(PARTIAL)}", re.DOTALL)
_REPLACED = f".replaced{PARTIAL}"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

_log = logging.getLogger("plainformer")


@contextmanager
def atomic_file(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the body ends well.

    A file that it replaces passes its permissions on; a link is replaced, not followed.

    Raises
    ------
    OSError : the disk is full, a limit is reached, ...; `path` is as it was, and the error names it
    """
    path = Path(path)
    _clean_once(str(path.parent))
    partial: Path | None = None
    try:
        partial, descriptor = _new_file(path)
        with open(descriptor, "wb") as file:
            _copy_mode(path, descriptor)
            yield file
            file.flush()
            os.fsync(descriptor)
            os.replace(partial, path)
        _sync(path.parent)
    except BaseException as error:
        if partial is not None:
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
    _clean_once(str(target.parent))
    partial, descriptor = _new_directory(target)
    try:
        yield partial
        _copy_modes(target, partial)
        _sync_tree(partial)
        _publish(partial, target)
        _sync(target.parent)
    finally:  # nothing of ours stays: neither a failed attempt nor the contents replaced
        _discard(partial)
        os.close(descriptor)


def remove_directory(path: PathLike) -> None:
    """Delete a directory that was published; of a symbolic link only the link.

    It is renamed first, so that a killed process never leaves half of it under its name.
    """
    path = Path(path)
    if path.is_symlink():
        path.unlink()
        return
    aside = _partial_beside(path)
    os.rename(path, aside)
    _discard(aside)
    if os.path.lexists(aside):  # another user's files; what it was is gone, and the work goes on
        _log.warning("%s, now %s, cannot be deleted whole", path, aside.name)


def remove_partials(directory: PathLike) -> list[str]:
    """Delete what killed processes left half written in `directory`; return the names.

    Only names that we give, only files and directories, and nothing that a living process writes.
    Where the file system has no locks nothing tells the two apart, and all stays.
    """
    names = sorted(entry.name for entry in os.scandir(directory) if _OURS.fullmatch(entry.name))
    return [name for name in names if _remove_dead(Path(directory, name))]


@functools.lru_cache(maxsize=256)
def _clean_once(directory: str) -> None:
    """`remove_partials` at the first write of this process into a directory."""
    if not _OURS.fullmatch(os.path.basename(directory)):  # a directory of ours, and new
        with suppress(OSError):
            remove_partials(directory or ".")


def _remove_dead(path: Path) -> bool:
    """Delete one of our names unless its writer lives; True if it is gone."""
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            return False
        descriptor = _open_to_lock(path, kind)
    except OSError:
        return False
    try:
        if try_lock(descriptor) is not True:
            return False
        if path.name.endswith(_REPLACED):  # killed between two renames: take it back
            target = path.with_name(path.name[1:].removesuffix(_REPLACED))
            if not os.path.lexists(target):
                os.rename(path, target)
                return True
        _discard(path)
        return not os.path.lexists(path)
    finally:
        os.close(descriptor)


def _open_to_lock(path: Path, kind: int) -> int:
    """Open what was half written: NFS locks what one may write, and others' may only be read."""
    if kind == stat.S_IFREG:
        with suppress(PermissionError):
            return os.open(path, os.O_RDWR | NO_LINKS)
    return os.open(path, os.O_RDONLY | NO_LINKS)


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


def _partial_beside(path: Path) -> Path:
    """A new name; of long ones only the beginning, as a name may have 255 bytes."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{PARTIAL}")


def _new_file(target: Path) -> tuple[Path, int]:
    """A new locked file beside `target`, open for writing."""
    while True:
        partial = _partial_beside(target)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if _locked(descriptor, partial):
            return partial, descriptor


def _new_directory(target: Path) -> tuple[Path, int]:
    """A new locked directory beside `target`, open."""
    while True:
        partial = _partial_beside(target)
        partial.mkdir()
        with suppress(FileNotFoundError):
            descriptor = os.open(partial, os.O_RDONLY)
            if _locked(descriptor, partial):
                return partial, descriptor


def _locked(descriptor: int, partial: Path) -> bool:
    """Lock what was just made; False, and closed, if it was removed before that as a dead one's."""
    if try_lock(descriptor) is not False and is_at(descriptor, partial):
        return True
    os.close(descriptor)
    return False


def _copy_mode(source: Path, target: int | Path) -> None:
    """Give `target` the permissions of the file or directory `source`, if there is one."""
    with suppress(FileNotFoundError):
        mode = source.lstat().st_mode
        if not stat.S_ISLNK(mode):
            os.chmod(target, mode & 0o777)


def _copy_modes(source: Path, target: Path) -> None:
    """The same for a directory and each file in and below it that `source` has too."""
    if not source.is_dir():
        return
    for path in (target, *target.rglob("*")):
        _copy_mode(source / path.relative_to(target), path)


def _discard(path: Path) -> None:
    """Delete a file, a link or a directory with all in it, as far as the system lets us."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _sync_tree(directory: Path) -> None:
    """Force every file below `directory`, then every directory bottom up, to the disk."""
    for parent, _, names in os.walk(directory, topdown=False):
        for name in names:
            _sync(os.path.join(parent, name))
        _sync(parent)


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(partial: Path, target: Path) -> None:
    """Rename `partial` to `target`; afterwards `partial` holds what was replaced, if anything."""
    if not os.path.lexists(target):
        os.rename(partial, target)
    elif not _exchange(partial, target):
        aside = target.with_name(f".{target.name}{_REPLACED}")
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

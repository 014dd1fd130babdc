"""Checksums of a directory's files, by which damage is noticed before anything is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import CheckpointError
from .atomic import write_json_atomic
from .files import PathLike, open_regular, read_json, relative

CHECKSUMS = "checksums.json"
_CHUNK = 1 << 20


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

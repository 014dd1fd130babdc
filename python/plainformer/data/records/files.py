"""How files are named: paths, globs, directories, and "-" for standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from ...checkpoints.files import PathLike
from ...errors import DataError, DTypeError, shown

STANDARD_INPUT = "-"
_PACKED = frozenset({".gz", ".bz2", ".xz"})
JSON_LINES = frozenset({".jsonl", ".ndjson"})
TABLES = {".csv": ",", ".tsv": "\t"}
BINARY = frozenset({".xlsx", ".xlsm", ".parquet", ".tmx"})  # read as one of these, see `opening`
TEXTS = frozenset({".txt", ".text", ".md", ".rst"})  # beside tables what a directory of texts has


def suffix_of(path: str) -> str:
    """How a name ends, in small letters and without what it was packed with: .csv of a.CSV.gz."""
    name = Path(path)
    if name.suffix.lower() in _PACKED:
        name = name.with_suffix("")
    return name.suffix.lower()


def find_files(paths: PathLike | Iterable[PathLike], searched: Collection[str] = ()) -> list[str]:
    """Files that paths, globs and directories stand for; each once, in order of first mention.

    Parameters
    ----------
    paths : one or several; "-" is standard input, `**` enters directories
    searched : ends of names that directories are searched for, hidden files left out; without, a
        directory is an error once it is opened

    What a directory or a glob finds is sorted.

    Raises
    ------
    DataError : nothing at a path, a directory without such files, a glob that finds nothing
    DTypeError : something that is no path
    """
    found: dict[str, None] = {}
    several = isinstance(paths, Iterable) and not isinstance(paths, str)
    for path in paths if several else [paths]:  # type: ignore[union-attr]
        if not isinstance(path, (str, os.PathLike)):
            raise DTypeError(f"paths: got {shown(path)}, expected paths of files")
        found.update(dict.fromkeys(_files_at(os.fspath(path), searched)))
    return list(found)


def _files_at(path: str, searched: Collection[str]) -> list[str]:
    if searched and os.path.isdir(path):
        return _files_below(path, searched)
    if path == STANDARD_INPUT or os.path.exists(path):
        return [path]
    files = sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))
    if not files:
        raise DataError("no such file, and no file matches it as a glob", path)
    return files


def _files_below(directory: str, searched: Collection[str]) -> list[str]:
    files = sorted(
        path
        for path in Path(directory).rglob("*")
        if suffix_of(str(path)) in searched
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
    if not files:
        raise DataError(f"no text files in it; looked for {' '.join(sorted(searched))}", directory)
    return list(map(str, files))

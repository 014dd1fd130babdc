"""Token shards: ids on disk, memory-mapped, so that a corpus is encoded once.

    tokens.bin     nothing but the ids, little-endian uint16 or uint32 (nanoGPT's layout)
    tokens.idx     where documents begin, little-endian int64, and where the last one ends
    tokens.json    what they are: {"format", "dtype", "tokens", "vocab_size", "sha256",
                   "documents", "index_sha256", "source"}; the last three may be absent

Also read: nanoGPT's own `.bin` without a sidecar (uint16), and llm.c's, which begin with a header
of 256 int32: magic 20240520 and version 1 (uint16), or 20240801 and 7 (uint32), then the count.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..checkpoints.atomic import atomic_file, write_json_atomic
from ..checkpoints.checksums import checksum_file
from ..checkpoints.files import PathLike, read_json
from ..errors import CheckpointError, DataError, ShapeError, shown
from .fingerprints import digest

_FORMAT = "plainformer-tokens-1"
_DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_INDEX = np.dtype("<i8")
_HEADER = 256 * 4
_LLMC = {20240520: (1, _DTYPES["uint16"]), 20240801: (7, _DTYPES["uint32"])}  # by magic
_CHUNK = 1 << 20  # document starts checked at once
_SAID = 10**9  # bytes whose checksum takes long enough to be told

_log = logging.getLogger("plainformer")


@dataclass(frozen=True)
class Shard:
    """Memory-mapped ids (N,) and what its sidecar tells about them.

    vocab_size : the size of their vocabulary
    starts : int64 (documents + 1,), document i is `tokens[starts[i]:starts[i + 1]]`
    source : what the ids were made from, as `shard_writer` was told
    digest : of ids and document starts, as their sidecar has it; None without a sidecar
    """

    tokens: np.ndarray
    vocab_size: int | None = None
    starts: np.ndarray | None = None
    source: str | None = None
    digest: str | None = None

    def fingerprint(self) -> str:
        """`digest`, or without a sidecar one of all ids, which are read for it."""
        return self.digest or digest([self.tokens, self.starts])


class ShardWriter:
    """Appends documents to a shard that is being written; see `shard_writer`."""

    def __init__(self, ids: BinaryIO, index: BinaryIO, vocab_size: int):
        self.vocab_size = vocab_size
        self.dtype = "uint16" if vocab_size <= 1 << 16 else "uint32"
        self.tokens = self.documents = 0
        self._files = (ids, index)
        self._digests = (hashlib.sha256(), hashlib.sha256())

    def begin_document(self) -> None:
        """What is appended next belongs to a new document."""
        self._mark()
        self.documents += 1

    def append(self, ids: np.ndarray) -> None:
        """Write ids (N,) of the current document; ShapeError for an id outside the vocabulary."""
        self._write(0, np.ascontiguousarray(_check_ids(ids, self.vocab_size), _DTYPES[self.dtype]))
        self.tokens += len(ids)

    def finish(self, source: str | None) -> dict[str, Any]:
        """Write the end of the last document; returns the sidecar."""
        self._mark()
        ids, index = (digest.hexdigest() for digest in self._digests)
        sidecar = {
            "format": _FORMAT,
            "dtype": self.dtype,
            "tokens": self.tokens,
            "vocab_size": self.vocab_size,
            "sha256": ids,
            "documents": self.documents,
            "index_sha256": index,
        }
        return sidecar if source is None else {**sidecar, "source": source}

    def _mark(self) -> None:
        self._write(1, np.array([self.tokens], _INDEX))

    def _write(self, which: int, array: np.ndarray) -> None:
        self._files[which].write(array.data)
        self._digests[which].update(array.data)


@contextmanager
def shard_writer(
    path: PathLike, *, vocab_size: int, source: str | None = None
) -> Iterator[ShardWriter]:
    """Yield a writer of `path` (.bin); its index (.idx) and sidecar (.json) appear beside it.

    Each file is written whole or not at all, the sidecar last; it is removed first, so that a
    sidecar never describes other ids than those beside it. Memory does not grow with the ids.

    Parameters
    ----------
    vocab_size : int; up to 65,536 the ids take two bytes, else four
    source : str kept in the sidecar, to tell whether the ids are up to date
    """
    path = _check_name(path)
    sidecar = path.with_suffix(".json")
    with ExitStack() as files:
        ids, index = (files.enter_context(atomic_file(p)) for p in (path, _index_of(path)))
        writer = ShardWriter(ids, index, vocab_size)
        yield writer
        description = writer.finish(source)
        sidecar.unlink(missing_ok=True)
    write_json_atomic(sidecar, description)


def write_shard(
    path: PathLike, tokens: np.ndarray, *, vocab_size: int, starts: Iterable[int] = (0,)
) -> None:
    """Write tokens that are in memory; see `shard_writer`.

    Parameters
    ----------
    tokens : array (N,) of integers in [0, vocab_size)
    vocab_size : int
    starts : where documents begin, ascending from 0; by default all is one document

    Raises
    ------
    ShapeError : not one axis of integers, or an id outside the vocabulary
    """
    path = _check_name(path)
    _check_ids(tokens, vocab_size)
    borders = [*starts, len(tokens)]
    if borders[0] != 0 or any(a > b for a, b in itertools.pairwise(borders)):
        raise ShapeError(
            f"starts: got {shown(borders[:-1])}, expected 0 to {len(tokens)} ascending"
        )
    with shard_writer(path, vocab_size=vocab_size) as writer:
        for start, end in itertools.pairwise(borders):
            writer.begin_document()
            writer.append(tokens[start:end])


def open_shard(path: PathLike, *, verify: bool = False) -> Shard:
    """Map a shard of any of the three layouts.

    With `verify` the sidecar's checksums are compared too, which reads the whole files.

    Raises
    ------
    DataError : no such file, a sidecar that does not fit, a size that is no number of ids
    """
    path = _check_name(path)
    size = _size_of(path)
    if path.with_suffix(".json").exists():
        return _open_ours(path, size, verify)
    if header := _read_llmc_header(path):
        dtype, count = header
        return Shard(_map(path, dtype, size - _HEADER, _HEADER, count))
    return Shard(_map(path, _DTYPES["uint16"], size))


def _open_ours(path: Path, size: int, verify: bool) -> Shard:
    try:
        sidecar = read_json(path.with_suffix(".json"))
        _check_sidecar(sidecar)
    except (CheckpointError, ValueError) as error:
        raise DataError(f"its sidecar: {error}", str(path)) from error
    tokens = _map(path, _DTYPES[sidecar["dtype"]], size, 0, sidecar["tokens"])
    _verify(path, sidecar.get("sha256", "") if verify else None)
    starts = None
    if "documents" in sidecar:
        index = _index_of(path)
        starts = _map(index, _INDEX, _size_of(index), 0, sidecar["documents"] + 1)
        _check_starts(index, starts, len(tokens))
        _verify(index, sidecar.get("index_sha256", "") if verify else None)
    sums = [sidecar.get("sha256", ""), sidecar.get("index_sha256", "")]
    return Shard(tokens, sidecar["vocab_size"], starts, sidecar.get("source"), digest(sums))


def _check_sidecar(sidecar: dict[str, Any]) -> None:
    if sidecar.get("format") != _FORMAT:
        raise ValueError(f"format: got {shown(sidecar.get('format'))}, expected {shown(_FORMAT)}")
    if sidecar.get("dtype") not in list(_DTYPES):
        raise ValueError(
            f"dtype: got {shown(sidecar.get('dtype'))}, expected one of {list(_DTYPES)}"
        )
    for name in ("tokens", "vocab_size", "documents"):
        value = sidecar.get(name, 0 if name == "documents" else None)
        if type(value) is not int or value < 0:
            raise ValueError(f"{name}: got {shown(value)}, expected a non-negative integer")
    for name in ("sha256", "index_sha256", "source"):
        value = sidecar.get(name, "")
        if not isinstance(value, str):
            raise ValueError(f"{name}: got {shown(value)}, expected a string")


def _check_starts(path: Path, starts: np.ndarray, tokens: int) -> None:
    """Document starts ascend from 0 to the number of tokens."""
    pairs = (starts[i : i + _CHUNK + 1] for i in range(0, len(starts), _CHUNK))
    if starts[0] != 0 or starts[-1] != tokens or any((p[1:] < p[:-1]).any() for p in pairs):
        raise DataError(f"expected document starts that ascend from 0 to {tokens}", str(path))


def _verify(path: Path, wanted: str | None) -> None:
    if wanted is None:
        return
    if (size := _size_of(path)) >= _SAID:
        _log.info("%s: comparing %.1f GB with their checksum", path, size / 1e9)
    if checksum_file(path) != f"sha256:{wanted}":
        raise DataError("damaged: its checksum is not the sidecar's", str(path))


def _read_llmc_header(path: Path) -> tuple[np.dtype[Any], int] | None:
    """(dtype, count) of an llm.c file; None for anything else."""
    with open(path, "rb") as file:
        data = file.read(_HEADER)
    if len(data) < _HEADER:
        return None
    magic, version, count = (int(value) for value in np.frombuffer(data, "<i4", count=3))
    if magic not in _LLMC:
        return None
    expected, dtype = _LLMC[magic]
    if version != expected:
        raise DataError(f"llm.c header: got version {version}, expected {expected}", str(path))
    return dtype, count


def _map(
    path: Path, dtype: np.dtype[Any], size: int, offset: int = 0, count: int | None = None
) -> np.ndarray:
    if size % dtype.itemsize or (count is not None and size != count * dtype.itemsize):
        wanted = f"{count} ids" if count is not None else "a whole number of ids"
        raise DataError(f"got {size} bytes of {dtype.name}, expected {wanted}", str(path))
    if size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "r", offset=offset, shape=(size // dtype.itemsize,))


def _check_ids(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ShapeError(f"tokens: got {tokens.dtype} {tokens.shape}, expected an axis of integers")
    if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocab_size:
        raise ShapeError(
            f"tokens: got ids from {tokens.min()} to {tokens.max()}, expected 0 to {vocab_size - 1}"
        )
    return tokens


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", str(path)) from error


def _index_of(path: Path) -> Path:
    return path.with_suffix(".idx")


def _check_name(path: PathLike) -> Path:
    path = Path(path)
    if path.suffix != ".bin":
        raise DataError("expected a name that ends in .bin", str(path))
    return path

"""Token shards: ids on disk, memory-mapped, so that a corpus is encoded once.

    tokens.bin     nothing but the ids, little-endian uint16 or uint32 (nanoGPT's layout)
    tokens.json    what they are: {"format", "dtype", "tokens", "vocab_size", "sha256"}

Also read: nanoGPT's own `.bin` without a sidecar (uint16), and llm.c's, which begin with a header
of 256 int32: magic 20240520 and version 1 (uint16), or 20240801 and 7 (uint32), then the count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plainformer.checkpoints.atomic import atomic_file, checksum_file, write_json_atomic
from plainformer.checkpoints.files import PathLike, read_json
from plainformer.errors import CheckpointError, DataError, ShapeError

_FORMAT = "plainformer-tokens-1"
_DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_HEADER = 256 * 4
_LLMC = {20240520: (1, _DTYPES["uint16"]), 20240801: (7, _DTYPES["uint32"])}  # by magic


@dataclass(frozen=True)
class Shard:
    """Memory-mapped ids (N,) and, where a sidecar tells it, the size of their vocabulary."""

    tokens: np.ndarray
    vocab_size: int | None = None


def write_shard(path: PathLike, tokens: np.ndarray, *, vocab_size: int) -> None:
    """Write `path` (.bin) and its sidecar (.json beside it), each whole or not at all.

    Parameters
    ----------
    tokens : array (N,) of integers in [0, vocab_size)
    vocab_size : int; up to 65,536 the ids take two bytes, else four

    Raises
    ------
    ShapeError : not one axis of integers, or an id outside the vocabulary
    """
    path = _check_name(path)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ShapeError(f"tokens: got {tokens.dtype} {tokens.shape}, expected an axis of integers")
    if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocab_size:
        raise ShapeError(
            f"tokens: got ids from {tokens.min()} to {tokens.max()}, expected 0 to {vocab_size - 1}"
        )
    dtype = "uint16" if vocab_size <= 1 << 16 else "uint32"
    with atomic_file(path) as file:
        file.write(np.ascontiguousarray(tokens, _DTYPES[dtype]).data)
    sidecar = {
        "format": _FORMAT,
        "dtype": dtype,
        "tokens": len(tokens),
        "vocab_size": vocab_size,
        "sha256": checksum_file(path).removeprefix("sha256:"),
    }
    write_json_atomic(path.with_suffix(".json"), sidecar)


def open_shard(path: PathLike, *, verify: bool = False) -> Shard:
    """Map a shard of any of the three layouts.

    With `verify` the sidecar's checksum is compared too, which reads the whole file.

    Raises
    ------
    DataError : no such file, a sidecar that does not fit, a size that is no number of ids
    """
    path = _check_name(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", str(path)) from error
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
    if verify and checksum_file(path) != f"sha256:{sidecar['sha256']}":
        raise DataError("damaged: its checksum is not the sidecar's", str(path))
    return Shard(tokens, sidecar["vocab_size"])


def _check_sidecar(sidecar: dict[str, Any]) -> None:
    if sidecar.get("format") != _FORMAT:
        raise ValueError(f"format: got {sidecar.get('format')!r}, expected {_FORMAT!r}")
    if sidecar.get("dtype") not in list(_DTYPES):
        raise ValueError(f"dtype: got {sidecar.get('dtype')!r}, expected one of {list(_DTYPES)}")
    for name in ("tokens", "vocab_size"):
        value = sidecar.get(name)
        if type(value) is not int or value < 0:
            raise ValueError(f"{name}: got {value!r}, expected a non-negative integer")


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


def _check_name(path: PathLike) -> Path:
    path = Path(path)
    if path.suffix != ".bin":
        raise DataError("expected a name that ends in .bin", str(path))
    return path

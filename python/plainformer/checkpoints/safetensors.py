"""The safetensors format, read with our own checks and written whole or not at all.

    8 bytes       N, the length of the header, little-endian unsigned
    N bytes       JSON, padded with spaces:
                  {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
                  "__metadata__": {text: text}}, the last one optional
    the rest      the tensors' bytes, row-major and little-endian; offsets count from here

A file may come from anybody, so every figure in the header is checked against the file's size
before a byte of data is touched: the tensors must cover the data exactly, without overlap or hole.
Reading maps the file; the arrays are read-only views of it.
Format: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from .. import kernels
from ..errors import CheckpointError, DTypeError, short, shown
from ..kinds import check_kind
from .atomic import atomic_file
from .files import MAX_JSON_BYTES, PathLike, open_regular, parse_json_object

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# The library's order of tensors in a file: widest first, so that every offset is aligned.
_RANK = {name: rank for rank, name in enumerate(DTYPES)}
_FIELDS = {"dtype", "shape", "data_offsets"}
_MAX_AXES = 32
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Entry:
    """One tensor of a header: bytes [begin, end) of the data hold `shape` values of `dtype`."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class NamedArrays(Mapping[str, np.ndarray]):
    """Names to arrays, which are made when asked for; `entries` say where each is."""

    entries: Mapping[str, Any]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class SafetensorsFile(NamedArrays):
    """A checked, memory-mapped file: names to read-only arrays, made when asked for.

    Opening reads the header alone, so it takes milliseconds at any size. `entries` and `metadata`
    are the header. BF16 is `ml_dtypes.bfloat16`; F16 arrives as float32, since our kernels do not
    compute in float16, and is converted anew each time it is asked for.

    Raises
    ------
    CheckpointError : naming the file and the first thing that is wrong with it

    The file must not shrink while it is mapped: the system kills a process that reads past its end.
    """

    def __init__(self, path: PathLike):
        if not isinstance(path, (str, bytes, os.PathLike)):
            raise DTypeError(f"path: got {shown(path)}, expected the path of a file")
        self.path = os.fspath(path)
        with open_regular(path) as file:
            try:
                size = os.fstat(file.fileno()).st_size
                header = _read_header(file, size)
                self._start = 8 + len(header)
                self.entries, self.metadata = _parse_header(header, size - self._start)
                self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{self.path}: {error}") from error

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self.entries[name]
        dtype = DTYPES[entry.dtype]
        count = math.prod(entry.shape)
        if count == 0:
            flat = np.empty(0, dtype)
        else:
            flat = np.frombuffer(self._map, dtype, count, self._start + entry.begin)
        if entry.dtype == "BOOL" and flat.view(np.uint8).max(initial=0) > 1:
            raise CheckpointError(f"{self.path}: {short(name)}: a BOOL byte is neither 0 nor 1")
        if entry.dtype == "F16":
            flat = flat.astype(np.float32)
        elif not flat.flags.aligned:  # the header's length is not padded to 8 bytes
            flat = flat.copy()
        array = flat.reshape(entry.shape)
        array.flags.writeable = False
        return array

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, from the header alone."""
        return {name: entry.shape for name, entry in self.entries.items()}


def load_file(path: PathLike) -> dict[str, np.ndarray]:
    """All tensors of a file by name: read-only, memory-mapped (see `SafetensorsFile`)."""
    return dict(SafetensorsFile(path))


def save_file(
    tensors: Mapping[str, Any], path: PathLike, metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays to `path`, whole or not at all, the same bytes as the safetensors library.

    Arrays of a device come to the host one by one. `metadata` (text to text) is added to
    `{"format": "pt"}`, which older readers demand.

    Raises
    ------
    DTypeError : an array of a dtype that the format has not
    OSError : the file cannot be written; an old file at `path` is as it was
    """
    check_kind("tensors", tensors, Mapping, error=DTypeError)
    check_kind("metadata", metadata, Mapping[str, str] | None, error=DTypeError)
    for name, array in tensors.items():
        _check_writable(name, array)
    order = sorted(tensors, key=lambda name: (-_RANK[_NAMES[tensors[name].dtype]], name))
    header = _format_header({name: tensors[name] for name in order}, metadata or {})
    with atomic_file(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in order:
            file.write(_bytes_of(tensors[name]))


def _check_writable(name: str, array: Any) -> None:
    check_kind("tensors: a name", name, str, error=DTypeError)
    if name == _METADATA:
        raise CheckpointError(f"tensors: the name {_METADATA} belongs to the format")
    try:
        kernels.xp(array)
        is_known = array.dtype in _NAMES and not isinstance(array, np.generic)
    except DTypeError:
        is_known = False
    if not is_known:
        got = getattr(array, "dtype", type(array).__name__)
        raise DTypeError(
            f"tensors[{shown(name)}]: got {got}, expected an array of {', '.join(DTYPES)}"
        )


def _format_header(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {_METADATA: {"format": "pt", **metadata}}
    begin = 0
    for name, array in tensors.items():
        end = begin + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % 8)  # the data starts aligned


def _bytes_of(array: Any) -> memoryview:
    return np.ascontiguousarray(kernels.asnumpy(array)).reshape(-1).view(np.uint8).data


def _read_header(file: BinaryIO, size: int) -> bytes:
    if size < 8:
        raise ValueError(f"got {size} bytes, expected at least 8: not a safetensors file")
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, MAX_JSON_BYTES):
        raise ValueError(
            f"header length: got {length}, expected at most {min(size - 8, MAX_JSON_BYTES)}: "
            "the file is cut off or not a safetensors file"
        )
    header = file.read(length)
    if len(header) != length:
        raise ValueError(f"header: got {len(header)} of {length} bytes")
    return header


def _parse_header(header: bytes, data_size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    if not header.startswith(b"{"):  # the library's rule: no white space before
        raise ValueError("header: expected a JSON object")
    fields = parse_json_object(header)
    metadata = fields.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"{_METADATA}: expected an object of strings")
    entries = {name: _parse_entry(name, value) for name, value in fields.items()}
    _check_cover(entries, data_size)
    return entries, metadata


def _parse_entry(name: str, value: Any) -> Entry:
    name = shown(name)
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise ValueError(f"{name}: expected an object of {sorted(_FIELDS)}")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name}: dtype: got {shown(dtype)}, expected one of {', '.join(DTYPES)}")
    if not _are_sizes(shape, _MAX_AXES):
        raise ValueError(f"{name}: shape: expected at most {_MAX_AXES} non-negative integers")
    if not _are_sizes(offsets, 2) or len(offsets) != 2:
        raise ValueError(f"{name}: data_offsets: expected two non-negative integers")
    begin, end = offsets
    need = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != need:
        raise ValueError(
            f"{name}: data_offsets: got {end - begin} bytes, expected {need} for {dtype} "
            f"{shown(shape)}"
        )
    return Entry(dtype, tuple(shape), begin, end)


def _are_sizes(values: Any, most: int) -> bool:
    """At most so many integers that fit NumPy's sizes even multiplied by an item's 8 bytes."""
    if not isinstance(values, list) or len(values) > most:
        return False  # before multiplying: a million factors would take minutes
    if not all(type(v) is int and 0 <= v < 2**60 for v in values):
        return False
    return math.prod(v for v in values if v) < 2**60


def _check_cover(entries: Mapping[str, Entry], data_size: int) -> None:
    """The tensors must cover [0, data_size) in order: no overlap, no hole, nothing behind."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            kind = (
                "overlaps the tensor before" if entry.begin < position else "leaves a hole before"
            )
            raise ValueError(
                f"{shown(name)}: data_offsets: {kind}: got {entry.begin}, expected {position}"
            )
        position = entry.end
    if position != data_size:
        raise ValueError(f"data: got {data_size} bytes, expected {position} by the header")

"""Vectors (N, C) in a file, float32: written row by row, opened memory-mapped.

`.npy` is NumPy's array, `.safetensors` holds one tensor, "embeddings". How many rows there are is
known at the end, so the header has room for any number and is written again then.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import CheckpointError
from .atomic import atomic_file
from .files import PathLike
from .safetensors import load_file

NPY, SAFETENSORS = ".npy", ".safetensors"
SUFFIXES = (NPY, SAFETENSORS)
TENSOR = "embeddings"
_HEADER = 256  # bytes: room for the header with any number of rows
_MAGIC = b"\x93NUMPY\x01\x00"


class VectorWriter:
    """Appends rows to an open file."""

    def __init__(self, file: BinaryIO, suffix: str, width: int):
        self._file, self._suffix, self.width = file, suffix, width
        self.rows = 0
        file.write(self._header())

    def add(self, vector: Any = None) -> None:
        """A row of `width` numbers; zeros without."""
        row = np.zeros(self.width, "<f4") if vector is None else np.asarray(vector, "<f4")
        self._file.write(row.tobytes())
        self.rows += 1

    def close(self) -> None:
        """Say how many rows there are."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, io.SEEK_END)

    def _header(self) -> bytes:
        make = _npy_header if self._suffix == NPY else _safetensors_header
        return make(self.rows, self.width)


@contextmanager
def vector_writer(path: PathLike, width: int) -> Iterator[VectorWriter]:
    """A writer of `path`, whose name ends in .npy or .safetensors; the file appears whole, after
    the last row, or not at all.

    Raises
    ------
    OSError : the file cannot be written; an old one is as it was
    """
    with atomic_file(path) as file:
        writer = VectorWriter(file, Path(path).suffix.lower(), width)
        yield writer
        writer.close()


def open_vectors(path: PathLike) -> np.ndarray:
    """The vectors (N, C) of a file, read-only and memory-mapped.

    Raises
    ------
    CheckpointError : the file is damaged, or holds something else than one matrix of floats
    OSError : it cannot be opened
    """
    name = str(path)
    try:
        if Path(path).suffix.lower() == SAFETENSORS:
            tensors = load_file(path)
            found = tensors.get(TENSOR, next(iter(tensors.values()), None))
        else:
            found = np.load(name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CheckpointError(f"{name}: {error}") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        got = "none" if found is None else f"{found.dtype} {found.shape}"
        raise CheckpointError(f"{name}: got {got}, expected vectors (N, C) of floats")
    return found


def _npy_header(rows: int, width: int) -> bytes:
    """NumPy's format, version 1.0: a magic word, a length and a dictionary."""
    shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    room = _HEADER - len(_MAGIC) - 2
    return _MAGIC + room.to_bytes(2, "little") + shape.encode().ljust(room - 1) + b"\n"


def _safetensors_header(rows: int, width: int) -> bytes:
    entry = {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, 4 * rows * width]}
    text = json.dumps({"__metadata__": {"format": "pt"}, TENSOR: entry}).encode()
    return (_HEADER - 8).to_bytes(8, "little") + text.ljust(_HEADER - 8)

"""Tokens cut into chunks, the raw text of one training example each.

A chunk is a list of arrays, one for each text that sees only itself: `Blocks` and `Windows` cut the
stream of tokens where they must, across documents, and give one array; `PackedDocuments` gives the
documents, or parts of long ones, that fill a row together.

`size` counts the tokens that an example has room for. With `ahead` = 1 every array has one token
more, the label of its last one; the next array of the same text begins with it.
"""

from __future__ import annotations

from copy import copy
from typing import Protocol, TypeVar

import numpy as np

from ..errors import ConfigError, DataError, ShapeError
from ._random import words
from .fingerprints import digest

_DOCUMENTS = 1 << 16  # documents whose rows are planned at once
B = TypeVar("B", bound="Blocks")


class Chunks(Protocol):
    """What objectives are applied to: chunks by number."""

    size: int

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> list[np.ndarray]: ...


class Windows:
    """Consecutive windows from the first token to the last, which may be short: for evaluation.

    Window i is `tokens[i size : (i + 1) size + ahead]`.

    Parameters
    ----------
    tokens : array (N,) of unsigned or signed integers, memory-mapped or not; N >= 1 + ahead
    size : int
    ahead : 0 or 1

    Raises
    ------
    DataError : too few tokens
    """

    kind = "Windows"
    offset = 0  # the first token used

    def __init__(self, tokens: np.ndarray, size: int, *, ahead: int = 0):
        self.tokens = check_tokens(tokens, size, self._least(size) + ahead)
        self.size, self.ahead = size, ahead

    def _least(self, size: int) -> int:
        return 1

    def __len__(self) -> int:
        return -(-(len(self.tokens) - self.ahead) // self.size)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return [self.tokens_of(index)]

    def tokens_of(self, index: int) -> np.ndarray:
        """The tokens of a chunk, and those ahead."""
        start = self.offset + check_index(index, len(self)) * self.size
        return self.tokens[start : start + self.size + self.ahead]

    def fingerprint(self) -> str:
        """A digest of the tokens and of how they are cut; reads them all."""
        return digest([self.kind, self.size, self.ahead, self.tokens])


class Blocks(Windows):
    """Consecutive blocks of `size` tokens for training, none of them short.

    `for_epoch` gives the same number of blocks at that epoch's own offset, so that block borders
    fall elsewhere in each epoch; up to 2 size - 1 tokens at the ends are left out of an epoch.

    Parameters and errors: `Windows`; `size` + `ahead` tokens are needed here.
    """

    kind = "Blocks"

    def _least(self, size: int) -> int:
        return size

    def __len__(self) -> int:
        return max(1, (len(self.tokens) + 1 - self.ahead) // self.size - 1)

    def for_epoch(self: B, seed: int, epoch: int) -> B:
        """The blocks of one epoch: a start offset drawn from (seed, epoch)."""
        spare = len(self.tokens) - self.ahead - len(self) * self.size
        choices = min(self.size, spare + 1)
        view = copy(self)
        view.offset = int(words(seed, epoch, 1)[0] % np.uint64(choices))
        return view


class PackedDocuments:
    """Whole documents in rows of at most `size` tokens; nothing is lost and nothing crosses.

    A document longer than a row is cut into parts of `size`, the last one shorter. Rows take
    documents and parts in their order until the next one does not fit, so which parts there are
    depends on no other document. They are the same in every epoch; only their order changes.

    Parameters
    ----------
    tokens : array (N,) of integers, memory-mapped or not
    starts : int64 (documents + 1,): document i is `tokens[starts[i]:starts[i + 1]]`
    size : int
    ahead : 0 or 1; with 1 a document's last token is only a label
    end : id that is left away where a document ends with it, for objectives that add their own

    Raises
    ------
    DataError : no document with 1 + `ahead` tokens
    """

    def __init__(
        self,
        tokens: np.ndarray,
        starts: np.ndarray,
        size: int,
        *,
        ahead: int = 0,
        end: int | None = None,
    ):
        self.tokens = check_tokens(tokens, size, 1 + ahead)
        self.starts, self.size, self.ahead, self.end = starts, size, ahead, end
        self.rows = self._plan()  # where the first part of each row begins
        if len(self.rows) == 0:
            raise DataError(f"tokens: got no document with {1 + ahead} tokens, expected one")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        index = check_index(index, len(self))
        begin = int(self.rows[index])
        stop = int(self.rows[index + 1]) if index + 1 < len(self) else len(self.tokens)
        document = int(np.searchsorted(self.starts, begin, side="right")) - 1
        parts = []
        while begin < stop:
            end = int(self._ends(document, document + 1)[0])
            if begin < end:
                parts.append(self.tokens[begin : min(begin + self.size, end) + self.ahead])
            document += 1
            begin = int(self.starts[document])
        return parts

    def fingerprint(self) -> str:
        """A digest of the documents and of how they are cut; reads them all."""
        parts = [self.size, self.ahead, self.end, np.asarray(self.starts), self.tokens]
        return digest(["PackedDocuments", *parts])

    def _ends(self, first: int, last: int) -> np.ndarray:
        """Where the inputs of documents [first, last) end; not past a start of an empty one."""
        starts, ends = (np.asarray(self.starts[a : a + last - first]) for a in (first, first + 1))
        short = np.full(last - first, self.ahead)
        if self.end is not None:
            filled = ends > starts
            short[filled] += self.tokens[ends[filled] - 1] == self.end
        return np.maximum(ends - short, starts)

    def _plan(self) -> np.ndarray:
        rows, room = [np.empty(0, np.int64)], 0
        for first in range(0, len(self.starts) - 1, _DOCUMENTS):
            begins, lengths = self._parts(first, min(first + _DOCUMENTS, len(self.starts) - 1))
            chosen, room = _fill(lengths, self.size, room)
            rows.append(begins[chosen])
        return np.concatenate(rows)

    def _parts(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """(begin, length) of every part of documents [first, last)."""
        starts, ends = np.asarray(self.starts[first:last]), self._ends(first, last)
        counts = -(-(ends - starts) // self.size)
        document = np.repeat(np.arange(last - first), counts)
        place = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
        begins = starts[document] + place * self.size
        return begins, np.minimum(ends[document] - begins, self.size)


def _fill(lengths: np.ndarray, size: int, room: int) -> tuple[list[int], int]:
    """Which parts begin a row of `size`, and the room left in the last row.

    `room` is what the row before has left for the first parts.
    """
    ends = np.cumsum(lengths)
    following = np.searchsorted(ends, ends - lengths + size, side="right").tolist()
    part = int(np.searchsorted(ends, room, side="right"))  # the first that does not fit there
    if part == len(lengths):
        return [], room - int(lengths.sum())
    rows = []
    while part < len(lengths):
        rows.append(part)
        part = following[part]
    return rows, size - int(lengths[rows[-1] :].sum())


def check_tokens(tokens: np.ndarray, size: int, least: int) -> np.ndarray:
    """`tokens` as one axis of at least `least` integers; a memory map stays one."""
    tokens = np.asanyarray(tokens)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ShapeError(
            f"tokens: got {tokens.dtype} {tokens.shape}, expected one axis of integers"
        )
    if size < 1:
        raise ConfigError(f"block_size: got {size}, expected at least 1")
    if len(tokens) < least:
        raise DataError(
            f"tokens: got {len(tokens)}, expected at least {least} for block_size {size}; "
            "give more text or smaller blocks"
        )
    return tokens


def check_index(index: int, count: int) -> int:
    """`index` counted from the first; IndexError outside [-count, count)."""
    if not -count <= index < count:
        raise IndexError(f"index: got {index}, expected less than {count}")
    return index % count

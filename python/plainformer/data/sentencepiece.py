"""XLM-RoBERTa's tokenizer from `sentencepiece.bpe.model`, read without SentencePiece's library.

The file is a protocol buffer: fields, each a number with a kind of value. Read are the pieces with
their scores, the kind of model, and the compiled table that characters are normalized by.

References
----------
Kudo, Richardson, "SentencePiece", 2018, arXiv:1808.06226, and its `sentencepiece_model.proto`;
Kudo, "Subword Regularization", 2018, arXiv:1804.10959 (unigram models).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from ..checkpoints.files import MAX_TEXT_BYTES, read_bytes
from ..errors import CheckpointError, shown
from ._library import METASPACE

SENTENCEPIECE = "sentencepiece.bpe.model"  # its name at XLM-RoBERTa's, whose model is a unigram's
_KINDS = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}
_SIZES = {1: 8, 2: 0, 5: 4}  # of values in bytes, by kind of field; 0: it says so itself
_FIRST = ["<unk>", "<s>", "</s>"]  # which fairseq has in another order, and <pad> with them
_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]


@dataclass(frozen=True)
class PieceModel:
    """Pieces with the logarithms of their probabilities, and how text is normalized before."""

    pieces: list[tuple[str, float]]
    kind: str
    table: bytes


def read_pieces(path: Path) -> PieceModel:
    """What a SentencePiece model file holds.

    Raises
    ------
    CheckpointError : the file is missing, too large or damaged
    """
    data = read_bytes(path, MAX_TEXT_BYTES)
    pieces: list[tuple[str, float]] = []
    kind, table = 1, b""
    try:
        for number, value in _fields(data):
            if number == 1:
                pieces.append(_piece(value))
            elif number == 2:
                kind = dict(_fields(value)).get(3, kind)
            elif number == 3:
                table = dict(_fields(value)).get(2, table)
        if not isinstance(kind, int) or not isinstance(table, bytes):
            raise ValueError("a field of another kind than it has")
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise CheckpointError(f"{path}: not a SentencePiece model: {error}") from error
    return PieceModel(pieces, _KINDS.get(kind, str(kind)), table)


def xlm_roberta(path: Path) -> Tokenizer:
    """XLM-RoBERTa's splitting and ids, without special tokens: fairseq's four, the pieces behind
    SentencePiece's three, the mask.

    Raises
    ------
    CheckpointError : see `read_pieces`; another kind of model, or other first pieces
    """
    found = read_pieces(path)
    if found.kind != "unigram":
        raise CheckpointError(
            f"{path}: got a {found.kind} model, expected a unigram model as XLM-RoBERTa has"
        )
    first = [piece for piece, _ in found.pieces[: len(_FIRST)]]
    if first != _FIRST:
        raise CheckpointError(f"{path}: got the first pieces {shown(first)}, expected {_FIRST}")
    scores = [(token, 0.0) for token in _FAIRSEQ] + found.pieces[len(_FIRST) :] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=_FAIRSEQ.index("<unk>")))
    if found.table:
        tokenizer.normalizer = normalizers.Precompiled(found.table)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(METASPACE)]
    )
    tokenizer.decoder = decoders.Metaspace(METASPACE)
    return tokenizer


def _piece(data: Any) -> tuple[str, float]:
    """A piece's text and score."""
    fields = dict(_fields(data))
    text, score = fields.get(1, b"").decode(), fields.get(2, 0.0)
    if not isinstance(score, float) or not math.isfinite(score):
        raise ValueError(f"the piece {shown(text)} has no score")
    return text, score


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: bytes, or an int of varints, or a float of four bytes."""
    if not isinstance(data, bytes):
        raise ValueError("a number where a message belongs")
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind not in _SIZES:
            raise ValueError(f"a value of the kind {kind}")
        size, place = (_SIZES[kind], place) if _SIZES[kind] else _varint(data, place)
        if place + size > len(data):
            raise ValueError("it ends within a field")
        raw = data[place : place + size]
        yield key >> 3, struct.unpack("<f", raw)[0] if kind == 5 else raw
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The whole number at a place, and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number of more than 64 bits")

"""Text files to a token shard, once: larger than memory, and not again while nothing changed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from ..checkpoints.files import PathLike
from ..errors import DataError
from .shards import Shard, open_shard, shard_writer
from .text import Document, Documents
from .tokenizer import encode_parts, vocab_size

_SECONDS = 10.0  # between two messages
_log = logging.getLogger("plainformer")


def encode_to_shard(path: PathLike, tokenizer: Tokenizer, documents: Iterable[Document]) -> Shard:
    """Encode documents into the shard `path` (.bin) and map it.

    The ids are those of `encode_documents`: all documents in a row, the end-of-text token, if any,
    between them. It counts to the document that it ends. Memory is bounded by a batch of about a
    million characters or the longest line, whatever the size of the files.

    `documents` read from files (`Documents`) are encoded once: a shard at `path` that was made by
    the same tokenizer from files of the same names, sizes and times is taken as it is, if its
    checksum says that nothing has changed it since.

    Raises
    ------
    DataError : bad text, see `Documents`; a character outside the vocabulary
    """
    path = Path(path)
    source = fingerprint(tokenizer, documents) if isinstance(documents, Documents) else None
    if source is not None and (shard := _up_to_date(path, source)) is not None:
        _log.info("%s: %d tokens, encoded before", path, len(shard.tokens))
        return shard
    path.parent.mkdir(parents=True, exist_ok=True)
    _encode(path, tokenizer, documents, source)
    return open_shard(path)


def fingerprint(tokenizer: Tokenizer, documents: Documents) -> str:
    """What the ids of `documents` depend on, as a SHA-256: the tokenizer, how files are read, and
    the name, size and times of each (a program can set back when a file was modified, not when it
    was changed)."""
    files = [(str(Path(file).resolve()), os.stat(file)) for file in documents.files]
    state = [
        tokenizer.to_str(),
        documents.column,
        documents.skip_bad_lines,
        *([] if documents.encoding is None else [documents.encoding]),
        [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in files],
    ]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _up_to_date(path: Path, source: str) -> Shard | None:
    if not (path.exists() and path.with_suffix(".json").exists()):
        return None
    try:
        if open_shard(path).source == source:
            return open_shard(path, verify=True)
    except DataError as error:
        _log.warning("%s; encoding again", error)
    return None


def _encode(
    path: Path, tokenizer: Tokenizer, documents: Iterable[Document], source: str | None
) -> None:
    said = time.monotonic()
    with shard_writer(path, vocab_size=vocab_size(tokenizer), source=source) as writer:
        for ids, begins in encode_parts(tokenizer, documents):
            if begins:
                writer.begin_document()
            writer.append(ids)
            if time.monotonic() - said > _SECONDS:
                said = time.monotonic()
                _log.info("%s: %d documents, %d tokens", path, writer.documents, writer.tokens)

"""What a pre-training reads: text in files or at hand, encoded once, or tokens in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..data.shards import Shard, open_shard
from ..data.text import Document, Documents
from ..data.text_shards import encode_to_shard
from ..data.tokenizer import vocab_size
from ..errors import ConfigError, DataError, short
from .options import PretrainingOptions

TOKENS = ".bin"
_EXPECTED = "expected files or globs, or a list of objects with a text"


def as_sources(name: str, data: Any, column: str) -> list[Any]:
    """The paths of `data`, of which one may stand alone, or the documents of its objects.

    Raises
    ------
    ConfigError : nothing, or something that is neither paths nor objects with a text
    DataError : an object without a text under `column`
    """
    if isinstance(data, (str, os.PathLike)):
        return [data]
    if not isinstance(data, Iterable) or isinstance(data, (bytes, Mapping)):
        raise ConfigError(f"{name}: got {type(data).__name__}, {_EXPECTED}")
    items = list(data)
    if not items:
        raise ConfigError(f"{name}: got an empty list, {_EXPECTED}")
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        return items
    if all(isinstance(item, (Mapping, Document)) for item in items):
        return [_document(name, item, column, row) for row, item in enumerate(items, 1)]
    other = next((i for i in items if not isinstance(i, (str, os.PathLike))), items[0])
    raise ConfigError(f"{name}: got a list with {type(other).__name__}, {_EXPECTED}")


def given_documents(items: list[Any], options: PretrainingOptions) -> Documents | list[Document]:
    """The documents of files, read each time they are asked for, or those at hand."""
    if isinstance(items[0], Document):
        return items
    return Documents([i for i in items if not _holds_tokens(i)], **options.reading)


def _document(name: str, item: Any, column: str, row: int) -> Document:
    if isinstance(item, Document):
        return item
    text = item.get(column)
    if not isinstance(text, str):
        raise DataError(f"{short(column)} is no text", name, row)
    return Document(text, "")


def _holds_tokens(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike)) and os.fspath(item).endswith(TOKENS)


def load_tokens(
    path: Path, tokenizer: Tokenizer, items: list[Any], options: PretrainingOptions
) -> Shard:
    """Tokens of a text, encoded into `path`; or of the one .bin file given.

    Raises
    ------
    ConfigError : a .bin file beside other files, or one of another vocabulary
    DataError : bad text, with file and line; a damaged .bin file
    """
    if not any(_holds_tokens(item) for item in items):
        return encode_to_shard(path, tokenizer, given_documents(items, options))
    if len(items) > 1:
        raise ConfigError(f"data: got {len(items)} paths, expected a .bin file alone")
    shard = open_shard(items[0], verify=True)
    size = vocab_size(tokenizer)
    if shard.vocab_size not in (None, size):
        raise ConfigError(
            f"{items[0]}: made with {shard.vocab_size} tokens in the vocabulary, "
            f"but the tokenizer has {size}"
        )
    return shard

"""Tokenizers: trained on text, kept as Hugging Face's `tokenizer.json`, and applied to documents.

They are objects of the `tokenizers` library. Three kinds can be trained (`tokenizer_training`):

    bpe:SIZE        byte-level BPE as GPT-2's: any text can be written
    wordpiece:SIZE  WordPiece as BERT's uncased
    char, char:SIZE one token a character; for clm other characters are bytes, else [UNK]
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..checkpoints.atomic import write_bytes_atomic, write_json_atomic
from ..checkpoints.files import PathLike, read_text
from ..checkpoints.huggingface import check_directory
from ..errors import CheckpointError, ConfigError, DataError, shown
from ._library import library_errors, unseen_panics
from .special_tokens import (
    BERT_TOKENS,
    CHAT_TEMPLATE,
    TOKENIZER_CONFIG,
    kept_options,
    read_options,
    remember_options,
    special_ids,
)
from .text import Document
from .tokenizer_training import ALPHABET, BYTES, train_bpe, train_char, train_wordpiece
from .vocab_files import MAX_VOCAB, from_vocab_files

TOKENIZER = "tokenizer.json"
_log = logging.getLogger("plainformer")
_BATCH_CHARACTERS = 1 << 20  # encoded at once: bounds memory, keeps all cores busy
_LEAST_SIZE = {
    "bpe": ALPHABET + 1,
    "wordpiece": len(BERT_TOKENS) + 1,
    "char": len(BERT_TOKENS) + 1,
}
_TRAIN = {"bpe": train_bpe, "wordpiece": train_wordpiece}


@dataclass(frozen=True)
class TokenizerSpec:
    """What `--tokenizer` asks for: a directory (`path`) or something to train."""

    kind: str  # directory, char, bpe or wordpiece
    vocab_size: int | None = None
    path: str | None = None


def parse_spec(text: str) -> TokenizerSpec:
    """Read `DIR`, `char`, `char:SIZE`, `bpe:SIZE` or `wordpiece:SIZE`.

    Raises
    ------
    ConfigError : none of these, or a SIZE too small for the kind
    """
    if not isinstance(text, str):
        raise ConfigError(f"tokenizer: got {shown(text)}, expected a text")
    kind, colon, size = text.partition(":")
    if text == "char":
        return TokenizerSpec("char")
    if colon and kind in _LEAST_SIZE:
        least = _LEAST_SIZE[kind]
        if not (size.isascii() and size.isdigit()) or int(size) < least:
            raise ConfigError(
                f"tokenizer: got {shown(text)}, expected {kind}:SIZE with SIZE >= {least}"
            )
        return TokenizerSpec(kind, vocab_size=int(size))
    if os.path.isdir(text):
        return TokenizerSpec("directory", path=text)
    raise ConfigError(
        f"tokenizer: got {shown(text)}, expected a directory with {TOKENIZER}, char, char:SIZE, "
        "bpe:SIZE or wordpiece:SIZE"
    )


def make_tokenizer(
    spec: TokenizerSpec, documents: Iterable[Document], objective: str = "clm"
) -> Tokenizer:
    """Load what `spec` names, or train it on `documents` for an objective: clm, mlm, span or
    denoise (it decides the special tokens)."""
    if spec.kind == "directory":
        return read_tokenizer(spec.path or "")
    texts = _Texts(documents)
    if spec.kind == "char":
        return train_char(texts, spec.vocab_size, objective)
    return _TRAIN[spec.kind](texts, spec.vocab_size or 0, objective)


@dataclass(frozen=True)
class _Texts:
    """The texts of documents, as often as they are asked for."""

    documents: Iterable[Document]

    def __iter__(self) -> Iterator[str]:
        return (document.text for document in self.documents)


def read_tokenizer(directory: PathLike, config: Mapping[str, Any] | None = None) -> Tokenizer:
    """Read a tokenizer: `tokenizer.json` as it is, or the vocabulary files that came before it.

    Truncation and padding stored in it are switched off. What the files beside it say about
    special tokens is remembered, for `special_ids` and `save_tokenizer`.

    Parameters
    ----------
    config : the contents of `config.json`, where they have been read: old files do not say how
        text is split, the type of their model does

    Raises
    ------
    CheckpointError : no such files, damaged ones, or only a SentencePiece model
    """
    check_directory(directory, TOKENIZER)
    directory = Path(directory)
    options = read_options(directory)
    if os.path.lexists(directory / TOKENIZER):
        tokenizer = _read_tokenizer_json(directory / TOKENIZER)
    else:
        tokenizer = from_vocab_files(directory, options, config)
    remember_options(tokenizer, options)
    return tokenizer


def save_tokenizer(
    tokenizer: Tokenizer,
    directory: PathLike,
    *,
    model_max_length: int | None = None,
    token_types: bool = True,
) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, which transformers reads too.

    The roles of special tokens are those that the tokenizer was loaded with. A chat template is
    also written to `chat_template.jinja`, which version 5 looks at first.

    token_types : whether the model beside it has token types; if not, they are no input of it,
        whatever the template says: transformers' GPT-2 would add embeddings for them
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(directory / TOKENIZER, (tokenizer.to_str(pretty=True) + "\n").encode())
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **kept_options(tokenizer, token_types=token_types),
    }
    if model_max_length is not None:
        config["model_max_length"] = model_max_length
    write_json_atomic(directory / TOKENIZER_CONFIG, config)
    template = config.get("chat_template")
    if isinstance(template, str):
        write_bytes_atomic(directory / CHAT_TEMPLATE, template.encode())
    else:  # that of another tokenizer, which was here before
        (directory / CHAT_TEMPLATE).unlink(missing_ok=True)


def vocab_size(tokenizer: Tokenizer) -> int:
    """Rows that an embedding needs: one more than the largest id, added tokens included."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1


def encode_text(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Ids (N,) uint16 or uint32 of one text; `[CLS]` and the like are not added.

    Raises
    ------
    DataError : a character outside the vocabulary of a tokenizer without an unknown token
    """
    return encode_documents(tokenizer, [Document(text, "")])


def encode_documents(tokenizer: Tokenizer, documents: Iterable[Document]) -> np.ndarray:
    """Ids (N,) of all documents in a row, with the end-of-text token, if any, between them.

    uint16 where the vocabulary has at most 65,536 tokens, else uint32.

    Raises
    ------
    DataError : a character outside the vocabulary, with file and line
    """
    dtype = np.uint16 if vocab_size(tokenizer) <= 1 << 16 else np.uint32
    parts = [np.asarray(ids, dtype) for ids, _ in encode_parts(tokenizer, documents)]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def tell_unknown(name: str, tokenizer: Tokenizer, ids: np.ndarray) -> None:
    """Warn where tokens (N,) that figures are of stand for text that they do not hold."""
    unknown = special_ids(tokenizer).unk_token_id
    if unknown is not None and (count := int(np.count_nonzero(ids == unknown))):
        _log.warning(
            "%s: %d of %d tokens are %s, text that the tokenizer cannot write; the figures count "
            "such a token, not what it stands for. bpe:SIZE writes any text",
            name, count, len(ids), tokenizer.id_to_token(unknown),
        )  # fmt: skip


def encode_parts(
    tokenizer: Tokenizer, documents: Iterable[Document]
) -> Iterator[tuple[np.ndarray, bool]]:
    """(ids (N,), whether a document begins with them) of all documents, and of what ends each.

    The end-of-text token, if any, stands between two, and counts to the one that it ends. Memory is
    bounded by a batch of about a million characters, or the longest document.
    """
    table, end = _character_table(tokenizer), special_ids(tokenizer).end_token_id
    is_first, begins = True, True
    for batch in _in_batches(documents):
        for document, ids in zip(batch, _encode_batch(tokenizer, table, batch)):
            if begins and not is_first and end is not None:
                yield np.array([end]), False
            yield np.asarray(ids, np.int64), begins
            is_first, begins = False, not document.continues


def _in_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encode_batch(
    tokenizer: Tokenizer, table: _CharacterTable | None, batch: list[Document]
) -> Iterable[Any]:
    """The ids of each document; `table` is `_character_table(tokenizer)`."""
    if table is not None:
        return [table.look_up(document) for document in batch]
    texts = [document.text for document in batch]
    file = batch[0].file or None
    with library_errors(lambda text: DataError(f"cannot be encoded: {text}", file)):
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def _read_tokenizer_json(path: Path) -> Tokenizer:
    text = read_text(path)
    with (
        library_errors(lambda text: CheckpointError(f"{path}: not a tokenizer: {text}")),
        unseen_panics(),
    ):
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_truncation()
        tokenizer.no_padding()  # before encoding: it may ask for any length
        tokenizer.encode("", "")  # finds special tokens that the vocabulary has not
    ids = tokenizer.get_vocab(with_added_tokens=True).values()
    if not ids or max(ids) >= MAX_VOCAB:
        raise CheckpointError(
            f"{path}: got the largest id {max(ids, default=None)}, expected at least one token and "
            f"ids below {MAX_VOCAB}"
        )
    return tokenizer


@dataclass(frozen=True)
class _CharacterTable:
    """ids (0x110000,) of code points, -1 of those without a token; those of bytes (256,) if such
    code points are written as UTF-8."""

    ids: np.ndarray
    of_bytes: np.ndarray | None

    def look_up(self, document: Document) -> np.ndarray:
        """The ids of a text."""
        ids = self.ids[np.frombuffer(document.text.encode("utf-32-le"), np.uint32)]
        unknown = np.flatnonzero(ids < 0)
        if not unknown.size:
            return ids
        if self.of_bytes is None:
            raise self._unknown(document, int(unknown[0]))
        spelled = [document.text[i].encode() for i in unknown]
        counts = np.ones(len(ids), np.int64)
        counts[unknown] = [len(data) for data in spelled]
        ids = np.repeat(ids, counts)
        ids[ids < 0] = self.of_bytes[np.frombuffer(b"".join(spelled), np.uint8)]
        return ids

    def _unknown(self, document: Document, index: int) -> DataError:
        character = document.text[index]
        return DataError(
            f"the character {shown(character)} (U+{ord(character):04X}) is not among the "
            f"tokenizer's {np.count_nonzero(self.ids >= 0)} characters, and it has no bytes for "
            "others; train char anew",
            document.file or None,
            document.line_of(index) if document.file else None,
        )


def _character_table(tokenizer: Tokenizer) -> _CharacterTable | None:
    """What `train_char`'s tokenizers for language models do, also those of earlier versions, which
    had no bytes; None of others.

    Looking characters up is a hundred times faster than the library's encoding, takes no memory
    a token, and tells where an unknown one stands.
    """
    state = json.loads(tokenizer.to_str())
    model, pattern = state["model"], (state["pre_tokenizer"] or {}).get("pattern")
    if pattern != {"Regex": r"[\s\S]"} or state["normalizer"] or state["added_tokens"]:
        return None
    vocab = dict(model.get("vocab") or {}) if model["type"] in ("WordLevel", "BPE") else {}
    of_bytes = None
    if model["type"] == "BPE":
        if model["merges"] or not model["byte_fallback"] or not vocab.keys() >= set(BYTES):
            return None
        of_bytes = np.array([vocab.pop(token) for token in BYTES])
    if not vocab or any(len(token) != 1 for token in vocab):
        return None
    table = np.full(0x110000, -1, np.int64)
    table[[ord(token) for token in vocab]] = list(vocab.values())
    return _CharacterTable(table, of_bytes)

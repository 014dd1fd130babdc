"""Readers of tokenizer files, of every age."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from plainformer.data.encoding import TextEncoder
from plainformer.data.special_tokens import special_ids
from plainformer.data.tokenizer import (
    encode_text,
    read_tokenizer,
    save_tokenizer,
    train_bpe,
    train_wordpiece,
)
from plainformer.errors import DataError
from tests.data.tokenizer_files import (
    TEXTS,
    write_bpe,
    write_roberta,
    write_sentencepiece,
    write_wordpiece,
)

from .reader import Reader

_OPTIONS: dict[str, Any] = {
    "unk_token": "[UNK]", "cls_token": {"content": "[CLS]", "lstrip": False}, "sep_token": "[SEP]",
    "pad_token": "[PAD]", "model_max_length": 32, "padding_side": "right", "do_lower_case": True,
    "added_tokens_decoder": {"0": {"content": "[PAD]", "special": True}},
    "additional_special_tokens": ["[MASK]"], "model_input_names": ["input_ids"],
}  # fmt: skip
_NAMES = (*_OPTIONS, "bos_token", "eos_token", "tokenizer_class", "chat_template", "never_split",
          "truncation_side", "extra_special_tokens", "tokenize_chinese_chars", "strip_accents",
          "add_prefix_space", "add_bos_token", "add_eos_token", "trim_offsets")  # fmt: skip


def _use(directory: Path) -> None:
    tokenizer = read_tokenizer(directory)
    special_ids(tokenizer)
    with contextlib.suppress(DataError):
        encode_text(tokenizer, TEXTS[0])
    TextEncoder(tokenizer).encode(TEXTS[:1], TEXTS[1:2], max_length=9)
    save_tokenizer(tokenizer, directory / "saved")


def _trained(train: Any, size: int, directory: Path) -> None:
    save_tokenizer(train(TEXTS[:2], size), directory)


READERS: dict[str, Reader] = {
    "tokenizer/wordpiece": Reader(lambda d: _trained(train_wordpiece, 80, d), _use),
    "tokenizer/bpe": Reader(lambda d: _trained(train_bpe, 265, d), _use, ["tokenizer.json"]),
    "tokenizer/vocab.txt": Reader(
        lambda d: write_wordpiece(d, tokenizer_class="BertTokenizer", **_OPTIONS), _use,
        names=_NAMES,
    ),
    "tokenizer/vocab.json": Reader(
        lambda d: write_bpe(d, size=270, tokenizer_class="GPT2Tokenizer"), _use, names=_NAMES
    ),
    "tokenizer/roberta": Reader(
        lambda d: write_roberta(d, size=270, tokenizer_class="RobertaTokenizer"), _use,
        names=_NAMES,
    ),
    "tokenizer/sentencepiece": Reader(
        lambda d: write_sentencepiece(d, tokenizer_class="XLMRobertaTokenizer"), _use,
        names=_NAMES,
    ),
}  # fmt: skip


def _make_old(directory: Path) -> None:
    write_bpe(directory, size=270, tokenizer_class="GPT2Tokenizer")
    (directory / "special_tokens_map.json").write_text('{"eos_token": "<|endoftext|>"}')
    (directory / "added_tokens.json").write_text('{"<a>": 270}')
    (directory / "config.json").write_text('{"model_type": "gpt2"}')


READERS["tokenizer/maps"] = Reader(
    _make_old, _use, ["special_tokens_map.json", "added_tokens.json", "config.json"], _NAMES
)

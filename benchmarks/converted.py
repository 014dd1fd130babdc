"""Directories that CTranslate2's converter reads: the made-up tokenizer it asks for."""

from __future__ import annotations

import json
from pathlib import Path

from plainformer.data.tokenizer import save_tokenizer
from plainformer.data.vocab_files import wordpiece

PEERS = {"float32": ("torch", "ctranslate2"), "bfloat16": ("torch",), "int8": ("ctranslate2",)}
"""Who writes text in which dtype."""

END, UNKNOWN = "<|endoftext|>", "[UNK]"


def write_tokenizer(folder: str, vocab_size: int) -> None:
    """Words t0, t1, ... of the ids; the last two are special."""
    words = {f"t{i}": i for i in range(vocab_size - 2)}
    tokenizer = wordpiece(words | {UNKNOWN: vocab_size - 2, END: vocab_size - 1})
    tokenizer.add_special_tokens([END])
    save_tokenizer(tokenizer, folder)
    config = Path(folder, "tokenizer_config.json")
    roles = {"bos_token": END, "eos_token": END, "unk_token": UNKNOWN, "pad_token": END}
    config.write_text(json.dumps({**json.loads(config.read_text()), **roles}), encoding="utf-8")

"""What the sides of translate.py share."""

from __future__ import annotations

from typing import Any

import numpy as np

VOCAB, BATCH, WRITTEN = 32000, 8, 32
PAD, END = 1, VOCAB - 1  # the end is also the first token that is written, as BART has it
CONFIG = {
    "model_type": "bart",
    "vocab_size": VOCAB,
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "max_position_embeddings": 128,
    "forced_eos_token_id": None,
    "forced_bos_token_id": None,
    "pad_token_id": PAD,
    "bos_token_id": END,
    "eos_token_id": END,
    "decoder_start_token_id": END,
}


def sources() -> list[list[int]]:
    """BATCH rows of 10 to 30 random ids."""
    rng = np.random.default_rng(0)
    return [rng.integers(10, VOCAB, length).tolist() for length in rng.integers(10, 31, BATCH)]


def padded(rows: list[list[int]]) -> tuple[Any, Any]:
    """ids and mask (B, L), padding on the right."""
    longest = max(map(len, rows))
    ids = np.array([row + [PAD] * (longest - len(row)) for row in rows], np.int64)
    return ids, (np.arange(longest) < np.array([[len(row)] for row in rows])).astype(np.int64)

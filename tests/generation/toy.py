"""Small models whose most probable token depends on all that they have read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plainformer import functional
from plainformer.models import GPT2Config, GPT2LMHeadModel
from plainformer.models.config import PretrainedConfig
from plainformer.models.inputs import check_positions
from plainformer.models.seq2seq_lm import Seq2SeqLM
from plainformer.nn import Attention, Embedding, Linear

SIZES = {"vocab_size": 31, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}


class Words:
    """A tokenizer of words like <7>."""

    def decode(self, ids):
        return "".join(f"<{i}>" for i in ids)


def decoder(seed=4, **options):
    """A GPT-2 without ends, whose head is its own: a tied one repeats what it read last."""
    ids = {"eos_token_id": None, "bos_token_id": None}
    config = GPT2Config(**{**SIZES, **ids, "tie_word_embeddings": False, **options})
    config.initializer_range = 0.5
    return GPT2LMHeadModel(config, seed=seed).eval()


@dataclass
class ToyConfig(PretrainedConfig):
    """One layer of everything."""

    layer_fields: ClassVar[tuple[str, ...]] = ("num_decoder_layers",)

    vocab_size: int = 31
    width: int = 12
    max_position_embeddings: int = 40
    decoder_start_token_id: int | None = 2
    initializer_range: float = 0.8
    num_decoder_layers: int = 1


class ToySeq2Seq(Seq2SeqLM):
    """An encoder that embeds, a decoder with one self- and one cross-attention."""

    config_class = ToyConfig
    base_prefix = ""

    def __init__(self, config, seed=0):
        self.config = config
        C = config.width
        self.embed = Embedding(config.vocab_size, C)
        self.place = Embedding(config.max_position_embeddings, C)
        self.q, self.k, self.v, self.o = (Linear(C, C) for _ in range(4))
        self.cross_q, self.cross_k, self.cross_v, self.cross_o = (Linear(C, C) for _ in range(4))
        self.head = Linear(C, config.vocab_size, bias=False)
        self.attention = Attention(3, causal=True)
        self.cross = Attention(3)
        self.encodings = self.cross_keys = 0
        self.init_weights(seed)

    def encoder_rows(self, ids, rows):
        self.encodings += rows.count
        return functional.add(self.embed(ids), self.place(rows.positions()))

    def decoder_rows(self, ids, rows, positions, encoded, cache):
        check_positions(positions, self.config.max_position_embeddings)
        x = functional.add(self.embed(ids), self.place(positions))
        q, k, v = self.q(x), self.k(x), self.v(x)
        if cache is None:
            y = self.attention(q, k, v, rows)
        else:
            y = self.attention.cached(q, k, v, rows, cache.own, 0)
        x = functional.add(x, self.o(y))

        def project():
            self.cross_keys += 1
            return self.cross_k(encoded.states), self.cross_v(encoded.states)

        shared = None if cache is None else cache.cross
        y = self.cross.cross(self.cross_q(x), rows, project, encoded.rows, shared)
        return functional.add(x, self.cross_o(y))

    def head_weight(self):
        return self.head.weight


def encoder_decoder(seed=1, **options):
    """A `ToySeq2Seq` in eval mode."""
    return ToySeq2Seq(ToyConfig(**options), seed=seed).eval()


def log_softmax(x):
    """In float64, over the last axis."""
    x = np.asarray(x, np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))

"""What BART, Marian and the original Transformer share: two stacks of layers, and their head.

A family's page says how its stacks differ (`Layout`), and adds its heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional, nn
from ..checkpoints.matching import MatchedState
from ..nn.empty import new_array
from ..parameter import Buffer
from ..tensor import Array, Tensor
from .config import Shape
from .encoder_decoder_layers import DecoderLayer, EncoderLayer
from .inputs import check_positions, positions_of
from .pretrained import normal_matrix
from .seq2seq_lm import EncoderOutput, Seq2SeqLM, Seq2SeqModel

SHARED = "model.shared.weight"
ENCODER_TABLE = "model.encoder.embed_tokens.weight"
DECODER_TABLE = "model.decoder.embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass(frozen=True)
class Layout:
    """How the stacks of a family differ from others.

    positions : makes the module that gives positions their vectors
    norm_embedding : a norm follows the embeddings
    pre_norm : norms stand before the sublayers, and one after the last layer
    """

    positions: Callable[[], nn.Module]
    norm_embedding: bool = False
    pre_norm: bool = False


class Stack(nn.Module):
    """Embeddings, layers, and the norms around them."""

    def __init__(self, config: Any, layout: Layout, embed_tokens: nn.Embedding):
        self.num_positions = config.max_position_embeddings
        self.scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.recomputes = False
        self.embed_tokens = embed_tokens
        self.embed_positions = layout.positions()
        self.layers: list[Any] = []
        self.layernorm_embedding = nn.LayerNorm(config.d_model) if layout.norm_embedding else None
        self.layer_norm = nn.LayerNorm(config.d_model) if layout.pre_norm else None
        self.dropout = nn.Dropout(config.dropout)

    def embed(self, ids: Array, positions: Array) -> Tensor:
        """What enters the first layer (N, C)."""
        check_positions(positions, self.num_positions)
        x = self.embed_tokens(ids)
        if self.scale != 1.0:
            x = functional.scale(x, self.scale)
        places = self.embed_positions(positions, x)
        if self.layernorm_embedding is not None:
            return self.dropout(self.layernorm_embedding(x, places)[0])
        return self.dropout(functional.add(x, places))

    def run(self, block: nn.Module, *inputs: Tensor | None, **options: Any) -> Any:
        """One layer, kept on the tape or run again in the backward pass."""
        if self.recomputes and self.training:
            return nn.recompute(block, *inputs, **options)
        return block(*inputs, **options)

    def finish(self, x: Tensor, rows: nn.Sequences) -> Tensor:
        """The residual stream after the last layer, normed if no layer did it."""
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        nn.report_state(rows, x)
        return x


class EncoderStack(Stack):
    """Source ids (N,) to states (N, C)."""

    def __init__(self, config: Any, layout: Layout, embed_tokens: nn.Embedding):
        super().__init__(config, layout, embed_tokens)
        self.layers = [EncoderLayer(config, layout.pre_norm) for _ in range(config.encoder_layers)]

    def forward(self, ids: Array, rows: nn.Sequences, positions: Array) -> Tensor:
        """States of all rows."""
        x = self.embed(ids, positions)
        for layer in self.layers:
            nn.report_state(rows, x)
            (x,) = self.run(layer, x, rows=rows)
        return self.finish(x, rows)


class DecoderStack(Stack):
    """Target ids (N,), and what an encoder made of the sources, to states (N, C)."""

    def __init__(self, config: Any, layout: Layout, embed_tokens: nn.Embedding):
        super().__init__(config, layout, embed_tokens)
        self.layers = [DecoderLayer(config, layout.pre_norm) for _ in range(config.decoder_layers)]

    def forward(
        self,
        ids: Array,
        rows: nn.Sequences,
        positions: Array,
        encoded: EncoderOutput,
        cache: nn.Seq2SeqCache | None = None,
    ) -> Tensor:
        """States of all rows."""
        x = self.embed(ids, positions)
        memory, sources = encoded.states, encoded.rows
        for i, layer in enumerate(self.layers):
            nn.report_state(rows, x)
            (x,) = self.run(layer, x, memory, rows=rows, sources=sources, cache=cache, layer=i)
        return self.finish(x, rows)


class EncoderDecoder(nn.Module):
    """Both stacks and their token embeddings, one table or two.

    Untied models have a table for each stack; `shared` is then read and written, as transformers
    does, but nothing looks at it.
    """

    def __init__(self, config: Any, layout: Layout):
        C, padding = config.d_model, config.padding_idx
        one_table = config.shares_embeddings and config.tie_word_embeddings
        if config.shares_embeddings:
            self.shared = nn.Embedding(config.vocab_size, C, padding)
        tables = [
            self.shared if one_table else nn.Embedding(size, C, padding)
            for size in (config.vocab_size, config.target_vocab_size)
        ]
        self.encoder = EncoderStack(config, layout, tables[0])
        self.decoder = DecoderStack(config, layout, tables[1])


class EncoderDecoderModel(Seq2SeqModel):
    """Base of all heads on an `EncoderDecoder`, which is their attribute `model`."""

    base_prefix = "model."
    ignored_keys: ClassVar[tuple[str, ...]] = (
        "*.version",
        "*.embed_positions.weights",
        "*.embed_positions._float_tensor",
    )
    head_keys: ClassVar[tuple[str, ...]] = (
        "lm_head.*", "final_logits_bias", "classification_head.*", "qa_outputs.*",
    )  # fmt: skip
    model: EncoderDecoder

    @classmethod
    def layout(cls, config: Any) -> Layout:
        """How this family's stacks are laid out."""
        raise NotImplementedError(f"{cls.__name__} defines no layout")

    def encoder_rows(self, ids: Array, rows: nn.Sequences) -> Tensor:
        """Encoder states (N, C) of source ids (N,)."""
        return self.model.encoder(ids, rows, positions_of(rows))

    def decoder_rows(
        self,
        ids: Array,
        rows: nn.Sequences,
        positions: Array,
        encoded: EncoderOutput,
        cache: nn.Seq2SeqCache | None,
    ) -> Tensor:
        """Decoder states (N, C) of target ids (N,)."""
        return self.model.decoder(ids, rows, positions, encoded, cache)

    @classmethod
    def tied_keys_of(cls, config: Any) -> dict[str, str]:
        """Names that only repeat another under this configuration."""
        if not config.tie_word_embeddings:
            return {}
        if config.shares_embeddings:
            return {ENCODER_TABLE: SHARED, DECODER_TABLE: SHARED, HEAD: SHARED}
        return {HEAD: DECODER_TABLE}

    @classmethod
    def read_state(cls, state: Mapping[str, Array], config: Any) -> Mapping[str, Array]:
        """The same arrays; version 4 of transformers wrote one table for both of an untied model's.

        Where the tables are tied, or a name is all that differs, nothing has to be done.
        """
        if config.tie_word_embeddings or not config.shares_embeddings:
            return state
        names = {name: name for name in state}
        shared = SHARED if SHARED in names else SHARED.removeprefix(cls.base_prefix)
        for table in (ENCODER_TABLE, DECODER_TABLE):
            if shared in names and not {table, table.removeprefix(cls.base_prefix)} & set(state):
                names[table] = shared
        return MatchedState(state, names)

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """Matrices and embeddings are drawn from N(0, init_std); a padding token's vector is 0."""
        value = normal_matrix(shape, rng, self.config.init_std)
        if value is not None and name in (SHARED, ENCODER_TABLE, DECODER_TABLE):
            clear_padding(value, self.config.padding_idx)
        return value


def clear_padding(table: Array, padding_idx: int | None) -> None:
    """Set the vector of the padding token to 0."""
    if padding_idx is not None:
        table[padding_idx] = 0


class EncoderDecoderLM(EncoderDecoderModel, Seq2SeqLM):
    """An encoder-decoder with a language-modeling head, the decoder's embedding itself if tied.

    Parameters
    ----------
    config : EncoderDecoderConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    has_logits_bias: ClassVar[bool] = True  # a constant added to the logits, kept in checkpoints

    def build(self, config: Any) -> None:
        self.model = EncoderDecoder(config, self.layout(config))
        if self.has_logits_bias:
            self.final_logits_bias = Buffer(new_array((1, config.target_vocab_size)))
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.target_vocab_size, bias=False)

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        tied = self.config.tie_word_embeddings
        return self.model.decoder.embed_tokens.weight if tied else self.lm_head.weight

    def head_bias(self) -> Tensor | None:
        """The (V,) constant added to the logits."""
        return Tensor(self.final_logits_bias.data[0]) if self.has_logits_bias else None

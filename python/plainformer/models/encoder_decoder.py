"""What BART, Marian and the original Transformer share: one configuration, two stacks of layers.

A family's page says how its stacks differ (`Layout`), and adds its heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional
from ..checkpoints.matching import MatchedState
from ..errors import ConfigError
from ..nn import (
    DecoderLayer,
    Dropout,
    Embedding,
    EncoderLayer,
    LayerNorm,
    LayerOptions,
    Linear,
    Module,
    Seq2SeqCache,
    Sequences,
    recompute,
    report_state,
)
from ..nn.empty import new_array
from ..tensor import Array, Buffer, Tensor
from .config import PretrainedConfig, check_activation, check_positive, check_probabilities
from .inputs import check_positions, positions_of
from .pretrained import normal
from .seq2seq_lm import Encoded, Seq2SeqLM, Seq2SeqModel

SHARED = "model.shared.weight"
ENCODER_TABLE = "model.encoder.embed_tokens.weight"
DECODER_TABLE = "model.decoder.embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass
class EncoderDecoderConfig(PretrainedConfig):
    """Sizes and options under BART's names."""

    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }
    fixed: ClassVar[dict[str, Any]] = {
        "is_encoder_decoder": True,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
    }
    dropout_fields: ClassVar[tuple[str, ...]] = (
        "dropout",
        "attention_dropout",
        "activation_dropout",
    )
    layer_fields = ("encoder_layers", "decoder_layers")

    vocab_size: int = 50265
    max_position_embeddings: int = 1024
    d_model: int = 1024
    encoder_layers: int = 12
    encoder_attention_heads: int = 16
    encoder_ffn_dim: int = 4096
    decoder_layers: int = 12
    decoder_attention_heads: int = 16
    decoder_ffn_dim: int = 4096
    activation_function: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    scale_embedding: bool = False
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(
            self, "vocab_size", "max_position_embeddings", "d_model", "encoder_layers",
            "encoder_attention_heads", "encoder_ffn_dim", "decoder_layers",
            "decoder_attention_heads", "decoder_ffn_dim",
        )  # fmt: skip
        check_probabilities(self, *self.dropout_fields)
        check_activation("activation_function", self.activation_function)
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ConfigError(
                    f"{name}: got {getattr(self, name)}, expected a divisor of "
                    f"d_model = {self.d_model}"
                )
        check_padding(self)

    @property
    def num_decoder_layers(self) -> int:
        """Number of layers that keep keys and values while decoding."""
        return self.decoder_layers

    @property
    def target_vocab_size(self) -> int:
        """Number of tokens that the decoder reads and writes."""
        return self.vocab_size

    @property
    def shares_embeddings(self) -> bool:
        """Whether encoder and decoder have one vocabulary, and so may share one table."""
        return True

    @property
    def padding_idx(self) -> int | None:
        """The row of the token embeddings that looking it up does not train."""
        return self.pad_token_id

    def layer_options(self, side: str, *, pre_norm: bool) -> LayerOptions:
        """What a layer of a side, "encoder" or "decoder", is made from."""
        return LayerOptions(
            self.d_model,
            getattr(self, f"{side}_attention_heads"),
            getattr(self, f"{side}_ffn_dim"),
            check_activation("activation_function", self.activation_function),
            pre_norm,
            self.dropout,
            self.attention_dropout,
            self.activation_dropout,
        )

    def to_dict(self) -> dict[str, Any]:
        """The contents of `config.json`."""
        return {**super().to_dict(), "is_encoder_decoder": True}


@dataclass
class TranslationConfig(EncoderDecoderConfig):
    """Two vocabularies, which may be one.

    decoder_vocab_size : int, tokens of the target; None means vocab_size
    share_encoder_decoder_embeddings : bool, source and target have one vocabulary, and with
        tie_word_embeddings one table; else that ties only the head to the target's
    """

    decoder_vocab_size: int | None = None
    share_encoder_decoder_embeddings: bool = True

    def __post_init__(self) -> None:
        if self.decoder_vocab_size is None:
            self.decoder_vocab_size = self.vocab_size
        super().__post_init__()
        check_positive(self, "decoder_vocab_size")
        if self.share_encoder_decoder_embeddings and self.decoder_vocab_size != self.vocab_size:
            raise ConfigError(
                f"decoder_vocab_size: got {self.decoder_vocab_size}, expected vocab_size = "
                f"{self.vocab_size}; set share_encoder_decoder_embeddings to false for two"
            )

    @property
    def target_vocab_size(self) -> int:
        """Number of tokens that the decoder reads and writes."""
        return self.decoder_vocab_size or self.vocab_size

    @property
    def shares_embeddings(self) -> bool:
        """Whether encoder and decoder have one vocabulary."""
        return self.share_encoder_decoder_embeddings


def check_padding(config: Any) -> None:
    """Raise unless the padding id is a token of both vocabularies."""
    pad = config.pad_token_id
    limit = min(config.vocab_size, config.target_vocab_size)
    if pad is not None and not 0 <= pad < limit:
        raise ConfigError(f"pad_token_id: got {pad}, expected an id below vocab_size = {limit}")


@dataclass(frozen=True)
class Layout:
    """How the stacks of a family differ from others.

    positions : makes the module that gives positions their vectors
    norm_embedding : a norm follows the embeddings
    pre_norm : norms stand before the sublayers, and one after the last layer
    """

    positions: Callable[[], Module]
    norm_embedding: bool = False
    pre_norm: bool = False


class Stack(Module):
    """Embeddings, layers, and the norms around them."""

    def __init__(self, config: Any, layout: Layout, embed_tokens: Embedding):
        self.num_positions = config.max_position_embeddings
        self.scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.recomputes = False
        self.embed_tokens = embed_tokens
        self.embed_positions = layout.positions()
        self.layers: list[Any] = []
        self.layernorm_embedding = LayerNorm(config.d_model) if layout.norm_embedding else None
        self.layer_norm = LayerNorm(config.d_model) if layout.pre_norm else None
        self.dropout = Dropout(config.dropout)

    def embed(self, ids: Array, positions: Array) -> Tensor:
        """What enters the first layer (N, C)."""
        check_positions(positions, self.num_positions)
        x = self.embed_tokens(ids)
        if self.scale != 1.0:
            x = functional.scale(x, self.scale)
        places = self.embed_positions(positions, x.dtype)
        if self.layernorm_embedding is not None:
            return self.dropout(self.layernorm_embedding(x, places)[0])
        return self.dropout(functional.add(x, places))

    def run(self, block: Module, *inputs: Tensor | None, **options: Any) -> Any:
        """One layer, kept on the tape or run again in the backward pass."""
        if self.recomputes and self.training:
            return recompute(block, *inputs, **options)
        return block(*inputs, **options)

    def finish(self, x: Tensor, residual: Tensor | None, rows: Sequences) -> Tensor:
        """The residual stream after the last layer, normed if no layer did it."""
        if self.layer_norm is not None:
            x = self.layer_norm(x, residual)[0]
        report_state(rows, x)
        return x


class EncoderStack(Stack):
    """Source ids (N,) to states (N, C)."""

    def __init__(self, config: Any, layout: Layout, embed_tokens: Embedding):
        super().__init__(config, layout, embed_tokens)
        options = config.layer_options("encoder", pre_norm=layout.pre_norm)
        self.layers = [EncoderLayer(options) for _ in range(config.encoder_layers)]

    def forward(self, ids: Array, rows: Sequences, positions: Array) -> Tensor:
        """States of all rows."""
        x, residual = self.embed(ids, positions), None
        for layer in self.layers:
            report_state(rows, x, residual)
            x, residual = self.run(layer, x, residual, rows=rows)
        return self.finish(x, residual, rows)


class DecoderStack(Stack):
    """Target ids (N,), and what an encoder made of the sources, to states (N, C)."""

    def __init__(self, config: Any, layout: Layout, embed_tokens: Embedding):
        super().__init__(config, layout, embed_tokens)
        options = config.layer_options("decoder", pre_norm=layout.pre_norm)
        self.layers = [DecoderLayer(options) for _ in range(config.decoder_layers)]

    def forward(
        self,
        ids: Array,
        rows: Sequences,
        positions: Array,
        encoded: Encoded,
        cache: Seq2SeqCache | None = None,
    ) -> Tensor:
        """States of all rows."""
        x, residual = self.embed(ids, positions), None
        memory, sources = encoded.states, encoded.rows
        for i, layer in enumerate(self.layers):
            report_state(rows, x, residual)
            x, residual = self.run(
                layer, x, residual, memory, rows=rows, sources=sources, cache=cache, layer=i
            )
        return self.finish(x, residual, rows)


class EncoderDecoder(Module):
    """Both stacks and their token embeddings, one table or two.

    Untied models have a table for each stack; `shared` is then read and written, as transformers
    does, but nothing looks at it.
    """

    def __init__(self, config: Any, layout: Layout):
        C, padding = config.d_model, config.padding_idx
        one_table = config.shares_embeddings and config.tie_word_embeddings
        if config.shares_embeddings:
            self.shared = Embedding(config.vocab_size, C, padding)
        tables = [
            self.shared if one_table else Embedding(size, C, padding)
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

    def encoder_rows(self, ids: Array, rows: Sequences) -> Tensor:
        """Encoder states (N, C) of source ids (N,)."""
        return self.model.encoder(ids, rows, positions_of(rows))

    def decoder_rows(
        self,
        ids: Array,
        rows: Sequences,
        positions: Array,
        encoded: Encoded,
        cache: Seq2SeqCache | None,
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

    def initial_value(
        self, name: str, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array | None:
        """Matrices and embeddings are drawn from N(0, init_std); a padding token's vector is 0."""
        value = normal(shape, rng, self.config.init_std)
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

    def __init__(self, config: Any, seed: int | None = 0):
        self.config = config
        self.model = EncoderDecoder(config, self.layout(config))
        if self.has_logits_bias:
            self.final_logits_bias = Buffer(new_array((1, config.target_vocab_size)))
        if not config.tie_word_embeddings:
            self.lm_head = Linear(config.d_model, config.target_vocab_size, bias=False)
        if seed is not None:
            self.init_weights(seed)

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        tied = self.config.tie_word_embeddings
        return self.model.decoder.embed_tokens.weight if tied else self.lm_head.weight

    def head_bias(self) -> Tensor | None:
        """The (V,) constant added to the logits."""
        return Tensor(self.final_logits_bias.data[0]) if self.has_logits_bias else None

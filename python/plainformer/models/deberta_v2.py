"""DeBERTa-v2 and v3: BERT whose attention reads contents and distances apart.

The score of a query with a key is the sum of three products: content with content, which the fused
attention computes; the query with the vector of the distance, and the key with it. These two are
made by matrix products with all 2 x span vectors, of which each pair picks its own
(`functional.bucket_bias`), and enter the fused attention as its bias, forward and backward. That
takes memory for all pairs of a text and for `N x 2 span` scores a head, which other families need
not.

References
----------
He, Liu, Gao, Chen, "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", 2020,
arXiv:2006.03654; He, Gao, Chen, "DeBERTaV3", 2021, arXiv:2111.09543. Names and `config.json`:
transformers' `DebertaV2Model`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import functional, kernels, nn
from ..errors import ConfigError, shown
from ..options import one_of
from ..tensor import Array, Tensor
from .bert import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForRelationExtraction,
    BertForTokenClassification,
    BertIntermediate,
    BertModel,
    BertOutput,
    BertPreTrainedModel,
)
from .classifiers import ChoiceClassifier, SequenceClassifier
from .config import check_activation
from .encoder import EncoderLayers, Rows
from .encoder_config import EncoderConfig
from .heads import read_pooled
from .inputs import check_positions

__all__ = [
    "DebertaV2Config", "DebertaV2ForMaskedLM", "DebertaV2ForMultipleChoice",
    "DebertaV2ForQuestionAnswering", "DebertaV2ForRelationExtraction",
    "DebertaV2ForSequenceClassification", "DebertaV2ForTokenClassification", "DebertaV2Model",
]  # fmt: skip

C2P, P2C = "c2p", "p2c"  # content to position, position to content


@dataclass(repr=False)
class DebertaV2Config(EncoderConfig):
    """Sizes and options of a DeBERTa-v2, with transformers' defaults.

    relative_attention : whether scores read distances at all
    pos_att_type : which of "c2p" and "p2c" they read, a list or a text with | between
    position_buckets : how many buckets distances of one sign have; below 1: one a distance
    max_relative_positions : the largest distance; below 1: max_position_embeddings
    position_biased_input : whether absolute positions are added to embeddings
    """

    model_type = "deberta-v2"
    fixed: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed, "conv_kernel_size": 0, "legacy": True,
    }  # fmt: skip
    dropout_fields = (*EncoderConfig.dropout_fields, "pooler_dropout", "cls_dropout")
    not_sizes = ("type_vocab_size", "max_relative_positions", "position_buckets")

    vocab_size: int = 128100
    hidden_size: int = 1536
    num_hidden_layers: int = 24
    num_attention_heads: int = 24
    intermediate_size: int = 6144
    layer_norm_eps: float = 1e-7
    type_vocab_size: int = 0
    relative_attention: bool = False
    max_relative_positions: int = -1
    position_buckets: int = -1
    norm_rel_ebd: str = "none"
    share_att_key: bool = False
    pos_att_type: list[str] | str | None = None
    position_biased_input: bool = True
    pooler_dropout: float = 0.0
    pooler_hidden_act: str = "gelu"
    pooler_hidden_size: int | None = None  # None means hidden_size, and nothing else may be
    cls_dropout: float | None = None  # before classifiers of sequences; None: hidden_dropout_prob

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.pos_att_type
        if isinstance(given, str):
            given = [word.strip() for word in given.lower().split("|")]
        for word in given or ():
            one_of(C2P, P2C).check("pos_att_type", word)
        self.pos_att_type = given
        one_of("none", "layer_norm").check("norm_rel_ebd", self.norm_rel_ebd)
        check_activation("pooler_hidden_act", self.pooler_hidden_act)
        if self.pooler_hidden_size not in (None, self.hidden_size):
            raise ConfigError(
                f"pooler_hidden_size: got {self.pooler_hidden_size}, expected hidden_size = "
                f"{self.hidden_size}"
            )
        self.pooler_hidden_size = self.hidden_size
        if self.type_vocab_size < 0:
            raise ConfigError(f"type_vocab_size: got {self.type_vocab_size}, expected at least 0")
        if self.relative_attention:
            self._check_buckets()

    def _check_buckets(self) -> None:
        mid, most = self.position_buckets // 2, self.max_distance
        if self.position_buckets > 0 and not 1 <= mid < most - 1:
            raise ConfigError(
                f"position_buckets: got {self.position_buckets}, expected 2 to "
                f"{2 * most - 4}, for distances up to {shown(most)}"
            )

    @property
    def max_distance(self) -> int:
        """The largest distance that has a vector."""
        given = self.max_relative_positions
        return self.max_position_embeddings if given < 1 else given

    @property
    def span(self) -> int:
        """How many vectors distances of one sign have."""
        return self.position_buckets if self.position_buckets > 0 else self.max_distance

    def reads(self, which: str) -> bool:
        """Whether scores read distances in this way."""
        return which in (self.pos_att_type or ())


class Pairs(NamedTuple):
    """For each pair of a query and a key of a sequence (S, L, L), a place among (rows x vectors):
    the row is the query's or the key's, the vector that of the distance."""

    by_query: Array
    by_key: Array


def distance_buckets(distances: Array, config: DebertaV2Config) -> Array:
    """The vector of each distance from key to query: exact when small, then logarithmic.

    In float32 as transformers does, because rounding decides at the borders of buckets.
    """
    xp, span = kernels.xp(distances), config.span
    if config.position_buckets > 0:
        mid = span // 2
        far = xp.maximum(xp.abs(distances), mid)
        ratio = far.astype(np.float32) / np.float32(mid)
        log = xp.log(ratio.astype(np.float64)).astype(np.float32)
        most = np.float32(math.log(np.float32((config.max_distance - 1) / mid)))
        above = -(-log / most * np.float32(mid - 1) // 1)  # the ceiling
        large = above.astype(np.int64) + mid
        large = xp.where(distances < 0, -large, large)
        distances = xp.where(xp.abs(distances) <= mid, distances, large)
    return xp.clip(distances + span, 0, 2 * span - 1)


def pairs_of(sequences: nn.Sequences, config: DebertaV2Config) -> Pairs:
    """The places of all pairs; a token behind a hole in a mask keeps its distance to others."""
    xp, L = kernels.xp(sequences.cu_seqlens), sequences.max_length
    places = sequences.padded_positions() if sequences.has_holes else xp.arange(L)[None]
    places = places.astype(np.int64)
    buckets = distance_buckets(places[:, :, None] - places[:, None, :], config)
    rows = sequences.cu_seqlens[:-1, None].astype(np.int64) + xp.arange(L)
    rows = xp.minimum(rows, sequences.num_rows - 1) * (2 * config.span)  # behind the last: any
    return Pairs(rows[:, :, None] + buckets, rows[:, None, :] + buckets)


class DebertaV2Embeddings(nn.Module):
    """The normed sum of a token's embedding and, where there are such, of its position and text."""

    def __init__(self, config: DebertaV2Config):
        C = config.hidden_size
        self.limit = config.max_position_embeddings
        self.word_embeddings = nn.Embedding(config.vocab_size, C, config.pad_token_id)
        self.position_embeddings = (
            nn.Embedding(self.limit, C) if config.position_biased_input else None
        )
        types = config.type_vocab_size
        self.token_type_embeddings = nn.Embedding(types, C) if types else None
        self.LayerNorm = nn.LayerNorm(C, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, rows: Rows) -> Tensor:
        """Tokens (N,) to (N, C)."""
        check_positions(rows.positions, self.limit)
        x = self.word_embeddings(rows.ids)
        if self.position_embeddings is not None:
            x = functional.add(x, self.position_embeddings(rows.positions))
        if self.token_type_embeddings is not None:
            x = functional.add(x, self.token_type_embeddings(rows.token_types))
        return self.dropout(self.LayerNorm(x))


class DisentangledSelfAttention(nn.Module):
    """Projections to heads, and attention that reads contents and distances."""

    def __init__(self, config: DebertaV2Config):
        C, H = config.hidden_size, config.num_attention_heads
        self.query_proj, self.key_proj = nn.Linear(C, C), nn.Linear(C, C)
        self.value_proj = nn.Linear(C, C)
        self.reads_query, self.reads_key = (
            config.relative_attention and config.reads(which) for which in (C2P, P2C)
        )
        self.shares = config.share_att_key
        if not self.shares and self.reads_query:
            self.pos_key_proj = nn.Linear(C, C)
        if not self.shares and self.reads_key:
            self.pos_query_proj = nn.Linear(C, C)
        self.pos_dropout = nn.Dropout(config.hidden_dropout_prob)
        parts = 1 + config.reads(C2P) + config.reads(P2C)
        self.scale = (C // H * parts) ** -0.5
        self.attention = nn.Attention(
            H, scale=self.scale, dropout=config.attention_probs_dropout_prob
        )

    def forward(
        self, x: Tensor, vectors: Tensor | None, sequences: nn.Sequences, pairs: Pairs | None
    ) -> Tensor:
        """x (N, C) to the same shape; vectors (2 span, C) are those of distances."""
        q, k, v = nn.linear_together(x, self.query_proj, self.key_proj, self.value_proj)
        bias = None
        if vectors is not None and pairs is not None:
            bias = self.bias(q, k, self.pos_dropout(vectors), pairs)
        return self.attention(q, k, v, sequences, bias=bias)

    def bias(self, q: Tensor, k: Tensor, vectors: Tensor, pairs: Pairs) -> Tensor | None:
        """What the distances of all pairs add to their scores, (S, H, L, L)."""
        parts = []
        if self.reads_query:
            keys = (self.key_proj if self.shares else self.pos_key_proj)(vectors)
            parts.append(functional.bucket_bias(self._scores(q, keys), pairs.by_query))
        if self.reads_key:
            queries = (self.query_proj if self.shares else self.pos_query_proj)(vectors)
            parts.append(functional.bucket_bias(self._scores(k, queries), pairs.by_key))
        return parts[0] if len(parts) < 2 else functional.add(*parts)

    def _scores(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Scaled products of rows (N, C) with vectors (P, C), a column a head: (N P, H)."""
        H, N, P = self.attention.num_heads, len(x), len(vectors)
        D = x.shape[1] // H
        rows = functional.permute(functional.reshape(x, (N, H, D)), (1, 0, 2))
        columns = functional.permute(functional.reshape(vectors, (P, H, D)), (1, 2, 0))
        scores = functional.matmul(rows, functional.scale(columns, self.scale))  # (H, N, P)
        return functional.reshape(functional.permute(scores, (1, 2, 0)), (N * P, H))


class DebertaV2Attention(nn.Module):
    """The first half of a layer; its `self` is the attention proper."""

    def __init__(self, config: DebertaV2Config):
        self.self = DisentangledSelfAttention(config)
        self.output = BertOutput(config, config.hidden_size)

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        """x (N, C) to the same shape; others : those of `DisentangledSelfAttention`."""
        return self.output(self.self(x, *others), x)


class DebertaV2Layer(nn.Module):
    """Attention and feed-forward, each added to what it read and normed after that."""

    def __init__(self, config: DebertaV2Config):
        self.attention = DebertaV2Attention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config, config.intermediate_size)

    def forward(
        self,
        x: Tensor,
        vectors: Tensor | None = None,
        *,
        sequences: nn.Sequences,
        pairs: Pairs | None = None,
    ) -> tuple[Tensor]:
        """x (N, C) to the same shape."""
        x = self.attention(x, vectors, sequences, pairs)
        return (self.output(self.intermediate(x), x),)


class DebertaV2Encoder(EncoderLayers):
    """The layers, and the vectors of distances that all of them share."""

    def __init__(self, config: DebertaV2Config):
        super().__init__(DebertaV2Layer(config) for _ in range(config.num_hidden_layers))
        self.config = config
        if config.relative_attention:
            self.rel_embeddings = nn.Embedding(2 * config.span, config.hidden_size)
        self.norms = config.norm_rel_ebd == "layer_norm"
        if self.norms:
            self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(
        self, x: Tensor, sequences: nn.Sequences, *beside: Tensor, **options: Any
    ) -> Tensor:
        """x (N, C) to the same shape."""
        config = self.config
        reads = config.relative_attention and (config.reads(C2P) or config.reads(P2C))
        if not reads or not sequences.num_rows:
            return super().forward(x, sequences)
        vectors: Tensor = self.rel_embeddings.weight
        if self.norms:
            vectors = self.LayerNorm(vectors)
        return super().forward(x, sequences, vectors, pairs=pairs_of(sequences, config))


class DebertaV2PreTrainedModel(BertPreTrainedModel):
    """What DeBERTa-v2's models share."""

    config_class = DebertaV2Config
    config: DebertaV2Config
    base_prefix = "deberta."
    head_keys = (
        "pooler.*", "cls.*", "classifier.*", "qa_outputs.*", "lm_predictions.*",
        "mask_predictions.*",
    )  # fmt: skip

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints; the pooling layer is the head's."""
        self.deberta = DebertaV2Model(config, seed=None)

    @classmethod
    def read_state(cls, state: Mapping[str, Array], config: Any) -> Mapping[str, Array]:
        """Without the table of positions that published files of v3 keep unused."""
        if config.position_biased_input:
            return state
        unused = "embeddings.position_embeddings.weight"
        return {name: array for name, array in state.items() if not name.endswith(unused)}


class DebertaV2Model(DebertaV2PreTrainedModel, BertModel):
    """DeBERTa-v2 without a head.

    Parameters
    ----------
    config : DebertaV2Config
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def __init__(self, config: EncoderConfig, *, seed: int | None = 0):
        super().__init__(config, False, seed=seed)

    def make_embeddings(self, config: Any) -> DebertaV2Embeddings:
        """The first layer."""
        return DebertaV2Embeddings(config)

    def make_encoder(self, config: Any) -> DebertaV2Encoder:
        """The layers."""
        return DebertaV2Encoder(config)


class DebertaV2ForMaskedLM(DebertaV2PreTrainedModel, BertForMaskedLM):
    """DeBERTa-v2 that guesses masked tokens. Parameters: see `DebertaV2Model`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "cls.predictions.decoder.weight": "deberta.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }


class ContextPooler(nn.Module):
    """activation(dense(dropout(state of the first token)))."""

    def __init__(self, config: DebertaV2Config):
        activation = check_activation("pooler_hidden_act", config.pooler_hidden_act)
        C = config.hidden_size
        self.pooling = config.classifier_pooling
        self.dense = nn.Linear(C, C, activation=activation)
        self.dropout = nn.Dropout(config.pooler_dropout)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """States (N, C) to (S, C); `classifier_pooling` says what else is read."""
        return self.dense(self.dropout(read_pooled(x, sequences, self.pooling)))


class DebertaV2Pooled(DebertaV2PreTrainedModel):
    """What classifiers of sequences share."""

    def add_head(self, config: DebertaV2Config, num_outputs: int) -> None:
        """The body, the pooling layer, dropout and the last layer."""
        self.add_body(config)
        self.pooler = ContextPooler(config)
        given = config.cls_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if given is None else given)
        self.classifier = nn.Linear(config.hidden_size, num_outputs)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, outputs)."""
        return self.classifier(self.dropout(self.pooler(x, sequences)))


class DebertaV2ForSequenceClassification(DebertaV2Pooled, SequenceClassifier):
    """DeBERTa-v2 that classifies sequences. Parameters: see `DebertaV2Model`."""

    def build(self, config: DebertaV2Config) -> None:
        self.add_head(config, len(config.id2label))


class DebertaV2ForTokenClassification(DebertaV2PreTrainedModel, BertForTokenClassification):
    """DeBERTa-v2 that classifies tokens. Parameters: see `DebertaV2Model`."""


class DebertaV2ForQuestionAnswering(DebertaV2PreTrainedModel, BertForQuestionAnswering):
    """DeBERTa-v2 that finds answers in a text. Parameters: see `DebertaV2Model`."""


class DebertaV2ForMultipleChoice(DebertaV2Pooled, ChoiceClassifier):
    """DeBERTa-v2 that chooses between texts. Parameters: see `DebertaV2Model`."""

    def build(self, config: DebertaV2Config) -> None:
        self.add_head(config, 1)


class DebertaV2ForRelationExtraction(DebertaV2PreTrainedModel, BertForRelationExtraction):
    """DeBERTa-v2 that classifies relations. Parameters: see `DebertaV2Model`."""

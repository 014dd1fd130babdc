"""MPNet: BERT's body with a bias of attention by distance, the model of many sentence encoders.

Positions count tokens other than padding, as RoBERTa's; token types there are none.

References
----------
Song, Tan, Qin, Lu, Liu, "MPNet: Masked and Permuted Pre-training for Language Understanding", 2020,
arXiv:2004.09297. Names and `config.json`: transformers' `MPNetModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import nn
from ..tensor import Array, Tensor
from .bert import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForRelationExtraction,
    BertForTokenClassification,
    BertIntermediate,
    BertModel,
    BertOutput,
    BertPreTrainedModel,
)
from .classifiers import SequenceClassifier
from .encoder import EncoderLayers, Rows
from .encoder_config import EncoderConfig
from .inputs import check_positions, positions_after_padding, positions_of
from .masked_lm import MaskedLM
from .relative_bias import relative_buckets, relative_position_bias
from .roberta import RobertaClassificationHead, RobertaLMHead

__all__ = [
    "MPNetConfig", "MPNetForMaskedLM", "MPNetForMultipleChoice", "MPNetForQuestionAnswering",
    "MPNetForRelationExtraction", "MPNetForSequenceClassification", "MPNetForTokenClassification",
    "MPNetModel",
]  # fmt: skip

PADDING = 1  # the id that positions skip and begin behind, whatever the configuration says
NUM_BUCKETS, MAX_DISTANCE = 32, 128  # likewise


@dataclass(repr=False)
class MPNetConfig(EncoderConfig):
    """Sizes and options of an MPNet, with the base model's as defaults.

    `max_position_embeddings` counts rows of the table: sequences are shorter by 2. Whatever
    `pad_token_id` is, positions skip tokens with the id 1, as they do in transformers.
    """

    model_type = "mpnet"
    fixed: ClassVar[dict[str, Any]] = {"relative_attention_num_buckets": NUM_BUCKETS}

    vocab_size: int = 30527
    pad_token_id: int | None = PADDING
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2

    @property
    def first_position(self) -> int:
        """The position of the first token of a sequence; padding tokens have the one before."""
        return PADDING + 1


class MPNetEmbeddings(nn.Module):
    """The normed sum of two embeddings, for a token and its position."""

    def __init__(self, config: EncoderConfig):
        C = config.hidden_size
        self.limit, self.first = config.max_position_embeddings, config.first_position
        self.word_embeddings = nn.Embedding(config.vocab_size, C, PADDING)
        self.position_embeddings = nn.Embedding(self.limit, C, PADDING)
        self.LayerNorm = nn.LayerNorm(C, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, rows: Rows) -> Tensor:
        """Tokens (N,) to (N, C)."""
        check_positions(rows.positions, self.limit, first=self.first)
        x = self.word_embeddings(rows.ids)
        return self.dropout(self.LayerNorm(x, self.position_embeddings(rows.positions))[0])


class MPNetSelfAttention(nn.Module):
    """Four projections, and attention within each sequence."""

    def __init__(self, config: EncoderConfig):
        C = config.hidden_size
        self.q, self.k, self.v = nn.Linear(C, C), nn.Linear(C, C), nn.Linear(C, C)
        self.o = nn.Linear(C, C)
        self.attention = nn.Attention(
            config.num_attention_heads, dropout=config.attention_probs_dropout_prob
        )

    def forward(self, x: Tensor, bias: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, C) to the same shape."""
        q, k, v = nn.linear_together(x, self.q, self.k, self.v)
        return self.o(self.attention(q, k, v, sequences, bias=bias))


class MPNetAttention(nn.Module):
    """The first half of a layer; its `attn` is the attention proper."""

    def __init__(self, config: EncoderConfig):
        self.attn = MPNetSelfAttention(config)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, bias: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, C) to the same shape."""
        return self.LayerNorm(self.attn(x, bias, sequences), x, self.dropout)[0]


class MPNetLayer(nn.Module):
    """Attention and feed-forward, each added to what it read and normed after that."""

    def __init__(self, config: EncoderConfig):
        self.attention = MPNetAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config, config.intermediate_size)

    def forward(self, x: Tensor, bias: Tensor, sequences: nn.Sequences) -> tuple[Tensor]:
        """x (N, C) to the same shape; bias (1 or S, H, L, L) adds to the scores."""
        x = self.attention(x, bias, sequences)
        return (self.output(self.intermediate(x), x),)


class MPNetEncoder(EncoderLayers):
    """The layers, and the bias that all of them share."""

    def __init__(self, config: EncoderConfig):
        super().__init__(MPNetLayer(config) for _ in range(config.num_hidden_layers))
        self.relative_attention_bias = nn.Embedding(NUM_BUCKETS, config.num_attention_heads)

    def forward(
        self, x: Tensor, sequences: nn.Sequences, *beside: Tensor, **options: Any
    ) -> Tensor:
        """x (N, C) to the same shape."""
        bias = relative_position_bias(self.relative_attention_bias.weight, sequences, _buckets)
        return super().forward(x, sequences, bias)


def _buckets(distances: Array) -> Array:
    return relative_buckets(
        distances, bidirectional=True, num_buckets=NUM_BUCKETS, max_distance=MAX_DISTANCE
    )


class MPNetPreTrainedModel(BertPreTrainedModel):
    """What MPNet's models share."""

    config_class = MPNetConfig
    config: MPNetConfig
    base_prefix = "mpnet."
    head_keys = ("*pooler.*", "lm_head.*", "classifier.*", "qa_outputs.*")
    has_token_types = False

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints, with a pooling layer or without."""
        self.mpnet = MPNetModel(config, add_pooling_layer=pools, seed=None)

    def row_positions(self, batch: Array, sequences: nn.Sequences, position_ids: Any) -> Array:
        """Positions (N,) that count only tokens other than padding, as transformers does."""
        if position_ids is not None:
            return positions_of(sequences, position_ids)
        return positions_after_padding(batch, sequences, PADDING)


class MPNetModel(MPNetPreTrainedModel, BertModel):
    """MPNet without a head. Parameters: see `BertModel`."""

    def make_embeddings(self, config: EncoderConfig) -> MPNetEmbeddings:
        """The first layer."""
        return MPNetEmbeddings(config)

    def make_encoder(self, config: EncoderConfig) -> MPNetEncoder:
        """The layers."""
        return MPNetEncoder(config)


class MPNetForMaskedLM(MPNetPreTrainedModel, MaskedLM):
    """MPNet that guesses masked tokens. Parameters: see `BertModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "lm_head.decoder.weight": "mpnet.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    }

    def build(self, config: MPNetConfig) -> None:
        self.add_body(config)
        self.lm_head = RobertaLMHead(config)
        if config.tie_word_embeddings:
            self.projection().weight = self.base_model.embeddings.word_embeddings.weight

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        return self.lm_head.layer_norm(self.lm_head.dense(x))

    def projection(self) -> nn.Linear:
        """The layer from them to logits (M, V)."""
        return self.lm_head.decoder


class MPNetForSequenceClassification(MPNetPreTrainedModel, SequenceClassifier):
    """MPNet that classifies sequences. Parameters: see `BertModel`."""

    def build(self, config: MPNetConfig) -> None:
        self.add_body(config)
        self.classifier = RobertaClassificationHead(config)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        return self.classifier(x, sequences)


class MPNetForTokenClassification(MPNetPreTrainedModel, BertForTokenClassification):
    """MPNet that classifies tokens. Parameters: see `BertModel`."""


class MPNetForQuestionAnswering(MPNetPreTrainedModel, BertForQuestionAnswering):
    """MPNet that finds answers in a text. Parameters: see `BertModel`."""


class MPNetForMultipleChoice(MPNetPreTrainedModel, BertForMultipleChoice):
    """MPNet that chooses between texts. Parameters: see `BertModel`."""


class MPNetForRelationExtraction(MPNetPreTrainedModel, BertForRelationExtraction):
    """MPNet that classifies relations. Parameters: see `BertModel`."""

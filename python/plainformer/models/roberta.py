"""RoBERTa: BERT's body with positions that count from the padding token's id, and other heads.

References
----------
Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019, arXiv:1907.11692.
Parameter names and `config.json`: transformers' `RobertaModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import nn
from ..errors import ConfigError
from ..tensor import Array, Tensor
from .bert import (
    BertConfig,
    BertEmbeddings,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForRelationExtraction,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
)
from .classifiers import SequenceClassifier
from .encoder_config import EncoderConfig
from .heads import read_pooled
from .inputs import positions_after_padding, positions_of
from .masked_lm import MaskedLM

__all__ = [
    "RobertaConfig", "RobertaForMaskedLM", "RobertaForMultipleChoice",
    "RobertaForQuestionAnswering", "RobertaForRelationExtraction",
    "RobertaForSequenceClassification", "RobertaForTokenClassification", "RobertaModel",
]  # fmt: skip


@dataclass(repr=False)
class RobertaConfig(BertConfig):
    """Sizes and options of a RoBERTa.

    `max_position_embeddings` counts rows of the table: sequences are shorter by pad_token_id + 1.
    """

    model_type = "roberta"

    vocab_size: int = 50265
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pad_token_id is None:
            raise ConfigError("pad_token_id: got None, RoBERTa counts positions from it")

    @property
    def first_position(self) -> int:
        """The position of the first token of a sequence; padding tokens have the one before."""
        assert self.pad_token_id is not None
        return self.pad_token_id + 1


class RobertaPreTrainedModel(BertPreTrainedModel):
    """What RoBERTa's models share."""

    config_class = RobertaConfig
    config: RobertaConfig
    base_prefix = "roberta."
    head_keys = ("*pooler.*", "lm_head.*", "classifier.*", "qa_outputs.*")

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints, with a pooling layer or without."""
        self.roberta = RobertaModel(config, add_pooling_layer=pools, seed=None)

    def row_positions(self, batch: Array, sequences: nn.Sequences, position_ids: Any) -> Array:
        """Positions (N,) that count only tokens other than padding, as transformers does."""
        if position_ids is not None:
            return positions_of(sequences, position_ids)
        return positions_after_padding(batch, sequences, self.config.pad_token_id or 0)


class RobertaModel(RobertaPreTrainedModel, BertModel):
    """RoBERTa without a head. Parameters: see `BertModel`."""

    def make_embeddings(self, config: EncoderConfig) -> BertEmbeddings:
        """The first layer; the position of padding is not trained either."""
        return BertEmbeddings(config, position_padding=config.pad_token_id)


class RobertaLMHead(nn.Module):
    """norm(gelu(dense(x))), a projection that is mostly tied, and its bias."""

    def __init__(self, config: EncoderConfig):
        C = config.hidden_size
        self.dense = nn.Linear(C, C, activation="gelu")
        self.layer_norm = nn.LayerNorm(C, config.layer_norm_eps)
        self.decoder = nn.Linear(C, config.vocab_size)
        if config.tie_word_embeddings:
            self.bias = self.decoder.bias  # its name in checkpoints


class RobertaForMaskedLM(RobertaPreTrainedModel, MaskedLM):
    """RoBERTa that guesses masked tokens. Parameters: see `BertModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    }

    def build(self, config: EncoderConfig) -> None:
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


class RobertaClassificationHead(nn.Module):
    """out_proj(dropout(tanh(dense(dropout(state of the first token))))).

    `classifier_pooling` says what else than the first token is read.
    """

    activation = "tanh"

    def __init__(self, config: EncoderConfig):
        C = config.hidden_size
        self.pooling = config.classifier_pooling
        self.dense = nn.Linear(C, C, activation=self.activation)
        self.dropout = nn.Dropout(config.head_dropout())
        self.out_proj = nn.Linear(C, len(config.id2label))

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """States (N, C) to logits (S, num_labels)."""
        pooled = self.dropout(read_pooled(x, sequences, self.pooling))
        return self.out_proj(self.dropout(self.dense(pooled)))


class RobertaForSequenceClassification(RobertaPreTrainedModel, SequenceClassifier):
    """RoBERTa that classifies sequences. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config)
        self.classifier = RobertaClassificationHead(config)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        return self.classifier(x, sequences)


class RobertaForTokenClassification(RobertaPreTrainedModel, BertForTokenClassification):
    """RoBERTa that classifies tokens. Parameters: see `BertModel`."""


class RobertaForQuestionAnswering(RobertaPreTrainedModel, BertForQuestionAnswering):
    """RoBERTa that finds answers in a text. Parameters: see `BertModel`."""


class RobertaForMultipleChoice(RobertaPreTrainedModel, BertForMultipleChoice):
    """RoBERTa that chooses between texts. Parameters: see `BertModel`."""


class RobertaForRelationExtraction(RobertaPreTrainedModel, BertForRelationExtraction):
    """RoBERTa that classifies relations. Parameters: see `BertModel`."""

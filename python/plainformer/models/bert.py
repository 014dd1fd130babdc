"""BERT: a post-norm encoder with learned positions and token types, and its heads.

Also the body of MiniLM and of most sentence encoders, and RoBERTa's (`roberta.py`).

References
----------
Devlin, Chang, Lee, Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", 2018, arXiv:1810.04805. Names and `config.json`: transformers' `BertModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import functional, nn
from ..tensor import Tensor
from .classifiers import ChoiceClassifier, QuestionAnswerer, SequenceClassifier, TokenClassifier
from .config import PretrainedConfig, check_activation
from .encoder import BareEncoder, Encoder, EncoderLayers, Rows
from .encoder_config import EncoderConfig
from .heads import read_pooled, span_labels
from .inputs import check_positions
from .masked_lm import MaskedLM
from .relation import RelationClassifier

__all__ = [
    "BertConfig", "BertForMaskedLM", "BertForMultipleChoice", "BertForQuestionAnswering",
    "BertForRelationExtraction", "BertForSequenceClassification", "BertForTokenClassification",
    "BertModel",
]  # fmt: skip


@dataclass(repr=False)
class BertConfig(EncoderConfig):
    """Sizes and options of a BERT, with BERT base's as defaults."""

    model_type = "bert"
    inert = frozenset(
        """directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
        pooler_size_per_head pooler_type""".split()  # noqa: SIM905
    )
    dropout_fields = (*EncoderConfig.dropout_fields, "classifier_dropout")

    classifier_dropout: float | None = None  # None means hidden_dropout_prob
    type_vocab_size: int = 2

    def head_dropout(self) -> float:
        """The dropout before a classifier."""
        given = self.classifier_dropout
        return self.hidden_dropout_prob if given is None else given


class BertEmbeddings(nn.Module):
    """The normed sum of three embeddings, for a token, its position and its text."""

    def __init__(self, config: Any, position_padding: int | None = None):
        C = config.embedding_width
        self.limit, self.first = config.max_position_embeddings, config.first_position
        self.word_embeddings = nn.Embedding(config.vocab_size, C, config.pad_token_id)
        self.position_embeddings = nn.Embedding(self.limit, C, position_padding)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, C)
        self.LayerNorm = nn.LayerNorm(C, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, rows: Rows) -> Tensor:
        """Tokens (N,) to (N, C)."""
        check_positions(rows.positions, self.limit, first=self.first)
        x = functional.add(
            self.word_embeddings(rows.ids), self.token_type_embeddings(rows.token_types)
        )
        x = self.LayerNorm(x, self.position_embeddings(rows.positions))[0]
        return self.dropout(x)


class BertSelfAttention(nn.Module):
    """Projections to heads, and attention within each sequence."""

    def __init__(self, config: EncoderConfig):
        C = config.hidden_size
        self.query, self.key, self.value = nn.Linear(C, C), nn.Linear(C, C), nn.Linear(C, C)
        self.attention = nn.Attention(
            config.num_attention_heads, dropout=config.attention_probs_dropout_prob
        )

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, C) to the same shape."""
        q, k, v = nn.linear_together(x, self.query, self.key, self.value)
        return self.attention(q, k, v, sequences)


class BertOutput(nn.Module):
    """norm(residual + dropout(dense(x))): how both halves of a layer end."""

    def __init__(self, config: EncoderConfig, in_features: int):
        self.dense = nn.Linear(in_features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """x (N, in_features) and residual (N, C) to (N, C)."""
        return self.LayerNorm(self.dense(x), residual, self.dropout)[0]


class BertAttention(nn.Module):
    """The first half of a layer; its `self` is the attention proper."""

    def __init__(self, config: EncoderConfig):
        self.self = BertSelfAttention(config)
        self.output = BertOutput(config, config.hidden_size)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, C) to the same shape."""
        return self.output(self.self(x, sequences), x)


class BertIntermediate(nn.Module):
    """The wide layer of a feed-forward, with its activation."""

    def __init__(self, config: EncoderConfig):
        activation = check_activation("hidden_act", config.hidden_act)
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C) to (N, intermediate_size)."""
        return self.dense(x)


class BertLayer(nn.Module):
    """Attention and feed-forward, each added to what it read and normed after that."""

    def __init__(self, config: EncoderConfig):
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config, config.intermediate_size)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> tuple[Tensor]:
        """x (N, C) to the same shape."""
        x = self.attention(x, sequences)
        return (self.output(self.intermediate(x), x),)


class BertPooler(nn.Module):
    """What classifiers of sequences read: tanh(dense(state of the first token))."""

    def __init__(self, config: EncoderConfig):
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, activation="tanh")

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """States (N, C) to (S, C)."""
        return self.dense(functional.take_rows(x, sequences.first_rows()))


class BertPreTrainedModel(Encoder):
    """What BERT's models share."""

    config_class: ClassVar[type[PretrainedConfig]] = BertConfig
    config: EncoderConfig
    base_prefix = "bert."
    ignored_keys = ("*embeddings.position_ids", "*embeddings.token_type_ids")
    head_keys: ClassVar[tuple[str, ...]] = ("*pooler.*", "cls.*", "classifier.*", "qa_outputs.*")
    has_token_types = True

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints, with a pooling layer or without."""
        self.bert = BertModel(config, add_pooling_layer=pools, seed=None)

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token; see `block_flops`."""
        return self.block_flops(
            self.base_model.encoder.layer, self.config.hidden_size, sequence_length
        )


class BertModel(BertPreTrainedModel, BareEncoder):
    """BERT without a head.

    Parameters
    ----------
    config : BertConfig
    add_pooling_layer : with what classifiers of sequences read
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def __init__(
        self, config: EncoderConfig, add_pooling_layer: bool = True, *, seed: int | None = 0
    ):
        self.pools = add_pooling_layer
        super().__init__(config, seed)

    def build(self, config: EncoderConfig) -> None:
        self.embeddings = self.make_embeddings(config)
        self.encoder = self.make_encoder(config)
        self.pooler = BertPooler(config) if self.pools else None

    def make_embeddings(self, config: EncoderConfig) -> nn.Module:
        """The first layer."""
        return BertEmbeddings(config)

    def make_encoder(self, config: EncoderConfig) -> nn.Module:
        """The layers."""
        return EncoderLayers(BertLayer(config) for _ in range(config.num_hidden_layers))

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C)."""
        return self.encoder(self.embeddings(rows), rows.sequences)

    def pooled(self, x: Tensor, sequences: nn.Sequences) -> Tensor | None:
        """tanh(dense(first state)) (S, C), with a pooling layer."""
        return self.pooler(x, sequences) if self.pooler is not None else None


class BertPredictions(nn.Module):
    """The masked-LM head: a transformation, a projection that is mostly tied, and its bias."""

    def __init__(self, config: EncoderConfig):
        self.transform = BertTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie_word_embeddings:
            self.bias = self.decoder.bias  # its name in checkpoints


class BertTransform(nn.Module):
    """norm(activation(dense(x)))."""

    def __init__(self, config: EncoderConfig):
        activation = check_activation("hidden_act", config.hidden_act)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, activation=activation)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C) to the same shape."""
        return self.LayerNorm(self.dense(x))


class BertHeads(nn.Module):
    """Holds the masked-LM head under its name in checkpoints."""

    def __init__(self, config: EncoderConfig):
        self.predictions = BertPredictions(config)


class BertForMaskedLM(BertPreTrainedModel, MaskedLM):
    """BERT that guesses masked tokens. Parameters: see `BertModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config)
        self.cls = BertHeads(config)
        if config.tie_word_embeddings:
            self.projection().weight = self.base_model.embeddings.word_embeddings.weight

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        return self.cls.predictions.transform(x)

    def projection(self) -> nn.Linear:
        """The layer from them to logits (M, V)."""
        return self.cls.predictions.decoder


class BertForSequenceClassification(BertPreTrainedModel, SequenceClassifier):
    """BERT that classifies sequences. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config, pools=config.classifier_pooling is None)
        self.dropout = nn.Dropout(config.head_dropout())
        self.classifier = nn.Linear(config.hidden_size, len(config.id2label))

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels), of the pooler or of what `classifier_pooling` says."""
        how = self.config.classifier_pooling
        pooled = (
            self.base_model.pooled(x, sequences) if how is None else read_pooled(x, sequences, how)
        )
        return self.classifier(self.dropout(pooled))


class BertForTokenClassification(BertPreTrainedModel, TokenClassifier):
    """BERT that classifies tokens. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config)
        self.dropout = nn.Dropout(config.head_dropout())
        self.classifier = nn.Linear(config.hidden_size, len(config.id2label))


class BertForQuestionAnswering(BertPreTrainedModel, QuestionAnswerer):
    """BERT that finds answers in a text. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config)
        self.qa_outputs = nn.Linear(config.hidden_size, span_labels(config))


class BertForMultipleChoice(BertPreTrainedModel, ChoiceClassifier):
    """BERT that chooses between texts. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config, pools=True)
        self.dropout = nn.Dropout(config.head_dropout())
        self.classifier = nn.Linear(config.hidden_size, 1)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, 1)."""
        return self.classifier(self.dropout(self.base_model.pooled(x, sequences)))


class BertForRelationExtraction(BertPreTrainedModel, RelationClassifier):
    """BERT that classifies relations. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        self.add_body(config)
        self.dropout = nn.Dropout(config.head_dropout())
        self.classifier = nn.Linear(2 * config.hidden_size, len(config.id2label))

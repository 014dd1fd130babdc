"""DistilBERT: a small BERT without token types and without a pooler.

References
----------
Sanh, Debut, Chaumond, Wolf, "DistilBERT, a distilled version of BERT", 2019, arXiv:1910.01108.
Parameter names and `config.json`: transformers' `DistilBertModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import nn
from ..nn.positions import sinusoids
from ..tensor import Array, Tensor
from .classifiers import ChoiceClassifier, QuestionAnswerer, SequenceClassifier, TokenClassifier
from .config import PretrainedConfig, Shape, check_activation, check_divides
from .encoder import BareEncoder, Encoder, EncoderLayers, Rows
from .heads import read_pooled, span_labels
from .inputs import check_positions
from .masked_lm import MaskedLM
from .relation import RelationClassifier

__all__ = [
    "DistilBertConfig", "DistilBertForMaskedLM", "DistilBertForMultipleChoice",
    "DistilBertForQuestionAnswering", "DistilBertForRelationExtraction",
    "DistilBertForSequenceClassification", "DistilBertForTokenClassification", "DistilBertModel",
]  # fmt: skip

EPS = 1e-12  # of every norm; the configuration has no field for it


@dataclass(repr=False)
class DistilBertConfig(PretrainedConfig):
    """Sizes and options of a DistilBERT, with those of the published one as defaults."""

    model_type = "distilbert"
    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
    }
    inert = frozenset({"tie_weights_"})
    dropout_fields = ("dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout")
    layer_fields = ("n_layers",)

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    sinusoidal_pos_embds: bool = False  # only says how new position embeddings start
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    initializer_range: float = 0.02
    qa_dropout: float = 0.1
    seq_classif_dropout: float = 0.2
    pad_token_id: int | None = 0

    classifier_pooling: str | None = None  # ours; what a head for texts reads, see `read_pooled`

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("activation", self.activation)
        check_divides(self, "n_heads", "dim")

    @property
    def num_layers(self) -> int:
        """Number of blocks."""
        return self.n_layers


class Embeddings(nn.Module):
    """The normed sum of two embeddings, for a token and its position."""

    def __init__(self, config: DistilBertConfig):
        self.limit = config.max_position_embeddings
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, config.pad_token_id)
        self.position_embeddings = nn.Embedding(self.limit, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, rows: Rows) -> Tensor:
        """Tokens (N,) to (N, C)."""
        check_positions(rows.positions, self.limit)
        x = self.word_embeddings(rows.ids)
        return self.dropout(self.LayerNorm(x, self.position_embeddings(rows.positions))[0])


class SelfAttention(nn.Module):
    """Four projections, and attention within each sequence."""

    def __init__(self, config: DistilBertConfig):
        C = config.dim
        self.q_lin, self.k_lin, self.v_lin = nn.Linear(C, C), nn.Linear(C, C), nn.Linear(C, C)
        self.out_lin = nn.Linear(C, C)
        self.attention = nn.Attention(config.n_heads, dropout=config.attention_dropout)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, C) to the same shape."""
        q, k, v = nn.linear_together(x, self.q_lin, self.k_lin, self.v_lin)
        return self.out_lin(self.attention(q, k, v, sequences))


class FFN(nn.Module):
    """lin2(activation(lin1(x))); its dropout is made by the norm that follows."""

    def __init__(self, config: DistilBertConfig):
        activation = check_activation("activation", config.activation)
        self.lin1 = nn.Linear(config.dim, config.hidden_dim, activation=activation)
        self.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C) to the same shape."""
        return self.lin2(self.lin1(x))


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each added to what it read and normed after that."""

    def __init__(self, config: DistilBertConfig):
        self.attention = SelfAttention(config)
        self.sa_layer_norm = nn.LayerNorm(config.dim, EPS)
        self.ffn = FFN(config)
        self.output_layer_norm = nn.LayerNorm(config.dim, EPS)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> tuple[Tensor]:
        """x (N, C) to the same shape."""
        x = self.sa_layer_norm(self.attention(x, sequences), x)[0]
        return (self.output_layer_norm(self.ffn(x), x, self.ffn.dropout)[0],)


class DistilBertPreTrainedModel(Encoder):
    """What DistilBERT's models share."""

    config_class = DistilBertConfig
    config: DistilBertConfig
    base_prefix = "distilbert."
    ignored_keys = ("*embeddings.position_ids",)
    head_keys = (
        "vocab_transform.*", "vocab_layer_norm.*", "vocab_projector.*", "pre_classifier.*",
        "classifier.*", "qa_outputs.*",
    )  # fmt: skip

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token; see `block_flops`."""
        return self.block_flops(self.base_model.transformer.layer, self.config.dim, sequence_length)

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """Draws from N(0, initializer_range), and sinusoids where the configuration wants them."""
        drawn = super().initial_value(name, shape, rng)
        wanted = self.config.sinusoidal_pos_embds and "position_embeddings" in name
        return sinusoids(*shape, True, np.dtype(np.float32)).copy() if wanted else drawn


class DistilBertModel(DistilBertPreTrainedModel, BareEncoder):
    """DistilBERT without a head.

    Parameters
    ----------
    config : DistilBertConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def build(self, config: DistilBertConfig) -> None:
        self.embeddings = Embeddings(config)
        self.transformer = EncoderLayers(TransformerBlock(config) for _ in range(config.n_layers))

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C)."""
        return self.transformer(self.embeddings(rows), rows.sequences)


class DistilBertForMaskedLM(DistilBertPreTrainedModel, MaskedLM):
    """DistilBERT that guesses masked tokens. Parameters: see `DistilBertModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"
    }

    def build(self, config: DistilBertConfig) -> None:
        activation = check_activation("activation", config.activation)
        self.distilbert = DistilBertModel(config, seed=None)
        self.vocab_transform = nn.Linear(config.dim, config.dim, activation=activation)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, EPS)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)
        if config.tie_word_embeddings:
            self.vocab_projector.weight = self.distilbert.embeddings.word_embeddings.weight

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        return self.vocab_layer_norm(self.vocab_transform(x))

    def projection(self) -> nn.Linear:
        """The layer from them to logits (M, V)."""
        return self.vocab_projector


class DistilBertForSequenceClassification(DistilBertPreTrainedModel, SequenceClassifier):
    """DistilBERT that classifies sequences. Parameters: see `DistilBertModel`."""

    def build(self, config: DistilBertConfig) -> None:
        self.distilbert = DistilBertModel(config, seed=None)
        self.pre_classifier = nn.Linear(config.dim, config.dim, activation="relu")
        self.classifier = nn.Linear(config.dim, len(config.id2label))
        self.dropout = nn.Dropout(config.seq_classif_dropout)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        pooled = read_pooled(x, sequences, self.config.classifier_pooling)
        return self.classifier(self.dropout(self.pre_classifier(pooled)))


class DistilBertForTokenClassification(DistilBertPreTrainedModel, TokenClassifier):
    """DistilBERT that classifies tokens. Parameters: see `DistilBertModel`."""

    def build(self, config: DistilBertConfig) -> None:
        self.distilbert = DistilBertModel(config, seed=None)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.dim, len(config.id2label))


class DistilBertForQuestionAnswering(DistilBertPreTrainedModel, QuestionAnswerer):
    """DistilBERT that finds answers in a text. Parameters: see `DistilBertModel`."""

    def build(self, config: DistilBertConfig) -> None:
        self.distilbert = DistilBertModel(config, seed=None)
        self.qa_outputs = nn.Linear(config.dim, span_labels(config))
        self.dropout = nn.Dropout(config.qa_dropout)

    def span_rows(self, x: Tensor) -> Tensor:
        """Logits (N, 2)."""
        return self.qa_outputs(self.dropout(x))


class DistilBertForMultipleChoice(DistilBertPreTrainedModel, ChoiceClassifier):
    """DistilBERT that chooses between texts. Parameters: see `DistilBertModel`."""

    def build(self, config: DistilBertConfig) -> None:
        self.distilbert = DistilBertModel(config, seed=None)
        self.pre_classifier = nn.Linear(config.dim, config.dim, activation="relu")
        self.classifier = nn.Linear(config.dim, 1)
        self.dropout = nn.Dropout(config.seq_classif_dropout)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, 1)."""
        pooled = read_pooled(x, sequences, self.config.classifier_pooling)
        return self.classifier(self.dropout(self.pre_classifier(pooled)))


class DistilBertForRelationExtraction(DistilBertPreTrainedModel, RelationClassifier):
    """DistilBERT that classifies relations. Parameters: see `DistilBertModel`."""

    def build(self, config: DistilBertConfig) -> None:
        self.distilbert = DistilBertModel(config, seed=None)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
        self.classifier = nn.Linear(2 * config.dim, len(config.id2label))

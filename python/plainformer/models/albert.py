"""ALBERT: BERT with narrow embeddings, and layers that share one set of weights.

References
----------
Lan, Chen, Goodman, Gimpel, Sharma, Soricut, "ALBERT: A Lite BERT for Self-supervised Learning of
Language Representations", 2019, arXiv:1909.11942. Names and `config.json`: transformers'
`AlbertModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import functional, nn
from ..options import at_least
from ..tensor import Tensor
from .bert import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForRelationExtraction,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
)
from .config import MAX_LAYERS, check_activation
from .encoder import run_layers
from .encoder_config import EncoderConfig
from .masked_lm import MaskedLM

__all__ = [
    "AlbertConfig", "AlbertForMaskedLM", "AlbertForMultipleChoice", "AlbertForQuestionAnswering",
    "AlbertForRelationExtraction", "AlbertForSequenceClassification",
    "AlbertForTokenClassification", "AlbertModel",
]  # fmt: skip


@dataclass(repr=False)
class AlbertConfig(EncoderConfig):
    """Sizes and options of an ALBERT, with the xxlarge one's as defaults.

    num_hidden_layers : how often a group is applied; the first num_hidden_layers /
        num_hidden_groups of them are the first group, and so on
    inner_group_num : layers of a group, each with weights of its own
    """

    model_type = "albert"
    inert = frozenset(
        "down_scale_factor gap_size net_structure_type num_memory_blocks".split()  # noqa: SIM905
    )
    dropout_fields = (*EncoderConfig.dropout_fields, "classifier_dropout_prob")
    layer_fields = ("num_hidden_groups", "inner_group_num")  # those that have weights

    vocab_size: int = 30000
    embedding_size: int = 128
    hidden_size: int = 4096
    num_hidden_groups: int = 1
    num_attention_heads: int = 64
    intermediate_size: int = 16384
    inner_group_num: int = 1
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    type_vocab_size: int = 2
    classifier_dropout_prob: float | None = 0.1  # None means hidden_dropout_prob
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, MAX_LAYERS).check("num_hidden_layers", self.num_hidden_layers)

    @property
    def embedding_width(self) -> int:
        """How wide the embeddings are."""
        return self.embedding_size

    def head_dropout(self) -> float:
        """The dropout before a classifier."""
        given = self.classifier_dropout_prob
        return self.hidden_dropout_prob if given is None else given


class AlbertAttention(nn.Module):
    """norm(x + dropout(dense(attention of x within each sequence)))."""

    def __init__(self, config: AlbertConfig):
        C = config.hidden_size
        self.query, self.key, self.value = nn.Linear(C, C), nn.Linear(C, C), nn.Linear(C, C)
        self.dense = nn.Linear(C, C)
        self.LayerNorm = nn.LayerNorm(C, config.layer_norm_eps)
        self.output_dropout = nn.Dropout(config.hidden_dropout_prob)
        self.attention = nn.Attention(
            config.num_attention_heads, dropout=config.attention_probs_dropout_prob
        )

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, C) to the same shape."""
        q, k, v = nn.linear_together(x, self.query, self.key, self.value)
        y = self.dense(self.attention(q, k, v, sequences))
        return self.LayerNorm(y, x, self.output_dropout)[0]


class AlbertLayer(nn.Module):
    """Attention and feed-forward, each added to what it read and normed after that."""

    def __init__(self, config: AlbertConfig):
        activation = check_activation("hidden_act", config.hidden_act)
        C = config.hidden_size
        self.full_layer_layer_norm = nn.LayerNorm(C, config.layer_norm_eps)
        self.attention = AlbertAttention(config)
        self.ffn = nn.Linear(C, config.intermediate_size, activation=activation)
        self.ffn_output = nn.Linear(config.intermediate_size, C)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> tuple[Tensor]:
        """x (N, C) to the same shape; the feed-forward has no dropout."""
        x = self.attention(x, sequences)
        return (self.full_layer_layer_norm(self.ffn_output(self.ffn(x)), x)[0],)


class AlbertLayerGroup(nn.Module):
    """The layers that are applied together."""

    def __init__(self, config: AlbertConfig):
        self.albert_layers = [AlbertLayer(config) for _ in range(config.inner_group_num)]


class AlbertTransformer(nn.Module):
    """The projection of the embeddings, and groups of layers that are applied several times."""

    def __init__(self, config: AlbertConfig):
        self.recomputes = False
        self.count = config.num_hidden_layers
        self.embedding_hidden_mapping_in = nn.Linear(config.embedding_size, config.hidden_size)
        self.albert_layer_groups = [
            AlbertLayerGroup(config) for _ in range(config.num_hidden_groups)
        ]

    def layers(self) -> list[AlbertLayer]:
        """The layers in the order in which they are applied."""
        groups = self.albert_layer_groups
        order = [groups[int(i / (self.count / len(groups)))] for i in range(self.count)]
        return [layer for group in order for layer in group.albert_layers]

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """x (N, embedding_size) to (N, C)."""
        x = self.embedding_hidden_mapping_in(x)
        recomputes = self.recomputes and self.training
        return run_layers(self.layers(), x, sequences, recomputes=recomputes)


class AlbertPreTrainedModel(BertPreTrainedModel):
    """What ALBERT's models share."""

    config_class = AlbertConfig
    config: AlbertConfig
    base_prefix = "albert."
    head_keys = ("*pooler.*", "predictions.*", "sop_classifier.*", "classifier.*", "qa_outputs.*")

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints, with a pooling layer or without."""
        self.albert = AlbertModel(config, add_pooling_layer=pools, seed=None)

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token; see `block_flops`."""
        layers = self.base_model.encoder.layers()
        return self.block_flops(layers, self.config.hidden_size, sequence_length)


class AlbertModel(AlbertPreTrainedModel, BertModel):
    """ALBERT without a head. Parameters: see `BertModel`."""

    def build(self, config: EncoderConfig) -> None:
        C = config.hidden_size
        self.embeddings = self.make_embeddings(config)
        self.encoder = self.make_encoder(config)
        self.pooler = nn.Linear(C, C, activation="tanh") if self.pools else None  # type: ignore[assignment]

    def make_encoder(self, config: Any) -> AlbertTransformer:
        """The layers."""
        return AlbertTransformer(config)

    def pooled(self, x: Tensor, sequences: nn.Sequences) -> Tensor | None:
        """tanh(pooler(first state)) (S, C), with a pooling layer."""
        if self.pooler is None:
            return None
        return self.pooler(functional.take_rows(x, sequences.first_rows()))


class AlbertMLMHead(nn.Module):
    """norm(activation(dense(x))) as wide as the embeddings, a projection that is mostly tied, and
    its bias."""

    def __init__(self, config: AlbertConfig):
        activation = check_activation("hidden_act", config.hidden_act)
        width = config.embedding_size
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, width, activation=activation)
        self.decoder = nn.Linear(width, config.vocab_size)
        if config.tie_word_embeddings:
            self.bias = self.decoder.bias  # its name in checkpoints


class AlbertForMaskedLM(AlbertPreTrainedModel, MaskedLM):
    """ALBERT that guesses masked tokens. Parameters: see `BertModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    }

    def build(self, config: AlbertConfig) -> None:
        self.add_body(config)
        self.predictions = AlbertMLMHead(config)
        if config.tie_word_embeddings:
            self.projection().weight = self.base_model.embeddings.word_embeddings.weight

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        return self.predictions.LayerNorm(self.predictions.dense(x))

    def projection(self) -> nn.Linear:
        """The layer from them to logits (M, V)."""
        return self.predictions.decoder


class AlbertForSequenceClassification(AlbertPreTrainedModel, BertForSequenceClassification):
    """ALBERT that classifies sequences. Parameters: see `BertModel`."""


class AlbertForTokenClassification(AlbertPreTrainedModel, BertForTokenClassification):
    """ALBERT that classifies tokens. Parameters: see `BertModel`."""


class AlbertForQuestionAnswering(AlbertPreTrainedModel, BertForQuestionAnswering):
    """ALBERT that finds answers in a text. Parameters: see `BertModel`."""


class AlbertForMultipleChoice(AlbertPreTrainedModel, BertForMultipleChoice):
    """ALBERT that chooses between texts. Parameters: see `BertModel`."""


class AlbertForRelationExtraction(AlbertPreTrainedModel, BertForRelationExtraction):
    """ALBERT that classifies relations. Parameters: see `BertModel`."""

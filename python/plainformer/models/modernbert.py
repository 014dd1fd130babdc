"""ModernBERT: a pre-norm encoder without biases, with rotary positions and gated feed-forwards.

Every third layer sees all of a text, the others `local_attention` / 2 tokens to each side.

References
----------
Warner et al., "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder for Fast, Memory
Efficient, and Long Context Finetuning and Inference", 2024, arXiv:2412.13663. Names and
`config.json`: transformers' `ModernBertModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional, nn
from ..errors import ConfigError, listed, shown
from ..nn.rotary import Rotary, Turn, check_rope
from ..options import one_of
from ..tensor import Array, Tensor
from .classifiers import ChoiceClassifier, QuestionAnswerer, SequenceClassifier, TokenClassifier
from .config import PretrainedConfig, Shape, check_activation, check_divides
from .encoder import BareEncoder, Encoder, Rows
from .heads import pool, span_labels
from .inputs import check_positions
from .masked_lm import MaskedLM
from .pretrained import truncated_matrix
from .relation import RelationClassifier

__all__ = [
    "ModernBertConfig", "ModernBertForMaskedLM", "ModernBertForMultipleChoice",
    "ModernBertForQuestionAnswering", "ModernBertForRelationExtraction",
    "ModernBertForSequenceClassification", "ModernBertForTokenClassification", "ModernBertModel",
]  # fmt: skip

FULL, SLIDING = "full_attention", "sliding_attention"
_GATED = ("silu", "gelu", "gelu_tanh")  # activations that a gate may have, in the kernels' words


@dataclass(repr=False)
class ModernBertConfig(PretrainedConfig):
    """Sizes and options of a ModernBERT, with the base model's as defaults.

    layer_types : of each layer, "full_attention" or "sliding_attention"; None means that every
        `global_attn_every_n_layers`-th one from the first on sees all
    rope_parameters : of each of the two types, see `check_rope`; None means plain ones with
        global_rope_theta and local_rope_theta
    """

    model_type = "modernbert"
    inert = frozenset(
        """cls_token_id deterministic_flash_attn layer_norm_eps reference_compile
        repad_logits_with_grad sparse_pred_ignore_index sparse_prediction""".split()  # noqa: SIM905
    )
    fixed: ClassVar[dict[str, Any]] = {"position_embedding_type": "absolute", "rope_scaling": None}
    dropout_fields = (
        "attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout",
    )  # fmt: skip
    layer_fields = ("num_hidden_layers",)

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: int = 8192
    initializer_range: float = 0.02
    initializer_cutoff_factor: float = 2.0
    norm_eps: float = 1e-5
    norm_bias: bool = False
    attention_bias: bool = False
    attention_dropout: float = 0.0
    global_attn_every_n_layers: int = 3
    layer_types: list[str] | None = None
    local_attention: int = 128
    global_rope_theta: float = 160000.0
    local_rope_theta: float = 10000.0
    rope_parameters: dict[str, Any] | None = None
    embedding_dropout: float = 0.0
    mlp_bias: bool = False
    mlp_dropout: float = 0.0
    decoder_bias: bool = True
    classifier_pooling: str = "cls"  # what a head for texts reads: cls, mean or last
    classifier_dropout: float = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    pad_token_id: int | None = 50283
    eos_token_id: int | list[int] | None = 50282
    bos_token_id: int | None = 50281

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides(self, "num_attention_heads", "hidden_size")
        if self.hidden_size // self.num_attention_heads % 2:
            raise ConfigError(
                f"num_attention_heads: got {self.num_attention_heads}, which makes heads "
                f"{self.hidden_size // self.num_attention_heads} wide; expected an even width"
            )
        check_activation("classifier_activation", self.classifier_activation)
        if check_activation("hidden_activation", self.hidden_activation) not in _GATED:
            raise ConfigError(
                f"hidden_activation: got {shown(self.hidden_activation)}, expected silu or a gelu"
            )
        if not self.initializer_cutoff_factor >= 1:
            raise ConfigError(
                f"initializer_cutoff_factor: got {self.initializer_cutoff_factor}, expected a "
                "number of deviations, at least 1"
            )
        self._check_layer_types()
        self._check_rope()

    def _check_layer_types(self) -> None:
        if self.layer_types is None:
            self.layer_types = [
                SLIDING if i % self.global_attn_every_n_layers else FULL
                for i in range(self.num_hidden_layers)
            ]
        if len(self.layer_types) != self.num_hidden_layers:
            raise ConfigError(
                f"layer_types: got {len(self.layer_types)} types, expected one for each of the "
                f"{self.num_hidden_layers} layers"
            )
        for name in self.layer_types:
            one_of(FULL, SLIDING).check("layer_types", name)

    def _check_rope(self) -> None:
        """Parameters in full for both types; their thetas are those of the older fields."""
        given = self.rope_parameters or {}
        unknown = [name for name in given if name not in (FULL, SLIDING)]
        if unknown or not all(isinstance(one, dict | None) for one in given.values()):
            raise ConfigError(
                f"rope_parameters: got {listed(list(given))}, expected an object for each of "
                f"{FULL} and {SLIDING}"
            )
        thetas = {FULL: self.global_rope_theta, SLIDING: self.local_rope_theta}
        self.rope_parameters = {
            kind: check_rope(given.get(kind), self.max_position_embeddings, theta)
            for kind, theta in thetas.items()
        }
        self.global_rope_theta = self.rope_parameters[FULL]["rope_theta"]
        self.local_rope_theta = self.rope_parameters[SLIDING]["rope_theta"]

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees; -1 means all the way."""
        if (self.layer_types or ())[layer] == FULL:
            return (-1, -1)
        return (self.local_attention // 2, self.local_attention // 2)


def _norm(config: ModernBertConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, config.norm_eps, config.norm_bias)


class ModernBertEmbeddings(nn.Module):
    """The normed embedding of each token."""

    def __init__(self, config: ModernBertConfig):
        self.limit = config.max_position_embeddings
        C = config.hidden_size
        self.tok_embeddings = nn.Embedding(config.vocab_size, C, config.pad_token_id)
        self.norm = _norm(config)
        self.drop = nn.Dropout(config.embedding_dropout)

    def forward(self, rows: Rows) -> Tensor:
        """Tokens (N,) to (N, C)."""
        check_positions(rows.positions, self.limit)
        return self.drop(self.norm(self.tok_embeddings(rows.ids)))


class ModernBertAttention(nn.Module):
    """Queries, keys and values of one projection, turned by their positions."""

    def __init__(self, config: ModernBertConfig, layer: int):
        C = config.hidden_size
        self.Wqkv = nn.Linear(C, 3 * C, config.attention_bias)
        self.Wo = nn.Linear(C, C, config.attention_bias)
        self.out_drop = nn.Dropout(config.attention_dropout)
        self.attention = nn.Attention(
            config.num_attention_heads,
            dropout=config.attention_dropout,
            window_size=config.window_size(layer),
        )

    def forward(self, x: Tensor, residual: Tensor, rows: nn.Sequences, turn: Turn) -> Tensor:
        """What attention makes of x (N, C), added to the residual stream (N, C)."""
        C, heads = x.shape[1], self.attention.num_heads
        qkv = self.Wqkv(x)
        q, k, v = (functional.columns(qkv, i * C, (i + 1) * C) for i in range(3))
        y = self.attention(turn(q, heads), turn(k, heads), v, rows)
        return nn.add_onto(residual, self.Wo, y, self.out_drop)


class ModernBertMLP(nn.Module):
    """y = residual + (activation(first half) * second half of x Wi) Wo."""

    def __init__(self, config: ModernBertConfig):
        self.width = config.intermediate_size
        self.activation = check_activation("hidden_activation", config.hidden_activation)
        self.Wi = nn.Linear(config.hidden_size, 2 * self.width, config.mlp_bias)
        self.drop = nn.Dropout(config.mlp_dropout)
        self.Wo = nn.Linear(self.width, config.hidden_size, config.mlp_bias)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """x and the residual stream (N, C) to the same shape."""
        h = self.Wi(x)
        gate = functional.columns(h, 0, self.width)
        up = functional.columns(h, self.width, 2 * self.width)
        if self.activation == "silu":
            h = functional.swiglu(gate, up)
        else:
            h = functional.geglu(gate, up, "tanh" if self.activation == "gelu_tanh" else "none")
        return nn.add_onto(residual, self.Wo, self.drop(h))


class ModernBertEncoderLayer(nn.Module):
    """Attention and MLP, each on the norm of the residual stream and added to it.

    The first layer's attention reads the embeddings, which are normed already.
    """

    def __init__(self, config: ModernBertConfig, layer: int):
        self.attn_norm = _norm(config) if layer else None
        self.attn = ModernBertAttention(config, layer)
        self.mlp_norm = _norm(config)
        self.mlp = ModernBertMLP(config)

    def forward(self, x: Tensor, rows: nn.Sequences, turn: Turn) -> tuple[Tensor]:
        """The residual stream x (N, C) to the same."""
        h, x = (x, x) if self.attn_norm is None else self.attn_norm.beside(x)
        x = self.attn(h, x, rows, turn)
        h, x = self.mlp_norm.beside(x)
        return (self.mlp(h, x),)


class ModernBertPredictionHead(nn.Module):
    """norm(activation(dense(x))), in front of every task's last layer."""

    def __init__(self, config: ModernBertConfig):
        activation = check_activation("classifier_activation", config.classifier_activation)
        C = config.hidden_size
        self.dense = nn.Linear(C, C, config.classifier_bias, activation=activation)
        self.norm = _norm(config)

    def forward(self, x: Tensor) -> Tensor:
        """x (M, C) to the same shape."""
        return self.norm(self.dense(x))


class ModernBertPreTrainedModel(Encoder):
    """What ModernBERT's models share."""

    config_class = ModernBertConfig
    config: ModernBertConfig
    base_prefix = "model."
    head_keys = ("head.*", "decoder.*", "classifier.*")

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token; see `block_flops`.

        As if all layers saw all of a text.
        """
        return self.block_flops(self.base_model.layers, self.config.hidden_size, sequence_length)

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """Draws from a normal distribution cut at initializer_cutoff_factor deviations.

        Last layers of blocks, the head and the decoder begin smaller, and classifiers with
        1 / sqrt(C).
        """
        config, deviation = self.config, self.config.initializer_range
        if name.endswith(("Wo.weight", "head.dense.weight", "decoder.weight")):
            deviation /= (2 * config.num_hidden_layers) ** 0.5
        elif name.endswith("classifier.weight"):
            deviation = config.hidden_size**-0.5
        return truncated_matrix(shape, rng, deviation, config.initializer_cutoff_factor)

    def add_head(self, config: ModernBertConfig, num_outputs: int) -> None:
        """The body and what all classifiers have: head, dropout and last layer."""
        self.model = ModernBertModel(config, seed=None)
        self.head = ModernBertPredictionHead(config)
        self.drop = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, num_outputs)

    def head_logits(self, x: Tensor) -> Tensor:
        """What they make of states (M, C)."""
        return self.classifier(self.drop(self.head(x)))


class ModernBertModel(ModernBertPreTrainedModel, BareEncoder):
    """ModernBERT without a head.

    Parameters
    ----------
    config : ModernBertConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def build(self, config: ModernBertConfig) -> None:
        self.recomputes = False
        self.embeddings = ModernBertEmbeddings(config)
        self.layers = [ModernBertEncoderLayer(config, i) for i in range(config.num_hidden_layers)]
        self.final_norm = _norm(config)
        width, ropes = config.hidden_size // config.num_attention_heads, config.rope_parameters
        self.rotary = {kind: Rotary(width, rope) for kind, rope in (ropes or {}).items()}

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C), normed."""
        x = self.embeddings(rows)
        turns = {kind: turn.at(rows.positions, x.data) for kind, turn in self.rotary.items()}
        for kind, layer in zip(self.config.layer_types or (), self.layers):
            nn.report_state(rows.sequences, x)
            options = {"rows": rows.sequences, "turn": turns[kind]}
            if self.recomputes and self.training:
                (x,) = nn.recompute(layer, x, **options)
            else:
                (x,) = layer(x, **options)
        x = self.final_norm(x)
        nn.report_state(rows.sequences, x)
        return x


class ModernBertForMaskedLM(ModernBertPreTrainedModel, MaskedLM):
    """ModernBERT that guesses masked tokens. Parameters: see `ModernBertModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "decoder.weight": "model.embeddings.tok_embeddings.weight"
    }

    def build(self, config: ModernBertConfig) -> None:
        self.model = ModernBertModel(config, seed=None)
        self.head = ModernBertPredictionHead(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, config.decoder_bias)
        if config.tie_word_embeddings:
            self.decoder.weight = self.model.embeddings.tok_embeddings.weight

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        return self.head(x)

    def projection(self) -> nn.Linear:
        """The layer from them to logits (M, V)."""
        return self.decoder


class ModernBertForSequenceClassification(ModernBertPreTrainedModel, SequenceClassifier):
    """ModernBERT that classifies sequences. Parameters: see `ModernBertModel`."""

    def build(self, config: ModernBertConfig) -> None:
        self.add_head(config, len(config.id2label))

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        return self.head_logits(pool(x, sequences, self.config.classifier_pooling))


class ModernBertForTokenClassification(ModernBertPreTrainedModel, TokenClassifier):
    """ModernBERT that classifies tokens. Parameters: see `ModernBertModel`."""

    def build(self, config: ModernBertConfig) -> None:
        self.add_head(config, len(config.id2label))

    def token_logits(self, x: Tensor) -> Tensor:
        """Logits (N, num_labels)."""
        return self.head_logits(x)


class ModernBertForQuestionAnswering(ModernBertPreTrainedModel, QuestionAnswerer):
    """ModernBERT that finds answers in a text. Parameters: see `ModernBertModel`."""

    def build(self, config: ModernBertConfig) -> None:
        self.add_head(config, span_labels(config))

    def span_rows(self, x: Tensor) -> Tensor:
        """Logits (N, 2)."""
        return self.head_logits(x)


class ModernBertForMultipleChoice(ModernBertPreTrainedModel, ChoiceClassifier):
    """ModernBERT that chooses between texts. Parameters: see `ModernBertModel`."""

    def build(self, config: ModernBertConfig) -> None:
        self.add_head(config, 1)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, 1)."""
        return self.head_logits(pool(x, sequences, self.config.classifier_pooling))


class ModernBertForRelationExtraction(ModernBertPreTrainedModel, RelationClassifier):
    """ModernBERT that classifies relations. Parameters: see `ModernBertModel`."""

    def build(self, config: ModernBertConfig) -> None:
        self.model = ModernBertModel(config, seed=None)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(2 * config.hidden_size, len(config.id2label))

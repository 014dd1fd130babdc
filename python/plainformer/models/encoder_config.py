"""Configurations of encoders under BERT's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .config import PretrainedConfig, check_activation, check_divides


@dataclass(repr=False)
class EncoderConfig(PretrainedConfig):
    """Sizes and options that families of BERT's kind share, with BERT base's as defaults."""

    fixed: ClassVar[dict[str, Any]] = {"position_embedding_type": "absolute"}
    dropout_fields: ClassVar[tuple[str, ...]] = (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
    )
    layer_fields: ClassVar[tuple[str, ...]] = ("num_hidden_layers",)

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0

    classifier_pooling: str | None = None  # ours; what a head for texts reads, see `read_pooled`

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("hidden_act", self.hidden_act)
        check_divides(self, "num_attention_heads", "hidden_size")

    @property
    def context_length(self) -> int:
        """Most tokens of a sequence."""
        return self.max_position_embeddings - self.first_position

    @property
    def first_position(self) -> int:
        """The position of the first token of a sequence."""
        return 0

    @property
    def embedding_width(self) -> int:
        """How wide the embeddings are, before they are projected where that is not hidden_size."""
        return self.hidden_size

    def head_dropout(self) -> float:
        """The dropout before a classifier."""
        return self.hidden_dropout_prob

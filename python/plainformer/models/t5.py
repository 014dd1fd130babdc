"""T5: a pre-norm encoder-decoder whose positions are a bias on the attention scores.

T5 1.0 has a ReLU feed-forward layer and a tied head; T5 1.1 and Flan-T5 a gated one and a head of
their own. Nothing has a bias vector, and scores are not divided by sqrt(head width).

References
----------
Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
2019, arXiv:1910.10683. Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202.
Parameter names and `config.json`: transformers' `T5ForConditionalGeneration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional, nn
from ..errors import ConfigError, shown
from ..options import at_least
from ..tensor import Array, Tensor
from .config import ACTIVATIONS, PretrainedConfig, Shape
from .encoder import BareEncoder, Rows
from .pretrained import PreTrainedModel, normal_matrix
from .seq2seq_lm import EncoderOutput, Seq2SeqLM
from .t5_stack import GATES, T5Stack

__all__ = ["T5Config", "T5EncoderModel", "T5ForConditionalGeneration"]


@dataclass(repr=False)
class T5Config(PretrainedConfig):
    """Sizes and options of a T5, with those of T5 small as defaults."""

    model_type = "t5"
    aliases: ClassVar[dict[str, str]] = {
        "head_dim": "d_kv",
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
    }
    inert = frozenset({"classifier_dropout", "n_positions"})
    fixed: ClassVar[dict[str, Any]] = {"is_encoder_decoder": True}
    dropout_fields = ("dropout_rate",)
    layer_fields = ("num_layers", "num_decoder_layers")
    not_sizes = ("relative_attention_num_buckets",)

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None  # None means num_layers
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: str = "relu"  # an activation, or gated- before one
    dense_act_fn: str | None = None  # None means what feed_forward_proj says, nothing else will do
    is_gated_act: bool | None = None  # the same
    scale_decoder_outputs: bool | None = None  # by d_model^-0.5; None means with a tied head
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    decoder_start_token_id: int | None = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers
        if self.scale_decoder_outputs is None:
            self.scale_decoder_outputs = self.tie_word_embeddings
        self._check_feed_forward()
        buckets = self.relative_attention_num_buckets
        at_least(4).check("relative_attention_num_buckets", buckets)
        if self.relative_attention_max_distance <= buckets // 2:
            raise ConfigError(
                f"relative_attention_max_distance: got {self.relative_attention_max_distance}, "
                f"expected more than half of the {buckets} buckets"
            )

    def _check_feed_forward(self) -> None:
        gated, name = self.feed_forward_proj.startswith("gated-"), self.feed_forward_proj
        activation = name.removeprefix("gated-")
        if name == "gated-gelu":  # for files of T5 1.1, which mean the approximation
            activation = "gelu_new"
        known = [a for a, own in ACTIVATIONS.items() if not gated or own in GATES]
        if activation not in known:
            raise ConfigError(
                f"feed_forward_proj: got {shown(name)}, expected one of {', '.join(ACTIVATIONS)}, "
                "gated-gelu, gated-gelu_new, gated-silu"
            )
        for field, value in (("dense_act_fn", activation), ("is_gated_act", gated)):
            if getattr(self, field) not in (None, value):
                raise ConfigError(
                    f"{field}: got {shown(getattr(self, field))}, but "
                    f"feed_forward_proj is {shown(name)}"
                )
            setattr(self, field, value)

    @classmethod
    def _canonical(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same fields under our names; the file of an encoder alone says so of itself."""
        own = super()._canonical(values)
        if own.get("architectures") == ["T5EncoderModel"]:
            own.pop("is_encoder_decoder", None)
        return own

    def to_dict(self) -> dict[str, Any]:
        """The contents of `config.json`."""
        return {**super().to_dict(), "is_encoder_decoder": True}


class T5PreTrainedModel(PreTrainedModel):
    """What T5's models share: initial values, and both stacks read `shared`."""

    config_class = T5Config
    config: T5Config
    base_prefix = ""
    head_keys: ClassVar[tuple[str, ...]] = ("lm_head.*",)
    ignored_keys: ClassVar[tuple[str, ...]] = (
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    )

    @classmethod
    def tied_keys_of(cls, config: Any) -> dict[str, str]:
        """Names that only repeat another."""
        names = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
        return dict.fromkeys(names, "shared.weight")

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """Mesh TensorFlow's scheme: what enters a matrix product keeps its variance.

        N(0, fan_in^-0.5) times initializer_factor; queries are narrower by sqrt(d_kv), in place of
        the scale of attention; embeddings have deviation 1.
        """
        config = self.config
        factor, owner = config.initializer_factor, name.split(".")[-2]
        if len(shape) == 1:
            return np.full(shape, factor, np.float32)
        fan_in = {
            "shared": 1,
            "lm_head": 1,
            "q": config.d_model * config.d_kv,
            "o": config.num_heads * config.d_kv,
            "wo": config.d_ff,
        }.get(owner, config.d_model)
        return normal_matrix(shape, rng, factor * fan_in**-0.5)


class T5ForConditionalGeneration(T5PreTrainedModel, Seq2SeqLM):
    """T5 that writes text.

    Parameters
    ----------
    config : T5Config
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def build(self, config: T5Config) -> None:
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, self.shared, is_decoder=False)
        self.decoder = T5Stack(config, self.shared, is_decoder=True)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    def encoder_rows(self, ids: Array, rows: nn.Sequences) -> Tensor:
        """Encoder states (N, C) of source ids (N,)."""
        return self.encoder(ids, rows)

    def decoder_rows(
        self,
        ids: Array,
        rows: nn.Sequences,
        positions: Array,
        encoded: EncoderOutput,
        cache: nn.Seq2SeqCache | None,
    ) -> Tensor:
        """Decoder states (N, C) of target ids (N,), scaled for a tied head."""
        x = self.decoder(ids, rows, encoded, cache)
        if self.config.scale_decoder_outputs:
            x = functional.scale(x, self.config.d_model**-0.5)
        return x

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        return self.shared.weight if self.config.tie_word_embeddings else self.lm_head.weight

    @classmethod
    def tied_keys_of(cls, config: Any) -> dict[str, str]:
        """Names that only repeat another: both stacks read `shared`, whatever the head does."""
        head = {"lm_head.weight": "shared.weight"} if config.tie_word_embeddings else {}
        return super().tied_keys_of(config) | head

    @classmethod
    def read_state(cls, state: Mapping[str, Array], config: Any) -> Mapping[str, Array]:
        """The same arrays; they decide whether the head is tied.

        Version 5 of transformers writes `tie_word_embeddings: true` for every T5, also for those
        that have a head of their own, and says in `scale_decoder_outputs` what it means.
        """
        head = state.get("lm_head.weight")
        shared = state.get("shared.weight", head)
        config.tie_word_embeddings = head is None or np.array_equal(head, shared)
        return state


class T5EncoderModel(T5PreTrainedModel, BareEncoder):
    """The encoder of a T5 alone: feature extraction.

    Parameters
    ----------
    config : T5Config
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    head_keys = ("lm_head.*", "decoder.*")

    def build(self, config: T5Config) -> None:
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, self.shared, is_decoder=False)

    def row_positions(self, batch: Array, sequences: nn.Sequences, position_ids: Any) -> Array:
        """T5 looks at distances; positions of a caller's own would change nothing."""
        if position_ids is not None:
            raise ConfigError("position_ids: T5 has none, it looks at distances; leave them out")
        return super().row_positions(batch, sequences, position_ids)

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C)."""
        return self.encoder(rows.ids, rows.sequences)

"""Phi-3: Llama with queries, keys and values of one weight, gate and up of another, and LongRoPE.

References
----------
Abdin et al., "Phi-3 Technical Report", 2024, arXiv:2404.14219. Parameter names and `config.json`:
transformers' `Phi3ForCausalLM`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import functional, kernels, nn
from ..errors import ConfigError, shown
from ..kinds import check_kind
from ..nn.rotary import LongRotary, Rotary, Turn, check_long_rope, check_rope, long_scale
from ..options import one_of
from ..tensor import Array, Tensor
from .config import check_activation
from .layer_types import check_sliding_window, window_behind
from .llama import (
    LlamaAttention,
    LlamaConfig,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaMLP,
    LlamaModel,
    LlamaPreTrainedModel,
    attention_of,
)

__all__ = [
    "Phi3Config", "Phi3ForCausalLM", "Phi3ForSequenceClassification",
    "Phi3ForTokenClassification", "Phi3Model",
]  # fmt: skip

OLD_NAMES = {"su": "longrope", "yarn": "longrope"}  # of LongRoPE in early files


@dataclass(repr=False)
class Phi3Config(LlamaConfig):
    """Sizes and options of a Phi-3, with Phi-3 mini's as defaults.

    original_max_position_embeddings : sequences that are longer are turned by the long factors
    sliding_window : how many rows a row sees, itself among them; None means all before it
    """

    model_type = "phi3"
    fixed: ClassVar[dict[str, Any]] = {
        "attention_bias": False, "mlp_bias": False, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    }  # fmt: skip
    not_sizes = (*LlamaConfig.not_sizes, "sliding_window")

    vocab_size: int = 32064
    hidden_size: int = 3072
    intermediate_size: int = 8192
    max_position_embeddings: int = 4096
    original_max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-5
    sliding_window: int | None = None
    eos_token_id: int | list[int] | None = 32000
    pad_token_id: int | None = 32000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sliding_window(self.sliding_window)

    @classmethod
    def _canonical(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Version 4 has partial_rotary_factor beside rope_scaling."""
        values = dict(values)
        part = check_kind(
            "partial_rotary_factor", values.pop("partial_rotary_factor", None), float | None
        )
        values = super()._canonical(values)
        if part is not None:
            rope = dict(values.get("rope_parameters") or {})
            if rope.setdefault("partial_rotary_factor", part) != part:
                raise ConfigError(
                    f"partial_rotary_factor: got {shown(part)}, rope_parameters have "
                    f"{shown(rope['partial_rotary_factor'])}"
                )
            values["rope_parameters"] = rope
        return values

    def to_dict(self) -> dict[str, Any]:
        """As Llama's, with the part of a head that is turned beside them."""
        part = (self.rope_parameters or {})["partial_rotary_factor"]
        return {**super().to_dict(), "partial_rotary_factor": part}

    def _check_rope(self, given: dict[str, Any] | None, length: int) -> dict[str, Any]:
        given = {name: value for name, value in (given or {}).items() if value is not None}
        part = given.pop("partial_rotary_factor", 1.0)
        check_kind("rope_parameters: partial_rotary_factor", part, float)
        width = int((self.head_dim or 0) * part) if 0 < part <= 1 else 0
        if width < 2 or width % 2:
            raise ConfigError(
                f"rope_parameters: partial_rotary_factor: got {shown(part)}, expected an even "
                f"number of the {self.head_dim} elements of a head"
            )
        old = given.pop("type", None)
        kind = given.get("rope_type", "default" if old is None else old)
        kind = OLD_NAMES.get(kind, kind) if isinstance(kind, str) else kind
        given["rope_type"] = one_of("default", "longrope").check("rope_type", kind)
        if kind == "default":
            made = check_rope(given, length, theta=10000.0)
        else:
            given.setdefault("rope_theta", 10000.0)
            original = self.original_max_position_embeddings
            made = check_long_rope(given, width // 2, original, length)
        return {**made, "partial_rotary_factor": part}

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees."""
        return window_behind(self.sliding_window)

    @property
    def rereads_after(self) -> int | None:
        """The length of a sequence behind which its keys are turned by the long factors."""
        rope = self.rope_parameters or {}
        is_long = rope["rope_type"] == "longrope"
        return int(rope["original_max_position_embeddings"]) if is_long else None


class Phi3Attention(LlamaAttention):
    """Attention with queries, keys and values side by side in one weight."""

    def __init__(self, config: LlamaConfig, layer: int):
        D = config.head_dim or 0
        H, KV = config.num_attention_heads * D, (config.num_key_value_heads or 0) * D
        self.borders = (0, H, H + KV, H + 2 * KV)
        self.qkv_proj = nn.Linear(config.hidden_size, H + 2 * KV, bias=False)
        self.o_proj = nn.Linear(H, config.hidden_size, bias=False)
        self.attention = attention_of(config, layer)

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """Queries (N, H D), keys and values (N, KV D) of x (N, C)."""
        return _side_by_side(self.qkv_proj(x), self.borders)


class Phi3MLP(LlamaMLP):
    """The gated MLP with gate and up side by side in one weight."""

    def __init__(self, config: LlamaConfig):
        inner = config.intermediate_size
        self.activation = check_activation("hidden_act", config.hidden_act)
        self.borders = (0, inner, 2 * inner)
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * inner, bias=False)
        self.down_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """The gate and what it lets through (N, inner) of x (N, C)."""
        return _side_by_side(self.gate_up_proj(x), self.borders)


def _side_by_side(x: Tensor, borders: Sequence[int]) -> Sequence[Tensor]:
    return [functional.columns(x, start, stop) for start, stop in itertools.pairwise(borders)]


class Phi3DecoderLayer(LlamaDecoderLayer):
    """A layer of Llama with these weights."""

    attention_class = Phi3Attention
    mlp_class = Phi3MLP


class Phi3PreTrainedModel(LlamaPreTrainedModel):
    """What Phi-3's models share."""

    config_class = Phi3Config

    def bare(self, config: Any) -> LlamaModel:
        """The model that the family's heads stand on."""
        return Phi3Model(config, seed=None)


class Phi3Model(Phi3PreTrainedModel, LlamaModel):
    """A Phi-3 without a head; see `LlamaModel`.

    With LongRoPE each sequence is turned by its own length: by the short factors up to
    `original_max_position_embeddings` tokens, by the long ones beyond. What a cache holds of a
    sequence that grows past that is read again by `generate`.
    """

    layer_class = Phi3DecoderLayer

    def make_rotary(self, config: Any) -> Any:
        """What turns queries and keys."""
        rope = config.rope_parameters
        width = int(config.head_dim * rope["partial_rotary_factor"])
        if rope["rope_type"] == "default":
            return Rotary(width, rope)
        scale = long_scale(rope, config.max_position_embeddings)
        return LongRotary(width, {**rope, "scale": scale})

    def states(
        self,
        ids: Array,
        rows: nn.Sequences,
        positions: Array,
        cache: nn.KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states (N, C) of token ids (N,), after the last norm."""
        border = self.config.rereads_after
        if border is not None and cache is not None:
            held = cache.lengths
            grown = held + kernels.asnumpy(rows.lengths) > border
            if ((held > 0) & (held <= border) & grown).any():
                raise ConfigError(
                    f"cache: got sequences that grow past {border} tokens, from which on keys are "
                    "turned by long_factor; `forget` them and give all of their tokens again"
                )
        return super().states(ids, rows, positions, cache)

    def turns(self, rows: nn.Sequences, positions: Array, like: Array) -> Sequence[Turn]:
        """What turns the rows in each layer."""
        if not isinstance(self.rotary, LongRotary):
            return super().turns(rows, positions, like)
        lengths, places = kernels.asnumpy(rows.lengths), kernels.asnumpy(positions)
        starts = kernels.asnumpy(rows.cu_seqlens)[:-1][lengths > 0]
        longest = np.maximum.reduceat(places, starts) if len(starts) else places
        is_long = np.repeat(longest >= self.rotary.original, lengths[lengths > 0])
        return [self.rotary.at(positions, like, is_long)] * len(self.layers)


class Phi3ForCausalLM(Phi3PreTrainedModel, LlamaForCausalLM):
    """A Phi-3 with a language-modeling head; see `LlamaForCausalLM`."""


class Phi3ForSequenceClassification(Phi3PreTrainedModel, LlamaForSequenceClassification):
    """A Phi-3 that classifies sequences; see `LlamaForSequenceClassification`."""


class Phi3ForTokenClassification(Phi3PreTrainedModel, LlamaForTokenClassification):
    """A Phi-3 that classifies tokens; see `LlamaForTokenClassification`."""

"""Gemma 3, for text: Gemma 2 with normed queries and keys, and two rotary bases.

Five layers that slide, turned by the local base, stand before each that sees everything, turned by
the global one.

References
----------
Gemma Team, "Gemma 3 Technical Report", 2025, arXiv:2503.19786. Parameter names and `config.json`:
transformers' `Gemma3ForCausalLM` with a `Gemma3TextConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import nn
from ..errors import ConfigError, shown
from ..kinds import check_kind
from ..nn.rotary import Rotary, Turn, check_rope
from ..options import at_least
from ..tensor import Array
from .config import MAX_LAYERS, PretrainedConfig
from .gemma2 import Gemma2Config, Gemma2DecoderLayer, Gemma2ForCausalLM, Gemma2Model, gemma_norm
from .layer_types import FULL, SLIDING, alternating
from .llama import (
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
)
from .qwen3 import Qwen3Attention

__all__ = [
    "Gemma3ForCausalLM", "Gemma3TextConfig", "Gemma3TextForSequenceClassification",
    "Gemma3TextForTokenClassification", "Gemma3TextModel",
]  # fmt: skip

THETAS = {FULL: 1e6, SLIDING: 1e4}
PATTERNS = ("sliding_window_pattern", "_sliding_window_pattern")


@dataclass(repr=False)
class Gemma3TextConfig(Gemma2Config):
    """Sizes and options of a Gemma 3, with transformers' defaults.

    rope_parameters : those of the layers that slide under sliding_attention, of the others under
        full_attention
    """

    model_type = "gemma3_text"
    inert = Gemma2Config.inert | set(PATTERNS)
    fixed: ClassVar[dict[str, Any]] = {**Gemma2Config.fixed, "attn_logit_softcapping": None}
    full_every: ClassVar[int] = 6

    vocab_size: int = 262208
    max_position_embeddings: int = 131072
    attn_logit_softcapping: float | None = None  # transformers' Gemma 3 caps no scores
    final_logit_softcapping: float | None = None

    def _check_rope(self, given: dict[str, Any] | None, length: int) -> dict[str, Any]:
        """Those of both kinds of layers; what is given for none is for those that see all."""
        given = dict(given or {})
        if given and not THETAS.keys() >= given.keys():
            unknown = sorted(given.keys() - THETAS.keys())
            raise ConfigError(
                f"rope_parameters: got {shown(unknown)}, expected {FULL} and {SLIDING}"
            )
        for kind, own in given.items():
            check_kind(f"rope_parameters: {kind}", own, dict[str, Any] | None)
        return {
            kind: check_rope(given.get(kind), length, theta=theta) for kind, theta in THETAS.items()
        }

    @classmethod
    def _canonical(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Old files have rope_theta, rope_local_base_freq, rope_scaling and a pattern of layers."""
        values = dict(values)
        full, local, scaling = (
            values.pop(name, None)
            for name in ("rope_theta", "rope_local_base_freq", "rope_scaling")
        )
        check_kind("rope_scaling", scaling, dict[str, Any] | None)
        given = check_kind(
            "rope_parameters", values.pop("rope_parameters", None), dict[str, Any] | None
        )
        rope = {kind: _rope_of(kind, given or {}) for kind in THETAS}
        rope = {**(given or {}), **rope}
        rope[FULL] = {**(scaling or {}), **rope[FULL]}
        for name, kind, theta in (
            ("rope_theta", FULL, full), ("rope_local_base_freq", SLIDING, local),
        ):  # fmt: skip
            check_kind(name, theta, float | None)
            if theta is not None and rope[kind].setdefault("rope_theta", theta) != theta:
                raise ConfigError(
                    f"{name}: got {shown(theta)}, rope_parameters have "
                    f"{shown(rope[kind]['rope_theta'])}"
                )
        every = next((values[name] for name in PATTERNS if values.get(name) is not None), None)
        layers = values.get("num_hidden_layers", cls.num_hidden_layers)
        if every is not None and values.get("layer_types") is None:
            at_least(1, MAX_LAYERS).check("sliding_window_pattern", every)
            at_least(1, MAX_LAYERS).check("num_hidden_layers", layers)
            values["layer_types"] = alternating(layers, every)
        return super(LlamaConfig, cls)._canonical({**values, "rope_parameters": rope})

    def to_dict(self) -> dict[str, Any]:
        """Version 5 words, with version 4's two bases beside them."""
        rope = self.rope_parameters or {}
        scaling = {k: v for k, v in rope[FULL].items() if k != "rope_theta"}
        return {
            **PretrainedConfig.to_dict(self),
            "hidden_activation": self.hidden_act,
            "rope_theta": rope[FULL]["rope_theta"],
            "rope_local_base_freq": rope[SLIDING]["rope_theta"],
            "rope_scaling": None if scaling["rope_type"] == "default" else scaling,
        }


class Gemma3Attention(Qwen3Attention):
    """Attention whose queries and keys are normed head by head, with 1 + weight."""

    def __init__(self, config: LlamaConfig, layer: int):
        super().__init__(config, layer)
        self.q_norm = gemma_norm(config, config.head_dim or 0)
        self.k_norm = gemma_norm(config, config.head_dim or 0)


class Gemma3DecoderLayer(Gemma2DecoderLayer):
    """A layer of Gemma 2 with this attention."""

    attention_class = Gemma3Attention


class Gemma3PreTrainedModel(LlamaPreTrainedModel):
    """What Gemma 3's models share."""

    config_class = Gemma3TextConfig

    def bare(self, config: Any) -> LlamaModel:
        """The model that the family's heads stand on."""
        return Gemma3TextModel(config, seed=None)


class Gemma3TextModel(Gemma3PreTrainedModel, Gemma2Model):
    """A Gemma 3 without a head; see `LlamaModel`."""

    layer_class = Gemma3DecoderLayer

    def make_rotary(self, config: Any) -> Any:
        """What turns queries and keys, by the kind of the layer."""
        return {kind: Rotary(config.head_dim, p) for kind, p in config.rope_parameters.items()}

    def turns(self, rows: nn.Sequences, positions: Array, like: Array) -> Sequence[Turn]:
        """What turns the rows in each layer: the table of its kind."""
        kinds = self.config.layer_types  # type: ignore[attr-defined]
        made = {kind: self.rotary[kind].at(positions, like) for kind in set(kinds)}
        return [made[kind] for kind in kinds]


class Gemma3ForCausalLM(Gemma3PreTrainedModel, Gemma2ForCausalLM):
    """A Gemma 3 with a language-modeling head; see `LlamaForCausalLM`."""


class Gemma3TextForSequenceClassification(Gemma3PreTrainedModel, LlamaForSequenceClassification):
    """A Gemma 3 that classifies sequences; see `LlamaForSequenceClassification`."""


class Gemma3TextForTokenClassification(Gemma3PreTrainedModel, LlamaForTokenClassification):
    """A Gemma 3 that classifies tokens, which transformers has not; see `LlamaForCausalLM`."""


def _rope_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What rope_parameters say of one kind of layers; {} where they say nothing."""
    said = check_kind(f"rope_parameters of {kind}", given.get(kind), dict[str, Any] | None)
    return dict(said or {})

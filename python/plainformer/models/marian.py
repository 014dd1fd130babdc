"""Marian: the translation models of Helsinki-NLP, post-norm with computed sinusoidal positions.

References
----------
Junczys-Dowmunt et al., "Marian: Fast Neural Machine Translation in C++", 2018, arXiv:1804.00344.
Parameter names and `config.json`: transformers' `MarianMTModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import nn
from .encoder_decoder import EncoderDecoderLM, Layout
from .encoder_decoder_config import TranslationConfig

__all__ = ["MarianConfig", "MarianMTModel"]


@dataclass(repr=False)
class MarianConfig(TranslationConfig):
    """Sizes and options of a Marian model, with transformers' defaults."""

    model_type = "marian"
    inert = frozenset(
        """classif_dropout classifier_dropout extra_pos_embeddings
        force_bos_token_to_be_generated save_step""".split()  # noqa: SIM905
    )
    fixed: ClassVar[dict[str, Any]] = {
        **TranslationConfig.fixed,
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "static_position_embeddings": True,
    }

    vocab_size: int = 58101
    init_std: float = 0.02
    pad_token_id: int | None = 58100
    eos_token_id: int | list[int] | None = 0
    decoder_start_token_id: int | None = 58100
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = 0


class MarianMTModel(EncoderDecoderLM):
    """A Marian translation model."""

    config_class = MarianConfig
    config: MarianConfig
    ignored_keys: ClassVar[tuple[str, ...]] = (
        *EncoderDecoderLM.ignored_keys,
        "model.*.embed_positions.weight",
    )

    @classmethod
    def layout(cls, config: Any) -> Layout:
        """Sinusoidal positions, sines before cosines."""
        return Layout(
            lambda: nn.SinusoidalPositions(
                config.max_position_embeddings, config.d_model, interleaved=False
            )
        )

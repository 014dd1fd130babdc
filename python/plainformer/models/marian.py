"""Marian: the translation models of Helsinki-NLP, post-norm with computed sinusoidal positions.

References
----------
Junczys-Dowmunt et al., "Marian: Fast Neural Machine Translation in C++", 2018, arXiv:1804.00344.
Parameter names and `config.json`: transformers' `MarianMTModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..nn import SinusoidalPositions
from .encoder_decoder import EncoderDecoderConfig, EncoderDecoderLM, Layout


@dataclass
class MarianConfig(EncoderDecoderConfig):
    """Sizes and options of a Marian model, with transformers' defaults."""

    model_type = "marian"
    inert = frozenset(
        """_num_labels classif_dropout classifier_dropout extra_pos_embeddings
        force_bos_token_to_be_generated output_past save_step""".split()  # noqa: SIM905
    )
    fixed: ClassVar[dict[str, Any]] = {
        **EncoderDecoderConfig.fixed,
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "static_position_embeddings": True,
    }

    vocab_size: int = 58101
    decoder_vocab_size: int | None = None  # None means vocab_size
    share_encoder_decoder_embeddings: bool = True
    init_std: float = 0.02
    pad_token_id: int | None = 58100
    eos_token_id: int | list[int] | None = 0
    decoder_start_token_id: int | None = 58100
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = 0

    def __post_init__(self) -> None:
        self.decoder_vocab_size = self.decoder_vocab_size or self.vocab_size
        super().__post_init__()
        if self.share_encoder_decoder_embeddings and self.decoder_vocab_size != self.vocab_size:
            raise ConfigError(
                f"decoder_vocab_size: got {self.decoder_vocab_size}, expected vocab_size = "
                f"{self.vocab_size}; set share_encoder_decoder_embeddings to false for two"
            )

    @property
    def target_vocab_size(self) -> int:
        """Number of tokens that the decoder reads and writes."""
        return self.decoder_vocab_size or self.vocab_size

    @property
    def shares_embeddings(self) -> bool:
        """Whether encoder and decoder have one vocabulary."""
        return self.share_encoder_decoder_embeddings


class MarianMTModel(EncoderDecoderLM):
    """A Marian translation model."""

    config_class = MarianConfig
    ignored_keys: ClassVar[tuple[str, ...]] = (
        *EncoderDecoderLM.ignored_keys,
        "model.*.embed_positions.weight",
    )

    @classmethod
    def layout(cls, config: Any) -> Layout:
        """Sinusoidal positions, sines before cosines."""
        return Layout(
            lambda: SinusoidalPositions(
                config.max_position_embeddings, config.d_model, interleaved=False
            )
        )

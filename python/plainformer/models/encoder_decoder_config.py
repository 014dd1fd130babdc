"""Configurations of encoder-decoders under BART's names, with one vocabulary or two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from .config import PretrainedConfig, check_activation, check_divides


@dataclass(repr=False)
class EncoderDecoderConfig(PretrainedConfig):
    """Sizes and options under BART's names."""

    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }
    fixed: ClassVar[dict[str, Any]] = {
        "is_encoder_decoder": True,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
    }
    dropout_fields: ClassVar[tuple[str, ...]] = (
        "dropout",
        "attention_dropout",
        "activation_dropout",
    )
    layer_fields = ("encoder_layers", "decoder_layers")

    vocab_size: int = 50265
    max_position_embeddings: int = 1024
    d_model: int = 1024
    encoder_layers: int = 12
    encoder_attention_heads: int = 16
    encoder_ffn_dim: int = 4096
    decoder_layers: int = 12
    decoder_attention_heads: int = 16
    decoder_ffn_dim: int = 4096
    activation_function: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    scale_embedding: bool = False
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("activation_function", self.activation_function)
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            check_divides(self, name, "d_model")
        check_padding(self)

    @property
    def num_decoder_layers(self) -> int:
        """Number of layers that keep keys and values while decoding."""
        return self.decoder_layers

    @property
    def target_vocab_size(self) -> int:
        """Number of tokens that the decoder reads and writes."""
        return self.vocab_size

    @property
    def shares_embeddings(self) -> bool:
        """Whether encoder and decoder have one vocabulary, and so may share one table."""
        return True

    @property
    def padding_idx(self) -> int | None:
        """The row of the token embeddings that looking it up does not train."""
        return self.pad_token_id

    def to_dict(self) -> dict[str, Any]:
        """The contents of `config.json`."""
        return {**super().to_dict(), "is_encoder_decoder": True}


@dataclass(repr=False)
class TranslationConfig(EncoderDecoderConfig):
    """Two vocabularies, which may be one.

    decoder_vocab_size : int, tokens of the target; None means vocab_size
    share_encoder_decoder_embeddings : bool, source and target have one vocabulary, and with
        tie_word_embeddings one table; else that ties only the head to the target's
    """

    decoder_vocab_size: int | None = None
    share_encoder_decoder_embeddings: bool = True

    def __post_init__(self) -> None:
        if self.decoder_vocab_size is None:
            self.decoder_vocab_size = self.vocab_size
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


def check_padding(config: Any) -> None:
    """Raise unless the padding id is a token of both vocabularies."""
    pad = config.pad_token_id
    limit = min(config.vocab_size, config.target_vocab_size)
    if pad is not None and not 0 <= pad < limit:
        raise ConfigError(f"pad_token_id: got {pad}, expected an id below vocab_size = {limit}")

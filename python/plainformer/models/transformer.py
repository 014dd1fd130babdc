"""The original Transformer, and what followed soon: learned positions, norms before the layers.

The defaults are the paper's base model. The configuration and the names of parameters are ours, in
BART's words.

References
----------
Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762. Pre-norm: Xiong et al., "On
Layer Normalization in the Transformer Architecture", 2020, arXiv:2002.04745. Initial weights:
Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from ..errors import ConfigError, shown
from ..tensor import Array
from .config import Shape
from .encoder_decoder import EncoderDecoderLM, Layout
from .encoder_decoder_config import TranslationConfig
from .pretrained import normal_matrix

__all__ = ["TransformerConfig", "TransformerForConditionalGeneration"]

POSITIONS = ("sinusoidal", "learned")


@dataclass(repr=False)
class TransformerConfig(TranslationConfig):
    """Sizes and options of an encoder-decoder, with those of the paper's base model as defaults.

    position_embedding_type : "sinusoidal" or "learned"
    norm_first : norms stand before each sublayer, and one after each stack, as in
        `torch.nn.Transformer`; else after each sublayer, as in the paper
    """

    model_type = "transformer"

    vocab_size: int = 37000
    d_model: int = 512
    encoder_layers: int = 6
    encoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    decoder_layers: int = 6
    decoder_attention_heads: int = 8
    decoder_ffn_dim: int = 2048
    activation_function: str = "relu"
    scale_embedding: bool = True
    position_embedding_type: str = "sinusoidal"
    norm_first: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.position_embedding_type not in POSITIONS:
            raise ConfigError(
                f"position_embedding_type: got {shown(self.position_embedding_type)}, expected "
                f"one of {', '.join(POSITIONS)}"
            )

    @property
    def padding_idx(self) -> int | None:
        """None: every token's vector is trained."""
        return None


class TransformerForConditionalGeneration(EncoderDecoderLM):
    """An encoder-decoder that writes text: the model of "Attention Is All You Need".

    Parameters
    ----------
    config : TransformerConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    config_class = TransformerConfig
    config: TransformerConfig
    has_logits_bias = False

    @classmethod
    def layout(cls, config: Any) -> Layout:
        """Positions and norms as the configuration says."""

        def positions() -> nn.Module:
            sizes = config.max_position_embeddings, config.d_model
            learned = config.position_embedding_type == "learned"
            return nn.LearnedPositions(*sizes) if learned else nn.SinusoidalPositions(*sizes)

        return Layout(positions, pre_norm=config.norm_first)

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """Matrices are Xavier uniform, embeddings N(0, d_model^-0.5), so that logits start near 1.

        Projections of queries, keys and values count as one matrix, as in `torch.nn.Transformer`.
        """
        if "embed" in name or "shared" in name or "lm_head" in name:
            return normal_matrix(shape, rng, self.config.d_model**-0.5)
        if len(shape) < 2:
            return None
        outputs, inputs = shape
        if name.split(".")[-2] in ("q_proj", "k_proj", "v_proj"):
            outputs *= 3
        bound = math.sqrt(6 / (inputs + outputs))
        return rng.uniform(-bound, bound, shape).astype(np.float32)

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
from .marian import MarianConfig, MarianMTModel
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

    def to_marian(self) -> MarianMTModel:
        """The same model as a Marian, whose directories transformers opens.

        Marian has sines before cosines where the paper interleaves them, so the channels of the
        residual stream change places: the numbers are the same but for the order of sums. The
        tokenizer files of a directory have to be copied beside it.

        Raises
        ------
        ConfigError : learned positions, norms before the layers or int8 weights, which it has not
        """
        config = self.config
        for name, wanted in (("position_embedding_type", "sinusoidal"), ("norm_first", False)):
            if getattr(config, name) != wanted:
                raise ConfigError(
                    f"{name}: got {shown(getattr(config, name))}, a Marian has {shown(wanted)} only"
                )
        if config.quantization is not None:
            raise ConfigError("to_marian: got int8 weights, expected float ones")
        own = {"position_embedding_type", "norm_first", "model_type"}
        values = {name: value for name, value in config.to_dict().items() if name not in own}
        values = {"forced_eos_token_id": None, **values}
        model = MarianMTModel(MarianConfig.from_dict(values), seed=None).to(config.dtype)
        order = np.r_[0 : config.d_model : 2, 1 : config.d_model : 2]
        kept = {n: p.data for n, p in model.named_state() if n == "final_logits_bias"}
        state = {name: _reordered(name, x, order) for name, x in self.state_dict().items()}
        model.load_state_dict({**kept, **state})
        return model.train(self.training)

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


def _reordered(name: str, x: Array, order: Array) -> Array:
    """A parameter whose channels of the residual stream, in or out, take other places."""
    part = name.split(".")[-2]
    if part in ("q_proj", "k_proj", "v_proj", "fc1"):
        return x[:, order] if x.ndim == 2 else x
    if part in ("embed_tokens", "shared", "lm_head"):
        return x[:, order]
    return x[order]  # what is added to the stream, and norms

"""GPT-2: a pre-norm decoder with learned positions and a tied head.

Also nanoGPT's model: `bias: false` in the configuration leaves out every bias.

References
----------
Radford, Wu, Child, Luan, Amodei, Sutskever, "Language Models are Unsupervised Multitask Learners",
2019. Parameter names and `config.json`: transformers' `GPT2LMHeadModel`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import functional, nn
from ..tensor import Array, Tensor
from .causal_lm import CausalLM
from .classifiers import TokenClassifier
from .config import PretrainedConfig, Shape, check_activation, check_divides
from .decoder_classifiers import LastTokenClassifier
from .encoder import BareEncoder, Rows
from .inputs import check_positions
from .pretrained import PreTrainedModel, normal_matrix

__all__ = [
    "GPT2Config", "GPT2ForSequenceClassification", "GPT2ForTokenClassification", "GPT2LMHeadModel",
    "GPT2Model",
]  # fmt: skip


@dataclass(repr=False)
class GPT2Config(PretrainedConfig):
    """Sizes and options of a GPT-2, with GPT-2 small's as defaults."""

    model_type = "gpt2"
    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "n_ctx": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }
    inert = frozenset(
        """predict_special_tokens reorder_and_upcast_attn summary_activation summary_first_dropout
        summary_proj_to_labels summary_type summary_use_proj""".split()  # noqa: SIM905
    )
    dropout_fields = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "classifier_dropout")
    layer_fields = ("n_layer",)

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None  # None means 4 * n_embd
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    classifier_dropout: float | None = None  # of a token classifier; None means hidden_dropout
    hidden_dropout: float | None = None  # 0.1 if that is None too
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    bias: bool = True  # ours; Hugging Face's GPT-2 always has biases
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("activation_function", self.activation_function)
        check_divides(self, "n_head", "n_embd")

    @property
    def context_length(self) -> int:
        """Most tokens of a sequence."""
        return self.n_positions

    @property
    def num_layers(self) -> int:
        """Number of blocks."""
        return self.n_layer

    def head_dropout(self) -> float:
        """The dropout before a token classifier."""
        given = (self.classifier_dropout, self.hidden_dropout, 0.1)
        return next(p for p in given if p is not None)

    def attention_scale(self, layer: int) -> float:
        """What the attention scores of a layer are multiplied with."""
        scale = math.sqrt(self.n_head / self.n_embd) if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale


class GPT2Attention(nn.Module):
    """Causal self-attention with one packed projection for queries, keys and values."""

    def __init__(self, config: GPT2Config, layer: int):
        C, bias = config.n_embd, config.bias
        self.attention = nn.Attention(
            config.n_head,
            scale=config.attention_scale(layer),
            dropout=config.attn_pdrop,
            causal=True,
        )
        self.c_attn = nn.Conv1D(C, 3 * C, bias)
        self.c_proj = nn.Conv1D(C, C, bias)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(
        self,
        x: Tensor,
        residual: Tensor,
        rows: nn.Sequences,
        cache: nn.KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """What attention makes of x (N, C), added to the residual stream (N, C).

        With a cache, each sequence continues what it has seen.
        """
        qkv = self.c_attn(x)
        if cache is None:
            y = self.attention.packed(qkv, rows)
        else:
            y = self.attention.packed_cached(qkv, rows, cache, layer)
        return nn.add_onto(residual, self.c_proj, y, self.dropout)


class GPT2MLP(nn.Module):
    """y = residual + dropout(activation(x c_fc) c_proj), applied to each position alone."""

    def __init__(self, config: GPT2Config):
        C, bias = config.n_embd, config.bias
        inner = config.n_inner or 4 * C
        activation = check_activation("activation_function", config.activation_function)
        self.c_fc = nn.Conv1D(C, inner, bias, activation=activation)
        self.c_proj = nn.Conv1D(inner, C, bias)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """x and the residual stream (N, C) to the same shape."""
        return nn.add_onto(residual, self.c_proj, self.c_fc(x), self.dropout)


class GPT2Block(nn.Module):
    """Attention and feed-forward, each on the norm of the residual stream and added to it.

    The two adds, with their dropout, are made where the last projections end, in cache.
    """

    def __init__(self, config: GPT2Config, layer: int):
        norm = config.n_embd, config.layer_norm_epsilon, config.bias
        self.ln_1 = nn.LayerNorm(*norm)
        self.attn = GPT2Attention(config, layer)
        self.ln_2 = nn.LayerNorm(*norm)
        self.mlp = GPT2MLP(config)

    def forward(
        self,
        x: Tensor,
        rows: nn.Sequences,
        cache: nn.KeyValueCache | None = None,
        layer: int = 0,
    ) -> tuple[Tensor]:
        """The residual stream x (N, C) to the same."""
        h, x = self.ln_1.beside(x)
        x = self.attn(h, x, rows, cache, layer)
        h, x = self.ln_2.beside(x)
        return (self.mlp(h, x),)


class GPT2PreTrainedModel(PreTrainedModel):
    """What GPT-2's models share."""

    config_class = GPT2Config
    config: GPT2Config
    base_prefix = "transformer."
    ignored_keys = ("*.attn.bias", "*.attn.masked_bias")
    head_keys = ("lm_head.*", "score.*", "classifier.*", "qa_outputs.*")

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C), normed."""
        return self.base_model.states(rows.ids, rows.sequences, rows.positions)

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token; see `block_flops`."""
        return self.block_flops(self.base_model.h, self.config.n_embd, sequence_length)

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """Matrices and embeddings are drawn from N(0, initializer_range).

        Projections into the residual stream are narrower by sqrt(2 * n_layer), the number of terms
        that it sums, so that its variance does not grow with depth.
        """
        narrower = math.sqrt(2 * self.config.n_layer) if "c_proj" in name else 1.0
        return normal_matrix(shape, rng, self.config.initializer_range / narrower)


class GPT2Model(GPT2PreTrainedModel, BareEncoder):
    """GPT-2 without a head.

    Parameters
    ----------
    config : GPT2Config
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def build(self, config: GPT2Config) -> None:
        self.recomputes = False
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = [GPT2Block(config, layer) for layer in range(config.n_layer)]
        self.ln_f = nn.LayerNorm(config.n_embd, config.layer_norm_epsilon, config.bias)

    def states(
        self,
        ids: Array,
        rows: nn.Sequences,
        positions: Array,
        cache: nn.KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states (N, C) of token ids (N,), after the last norm."""
        check_positions(positions, self.config.n_positions, "n_positions")
        x = self.drop(functional.add(self.wte(ids), self.wpe(positions)))
        for layer, block in enumerate(self.h):
            nn.report_state(rows, x)
            if self.recomputes and self.training:
                (x,) = nn.recompute(block, x, rows=rows)
            else:
                (x,) = block(x, rows, cache, layer)
        x = self.ln_f(x)
        nn.report_state(rows, x)
        return x


class GPT2LMHeadModel(GPT2PreTrainedModel, CausalLM):
    """GPT-2 with a language-modeling head, which is the token embedding itself if tied.

    Parameters
    ----------
    config : GPT2Config
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    tied_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "transformer.wte.weight"}

    def build(self, config: GPT2Config) -> None:
        self.transformer = GPT2Model(config, seed=None)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        tied = self.config.tie_word_embeddings
        return self.transformer.wte.weight if tied else self.lm_head.weight

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token, recomputation left out.

        6 N + 12 n_layer n_embd sequence_length, with N the parameters that take part in matrix
        products. Chowdhery et al., "PaLM", 2022, arXiv:2204.02311, appendix B.
        """
        looked_up = self.transformer.wpe.weight.size
        if not self.config.tie_word_embeddings:
            looked_up += self.transformer.wte.weight.size
        attention = 12 * self.config.n_layer * self.config.n_embd * sequence_length
        return 6 * (self.num_parameters() - looked_up) + attention


class GPT2ForSequenceClassification(GPT2PreTrainedModel, LastTokenClassifier):
    """GPT-2 that classifies sequences. Parameters: see `GPT2LMHeadModel`."""

    def build(self, config: GPT2Config) -> None:
        self.transformer = GPT2Model(config, seed=None)
        self.score = nn.Linear(config.n_embd, len(config.id2label), bias=False)


class GPT2ForTokenClassification(GPT2PreTrainedModel, TokenClassifier):
    """GPT-2 that classifies tokens. Parameters: see `GPT2LMHeadModel`."""

    def build(self, config: GPT2Config) -> None:
        self.transformer = GPT2Model(config, seed=None)
        self.dropout = nn.Dropout(config.head_dropout())
        self.classifier = nn.Linear(config.n_embd, len(config.id2label))

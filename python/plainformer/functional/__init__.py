"""Differentiable operations: each joins a forward and a backward kernel on the tape.

Arguments that may carry a gradient are Tensors; labels, ids and masks are arrays. Formulas, shapes
and errors stand with the function of the same name in `plainformer.kernels`. Nothing is saved, and
no statistics are computed, when no gradient is asked for.
"""

from .attention import (
    Borders,
    attention,
    attention_weights,
    bucket_bias,
    relative_bias,
    rotary_embedding,
    scaled_dot_product_attention,
    self_attention,
    split_heads,
)
from .elementwise import (
    activation,
    add,
    alias,
    dropout,
    geglu,
    gelu,
    log_softmax,
    matmul,
    permute,
    relu,
    reshape,
    scale,
    silu,
    softcap,
    softmax,
    swiglu,
    tanh,
)
from .linear import conv1d, linear, linear_together
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    fused_linear_cross_entropy,
    mse_loss,
)
from .norm import layer_norm, normalize, rms_norm
from .rows import columns, concatenate, embedding, mean_of_sequences, put_rows, take_rows

__all__ = [
    "Borders",
    "activation",
    "add",
    "alias",
    "attention",
    "attention_weights",
    "binary_cross_entropy_with_logits",
    "bucket_bias",
    "columns",
    "concatenate",
    "conv1d",
    "cross_entropy",
    "dropout",
    "embedding",
    "fused_linear_cross_entropy",
    "geglu",
    "gelu",
    "layer_norm",
    "linear",
    "linear_together",
    "log_softmax",
    "matmul",
    "mean_of_sequences",
    "mse_loss",
    "normalize",
    "permute",
    "put_rows",
    "relative_bias",
    "relu",
    "reshape",
    "rms_norm",
    "rotary_embedding",
    "scale",
    "scaled_dot_product_attention",
    "self_attention",
    "silu",
    "softcap",
    "softmax",
    "split_heads",
    "swiglu",
    "take_rows",
    "tanh",
]

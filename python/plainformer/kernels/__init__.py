"""Operations on arrays: NumPy arrays in, NumPy arrays out. No tape, no model."""

from .add import accumulate, add
from .cross_entropy import cross_entropy, cross_entropy_backward
from .embedding import embedding, embedding_backward
from .gemm import linear, linear_backward, matmul, matmul_backward
from .linear_cross_entropy import fused_linear_cross_entropy
from .optimizer import adamw_step, clip_grad_norm, sgd_step

__all__ = [
    "accumulate",
    "adamw_step",
    "add",
    "clip_grad_norm",
    "cross_entropy",
    "cross_entropy_backward",
    "embedding",
    "embedding_backward",
    "fused_linear_cross_entropy",
    "linear",
    "linear_backward",
    "matmul",
    "matmul_backward",
    "sgd_step",
]

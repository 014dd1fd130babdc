"""Operations on arrays: arrays of one kind in, the same kind out. No tape, no model."""

from ._backend import array_of, asarray, asnumpy, xp
from .activation import (
    geglu,
    geglu_backward,
    gelu,
    gelu_backward,
    relu,
    relu_backward,
    silu,
    silu_backward,
    swiglu,
    swiglu_backward,
    tanh,
    tanh_backward,
)
from .add import accumulate, add
from .attention import scaled_dot_product_attention, scaled_dot_product_attention_backward
from .cross_entropy import cross_entropy, cross_entropy_backward
from .dropout import dropout, dropout_backward
from .embedding import embedding, embedding_backward
from .flash_attention import (
    flash_attn_backward,
    flash_attn_func,
    flash_attn_varlen_backward,
    flash_attn_varlen_func,
)
from .flash_attention_kvcache import flash_attn_with_kvcache
from .flash_attention_qkvpacked import (
    flash_attn_qkvpacked_backward,
    flash_attn_qkvpacked_func,
    flash_attn_varlen_qkvpacked_backward,
    flash_attn_varlen_qkvpacked_func,
)
from .gemm import linear, linear_backward, matmul, matmul_backward
from .int8 import Int8Weight, dequantize_weight, linear_int8, pack_int8, quantize_weight
from .linear_cross_entropy import fused_linear_cross_entropy
from .norm import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward
from .optimizer import adamw_step, clip_grad_norm, sgd_step
from .pack import PackedWeight, pack_weight
from .rotary import rotary_embedding, rotary_embedding_backward
from .softmax import log_softmax, log_softmax_backward, softmax, softmax_backward
from .topk import topk

__all__ = [
    "Int8Weight", "PackedWeight", "accumulate", "adamw_step", "add", "array_of", "asarray",
    "asnumpy", "clip_grad_norm", "cross_entropy", "cross_entropy_backward", "dequantize_weight",
    "dropout", "dropout_backward", "embedding", "embedding_backward", "flash_attn_backward",
    "flash_attn_func", "flash_attn_qkvpacked_backward", "flash_attn_qkvpacked_func",
    "flash_attn_varlen_backward", "flash_attn_varlen_func", "flash_attn_varlen_qkvpacked_backward",
    "flash_attn_varlen_qkvpacked_func", "flash_attn_with_kvcache", "fused_linear_cross_entropy",
    "geglu", "geglu_backward", "gelu", "gelu_backward", "layer_norm", "layer_norm_backward",
    "linear", "linear_backward", "linear_int8", "log_softmax", "log_softmax_backward", "matmul",
    "matmul_backward", "pack_int8", "pack_weight", "quantize_weight", "relu", "relu_backward",
    "rms_norm", "rms_norm_backward", "rotary_embedding", "rotary_embedding_backward",
    "scaled_dot_product_attention", "scaled_dot_product_attention_backward", "sgd_step", "silu",
    "silu_backward", "softmax", "softmax_backward", "swiglu", "swiglu_backward", "tanh",
    "tanh_backward", "topk", "xp",
]  # fmt: skip

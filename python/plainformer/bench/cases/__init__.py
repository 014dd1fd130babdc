"""The operations that are measured: one file each, found by its name.

A file has SUMMARY and AXES in words, SHAPES, `inputs`, `reference` and `work`; where it needs them
also VARIANTS (without it, forward and backward), ONLY, MORE and `observe`. `Operation` says what
each is.
"""

from __future__ import annotations

import importlib

from ..case import Operation

NAMES = (
    "gemm",
    "linear",
    "attention",
    "masked_attention",
    "varlen_attention",
    "decode_attention",
    "softmax",
    "norm",
    "activation",
    "add",
    "cross_entropy",
    "linear_cross_entropy",
    "embedding",
    "rotary",
    "dropout",
    "optimizer",
)


def operation(name: str, device: str = "cpu") -> Operation:
    """The operation called `name`, one of NAMES; on a GPU with the shapes of CUDA_SHAPES, where a
    file has such, and without ONLY and PACKED forms, which are the CPU's."""
    module = importlib.import_module(f".{name}", __name__)
    on_gpu = device != "cpu" and hasattr(module, "CUDA_SHAPES")
    variants = getattr(module, "VARIANTS", ("forward", "backward"))
    more = getattr(module, "MORE", {})
    if not isinstance(more, dict):  # of every variant
        more = dict.fromkeys(variants, more)
    return Operation(
        name,
        module.SUMMARY,
        module.AXES,
        variants,
        module.CUDA_SHAPES if on_gpu else module.SHAPES,
        module.inputs,
        module.reference,
        module.work,
        getattr(module, "CUDA_ONLY", {}) if on_gpu else getattr(module, "ONLY", {}),
        getattr(module, "observe", None),
        {} if on_gpu else more,
    )

"""The operations that are measured: one file each, found by its name."""

from __future__ import annotations

import importlib

from ..case import Operation

NAMES = (
    "gemm",
    "linear",
    "attention",
    "varlen_attention",
    "decode_attention",
    "softmax",
    "norm",
    "activation",
    "cross_entropy",
    "linear_cross_entropy",
    "embedding",
    "rotary",
    "dropout",
    "optimizer",
)


def operation(name: str) -> Operation:
    """The operation called `name`, one of NAMES."""
    module = importlib.import_module(f".{name}", __name__)
    return module.OPERATION

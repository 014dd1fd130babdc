"""LoRA: what a linear layer learns as a product of two thin matrices, beside weights that stay.

    y = activation(x W^T + b + s B A dropout(x)),  A (r, in), B (out, r),  s = alpha / r

Hu and others, "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv:2106.09685; s =
alpha / sqrt(r): Kalajdzievski, arXiv:2312.03732. Names and defaults are peft's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import functional, kernels
from ..errors import ConfigError, listed, short, shown
from ..options import COUNT, SHARE, above, check, documented, option
from ..quantized import NOT_TRAINED, QuantizedParameter
from ..tensor import Tensor
from .empty import undrawn_weights, weights_of
from .layers import Conv1D, Dropout, Linear
from .module import Module

# Projections to queries and values in the families here, which peft adapts by default.
USUAL_TARGETS = (
    "query", "value", "q_lin", "v_lin", "q_proj", "v_proj", "query_proj", "value_proj", "q", "v",
    "c_attn", "Wqkv", "qkv_proj",
)  # fmt: skip


@documented()
@dataclass(frozen=True)
class LoraConfig:
    """Which layers are adapted, and how."""

    r: int = option(8, "Rank of the adapters.", COUNT)
    lora_alpha: float = option(
        8, "Adapters are scaled by this over their rank; default twice the rank.", above(0)
    )
    lora_dropout: float = option(0.0, "Dropout before adapters; default 0.", SHARE)
    target_modules: Sequence[str] | None = option(
        None, "Ends of the names of layers to adapt; default projections to queries and values."
    )
    use_rslora: bool = option(False, "Divide by the square root of the rank instead.")

    def __post_init__(self) -> None:
        check(self)

    @property
    def scale(self) -> float:
        """What the product of A and B is multiplied with."""
        return self.lora_alpha / (math.sqrt(self.r) if self.use_rslora else self.r)


class LoraLinear(Module):
    """A `Linear` or `Conv1D` with an adapter; `weight` and `bias` keep their names.

    Parameters
    ----------
    base : the layer, whose parameters become this one's
    config : LoraConfig
    generator : what A is drawn from; B begins at 0
    """

    def __init__(
        self,
        base: Linear | Conv1D,
        config: LoraConfig,
        generator: np.random.Generator | None = None,
    ):
        if isinstance(base.weight, QuantizedParameter):
            raise ConfigError(f"LoRA: got a layer with an int8 weight; {NOT_TRAINED}")
        self.is_in_out = isinstance(base, Conv1D)
        self.activation = base.activation
        self.weight, self.bias = base.weight, base.bias
        shape = base.weight.shape
        out_features, in_features = shape[::-1] if self.is_in_out else shape
        self.lora_A = Linear(in_features, config.r, bias=False, generator=generator)
        with undrawn_weights():
            self.lora_B = Linear(config.r, out_features, bias=False)
        self.dropout = Dropout(config.lora_dropout)
        self.scale = config.scale

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) to (..., out_features)."""
        apply = functional.conv1d if self.is_in_out else functional.linear
        added = functional.scale(self.lora_B(self.lora_A(self.dropout(x))), self.scale)
        y = functional.add(apply(x, self.weight, self.bias), added)
        return y if self.activation is None else functional.activation(y, self.activation)

    def merged(self) -> Linear | Conv1D:
        """The layer without an adapter that computes the same: W + s B A."""
        A, B = self.lora_A.weight.data, self.lora_B.weight.data
        change = kernels.matmul(B, A).astype(np.float32) * np.float32(self.scale)
        weight = self.weight.data.astype(np.float32) + (change.T if self.is_in_out else change)
        self.weight.assign(weight.astype(self.weight.dtype, order="C"))
        with undrawn_weights():
            layer = (Conv1D if self.is_in_out else Linear)(1, 1, activation=self.activation)
        layer.weight, layer.bias = self.weight, self.bias
        return layer


def add_lora(model: Module, config: LoraConfig, seed: int = 0) -> list[str]:
    """Give the layers that `config` names an adapter; returns their paths.

    A is drawn from U(-1/sqrt(in), 1/sqrt(in)), B is 0: the model computes what it did.

    Raises
    ------
    ConfigError : a target that is no linear layer, or that there is not
    """
    found = _targets(model, config.target_modules)
    generator = weights_of(seed)
    for path, base in found.items():
        layer = LoraLinear(base, config, generator)
        for adapter in (layer.lora_A, layer.lora_B):
            adapter.to(base.weight.dtype)
        layer.train(model.training)
        replace(model, path, layer)
    return list(found)


def merge_lora(model: Module) -> None:
    """Add every adapter to its weights, and take it out of the model."""
    for path, layer in lora_layers(model).items():
        plain = layer.merged()
        plain.train(model.training)
        replace(model, path, plain)


def lora_layers(model: Module) -> dict[str, LoraLinear]:
    """The adapted layers by path."""
    return {path: m for path, m in model.named_modules() if isinstance(m, LoraLinear)}


def replace(model: Module, path: str, layer: Module) -> None:
    """Put a module in the place of another."""
    *parents, name = path.split(".")
    owner: Any = model
    for part in parents:
        owner = _part_of(owner, part)
    if isinstance(owner, list):
        owner[int(name)] = layer
    elif isinstance(owner, dict):
        owner[_key_of(owner, name)] = layer
    elif isinstance(owner, Module):
        setattr(owner, name, layer)
    else:
        raise ConfigError(f"{path}: is in a tuple, whose modules cannot be replaced; use a list")


def _part_of(owner: Any, name: str) -> Any:
    if isinstance(owner, (list, tuple)):
        return owner[int(name)]
    return owner[_key_of(owner, name)] if isinstance(owner, dict) else getattr(owner, name)


def _key_of(owner: dict[Any, Any], name: str) -> Any:
    """The key that makes this part of a path: a word or a number."""
    return next(key for key in owner if str(key) == name)


def _targets(model: Module, wanted: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(wanted, str):
        raise ConfigError(
            f"target_modules: got the string {shown(wanted)}, expected a list of names"
        )
    modules = list(model.named_modules())
    found: dict[str, Any] = {}
    for target in USUAL_TARGETS if wanted is None else wanted:
        own = {path: m for path, m in modules if f".{path}".endswith(f".{target}")}
        if not own and wanted is not None:
            layers = dict.fromkeys(
                path.split(".")[-1] for path, m in modules if isinstance(m, (Linear, Conv1D))
            )
            raise ConfigError(
                f"target_modules: {shown(target)} names no layer; there are {listed(layers)}"
            )
        for path, module in own.items():
            if isinstance(module, (Linear, Conv1D)):
                found[path] = module
            elif wanted is not None:
                raise ConfigError(f"target_modules: {short(path)} is no linear layer")
    if not found:
        raise ConfigError("target_modules: got None, and the model has none of the usual names")
    return found

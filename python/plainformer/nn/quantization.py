"""int8 weights in a module: which layers get them, and how that is written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, shown
from ..kinds import as_index
from ..options import one_of
from ..parameter import Parameter
from ..quantized import QuantizedParameter
from .layers import Conv1D, Linear
from .lora import lora_layers
from .module import Module

WEIGHT_ONLY, DYNAMIC = "weight-only", "dynamic"
MODES = (WEIGHT_ONLY, DYNAMIC)
METHOD = "plainformer"
LEAST_OUTPUTS = 64
"""Layers with fewer outputs, which classify, stay as they are."""


@dataclass(frozen=True)
class QuantizationConfig:
    """How a model's weights are quantized; `quantization_config` in its `config.json`.

    mode : "weight-only" or "dynamic", see `kernels.linear_int8`
    group_size : neighbors along a row of a weight that share a scale; None means the whole row
    """

    mode: str
    group_size: int | None = None

    def __post_init__(self) -> None:
        one_of(*MODES).check("mode", self.mode)
        if self.group_size is not None:
            size = as_index("group_size", self.group_size)
            if size < 4 or size % 4:
                raise ConfigError(f"group_size: got {size}, expected a multiple of 4")

    def to_dict(self) -> dict[str, Any]:
        """What `config.json` says."""
        return {
            "quant_method": METHOD,
            "bits": 8,
            "mode": self.mode,
            "group_size": self.group_size,
        }

    @classmethod
    def from_dict(cls, values: Any) -> QuantizationConfig:
        """Read what `config.json` says.

        Raises
        ------
        ConfigError : another library's method, or a field or value that means nothing here
        """
        method = values.get("quant_method") if isinstance(values, Mapping) else values
        if method != METHOD:
            raise ConfigError(
                f"quantization_config: got quant_method {shown(method)}, expected {shown(METHOD)}; "
                "load the model that it was quantized from, and quantize that"
            )
        wanted = {"quant_method", "bits", "mode", "group_size"}
        if odd := sorted(map(str, values.keys() - wanted)):
            raise ConfigError(f"quantization_config: unknown field {shown(odd[0])}")
        if values.get("bits", 8) != 8:
            raise ConfigError(f"quantization_config: got bits {shown(values['bits'])}, expected 8")
        return cls(values.get("mode", WEIGHT_ONLY), values.get("group_size"))


def quantize(model: Module, mode: str | None = None, group_size: int | None = None) -> int:
    """Turn the weights of a module's linear layers into int8, in place; returns how many.

    `Linear` and `Conv1D` layers with 64 outputs and more are quantized, and the head over the
    vocabulary, also where it is the table of embeddings: its rows are then looked up as int8 too.
    All else stays as it is, and nothing is trained afterwards.

    Parameters
    ----------
    model : Module with float32 or bfloat16 weights on the CPU
    mode : "weight-only" reads a quarter of the bytes, for models that write one token at a time;
        "dynamic" quantizes what is multiplied with the weights as well, for models that read many
        tokens at once. None means the first for a model that generates, else the second
    group_size : neighbors along a row of a weight that share a scale, 128 for instance; None means
        the whole row

    Raises
    ------
    ConfigError : another mode or group size, a model that is quantized already, has LoRA adapters
        or nothing to quantize
    DTypeError, DeviceError : weights that are no float32 or bfloat16, or not on the CPU
    """
    how = QuantizationConfig(usual_mode(model) if mode is None else mode, group_size)
    if is_quantized(model):
        raise ConfigError("quantize: got a model that is quantized already")
    if lora_layers(model):
        raise ConfigError("quantize: got a model with LoRA adapters; merge them first (merge_lora)")
    made: dict[int, QuantizedParameter] = {}
    for weight, is_in_out in _weights(model):
        if id(weight) not in made:
            _check_weight(weight)
            made[id(weight)] = QuantizedParameter.of(
                weight, how.group_size, how.mode == DYNAMIC, is_in_out
            )
            weight.drop_pack()
    if not made:
        raise ConfigError(
            f"quantize: got a model without a linear layer of {LEAST_OUTPUTS} outputs or a head "
            "over a vocabulary, expected one; so small a model gains nothing"
        )
    for module in list(model.modules()):
        found = made.get(id(getattr(module, "weight", None)))
        if found is not None:
            module.weight, module.weight_scale = found, found.scale  # type: ignore[attr-defined]
    for parameter in model.parameters():
        parameter.requires_grad = False
    if hasattr(model, "config"):
        model.config.quantization = how
    return len(made)


def is_quantized(model: Any) -> bool:
    """Whether any weight is int8."""
    named = getattr(model, "named_parameters", None)
    return named is not None and any(isinstance(p, QuantizedParameter) for _, p in named())


def usual_mode(model: Any) -> str:
    """Weight only for models that write a token at a time, dynamic for those that read."""
    return WEIGHT_ONLY if hasattr(model, "head_weight") else DYNAMIC


def _weights(model: Module) -> Iterator[tuple[Parameter, bool]]:
    """What is quantized, with whether it is stored (in, out)."""
    for module in model.modules():
        if type(module) in (Linear, Conv1D):
            is_in_out = type(module) is Conv1D
            weight: Parameter = module.weight  # type: ignore[attr-defined]
            if weight.shape[is_in_out] >= LEAST_OUTPUTS:
                yield weight, is_in_out
    head = getattr(model, "head_weight", None)
    if head is not None:
        yield head(), False


def _check_weight(weight: Parameter) -> None:
    if weight.dtype.itemsize > 4:
        raise ConfigError(
            f"quantize: got {weight.dtype} weights, expected float32 or bfloat16; model.to(...)"
        )

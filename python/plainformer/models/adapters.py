"""Adapters as peft keeps them: `adapter_config.json` and `adapter_model.safetensors`.

Arrays are named `base_model.model.<path of the layer>.lora_A.weight`; a head that was trained
beside the adapters is there as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_json_atomic
from ..checkpoints.files import read_json
from ..checkpoints.huggingface import check_directory
from ..checkpoints.safetensors import load_file, save_file
from ..errors import CheckpointError, ConfigError, listed, short, shown
from ..nn import LoraConfig, add_lora, lora_layers, merge_lora
from ..tensor import Array

__all__ = ["load_adapter", "save_adapter"]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
# peft's options that would change what is computed, with the values that we have.
_FIXED: dict[str, Any] = {
    "alpha_pattern": {},
    "bias": "none",
    "lora_bias": False,
    "peft_type": "LORA",
    "rank_pattern": {},
    "use_dora": False,
}


def save_adapter(
    model: Any,
    directory: str | Path,
    config: LoraConfig,
    *,
    base: str | None = None,
    beside: Iterable[str] = (),
) -> None:
    """Write the adapters of a model, which is left as it is.

    Parameters
    ----------
    config : what `add_lora` was called with
    base : where the model without adapters is
    beside : other parameters that were trained, by name
    """
    layers = lora_layers(model)
    state = {
        f"{_PREFIX}{path}.{name}.weight": getattr(layer, name).weight.data
        for path, layer in layers.items()
        for name in ("lora_A", "lora_B")
    }
    parameters = dict(model.named_parameters())
    state |= {f"{_PREFIX}{name}": parameters[name].data for name in beside}
    modules = dict.fromkeys(name.rpartition(".")[0] for name in beside)
    values = {
        **_FIXED,
        "base_model_name_or_path": base,
        "fan_in_fan_out": any(layer.is_in_out for layer in layers.values()),
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "modules_to_save": list(modules) or None,
        "r": config.r,
        "target_modules": sorted(layers),
        "task_type": None,
        "use_rslora": config.use_rslora,
    }
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    save_file(state, directory / WEIGHTS)
    write_json_atomic(directory / CONFIG, values)


def load_adapter(model: Any, directory: str | Path) -> None:
    """Add the adapters in a directory to the weights of a model; it has none afterwards.

    Raises
    ------
    CheckpointError : files are missing or damaged, do not fit, or ask for what we do not have
    """
    check_directory(directory, CONFIG)
    directory = Path(directory)
    config = _read_config(directory)
    state = _named_for(model, load_file(directory / WEIGHTS))
    _check_rank(config, state, directory)
    ends = (".lora_A.weight", ".lora_B.weight")
    adapted = sorted({name.removesuffix(end) for name in state for end in ends if end in name})
    if not adapted:
        raise CheckpointError(f"{directory / WEIGHTS}: holds no lora_A")
    try:
        add_lora(model, replace(config, target_modules=adapted))
    except ConfigError as error:
        raise CheckpointError(f"{directory}: does not fit the model: {error}") from error
    _copy(model, state, {path + end for path in adapted for end in ends}, directory)
    merge_lora(model)


def _named_for(model: Any, state: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays under the model's names: without peft's prefix, and with that of the family where an
    adapter was made for the bare model."""
    own = {name for name, _ in model.named_parameters()}
    paths = {name.rpartition(".")[0] for name in own}
    named = {}
    for name, array in state.items():
        plain = name.removeprefix(_PREFIX).replace(".modules_to_save.", ".")
        layer = plain.replace(".lora_A.", ".").replace(".lora_B.", ".").rpartition(".")[0]
        bare = layer not in paths and model.base_prefix + layer in paths
        named[model.base_prefix + plain if bare else plain] = array
    return named


def _copy(model: Any, state: Mapping[str, Array], needed: set[str], directory: Path) -> None:
    parameters = dict(model.named_parameters())
    missing = sorted(needed - state.keys())
    unknown = sorted(state.keys() - parameters.keys())
    wrong = [n for n, a in state.items() if n in parameters and a.shape != parameters[n].shape]
    for what, names in (("misses", missing), ("has unknown", unknown), ("of other shape:", wrong)):
        if names:
            merge_lora(model)  # B is 0: the model as it was
            raise CheckpointError(f"{directory / WEIGHTS}: {what} {listed(names, 4)}")
    for name, array in state.items():
        dtype = parameters[name].dtype
        parameters[name].copy_from(array, dtype)


def _read_config(directory: Path) -> LoraConfig:
    """What `adapter_config.json` says of rank and scale.

    Of its paths none is followed: the base model is the one that the caller has, and the layers
    that are adapted are those of the weights' file.
    """
    file = directory / CONFIG
    if not file.exists():
        raise CheckpointError(
            f"{directory}: no {CONFIG} in it; expected a LoRA adapter in peft's layout"
        )
    values = read_json(file)
    for name, wanted in _FIXED.items():
        if values.get(name, wanted) not in (wanted, None):
            raise CheckpointError(
                f"{file}: {name} is {shown(values[name])}, only {shown(wanted)} is supported"
            )
    known: dict[str, Any] = {name: values.get(name) for name in ("r", "lora_alpha")}
    try:
        return LoraConfig(**known, use_rslora=bool(values.get("use_rslora")))
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from error


def _check_rank(config: LoraConfig, state: Mapping[str, Array], directory: Path) -> None:
    """The rank must be that of the arrays, before any are made of it."""
    for name, array in state.items():
        if name.endswith(".lora_A.weight") and array.shape[:1] != (config.r,):
            raise CheckpointError(
                f"{directory / CONFIG}: r: got {config.r}, but {short(name)} has the shape "
                f"{array.shape}"
            )

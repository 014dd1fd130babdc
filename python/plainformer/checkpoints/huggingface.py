"""Model directories in Hugging Face's layout, read and written.

    config.json                      what the model is
    model.safetensors                its weights, or, where they exceed `max_shard_size`,
    model-00001-of-0000N.safetensors     several files and
    model.safetensors.index.json         {"weight_map": {tensor: file}, "metadata": {...}}
    generation_config.json           for models that generate

Tokenizer files (`plainformer.data.tokenizer`) lie beside them. Weights in pickle files are not
read: opening one runs whatever code it holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from plainformer.errors import CheckpointError, ConfigError

from .atomic import write_json_atomic
from .files import PathLike, plain_name, read_json
from .safetensors import SafetensorsFile, save_file

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SHOWN = 8  # keys of one kind listed in an error


def save_model(
    directory: PathLike,
    state: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    *,
    generation_config: Mapping[str, Any] | None = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Write a model directory; each file appears whole or not at all.

    Parameters
    ----------
    directory : made if absent; weight files of an earlier model in it are replaced or removed
    state : name to array, under the names that Hugging Face's class of the same model uses
    config, generation_config : JSON objects
    max_shard_size : bytes, or "500MB", "5GB", "2GiB"; one larger tensor still fills one file

    Raises
    ------
    ConfigError : max_shard_size is not a size
    OSError : a file cannot be written
    """
    shards = split_into_shards(state, parse_size(max_shard_size))
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_json_atomic(directory / CONFIG, dict(config))
    if generation_config is not None:
        write_json_atomic(directory / GENERATION_CONFIG, dict(generation_config))
    names = _shard_names(len(shards))
    for name, tensors in zip(names, shards):
        save_file({key: state[key] for key in tensors}, directory / name)
    if len(shards) > 1:
        write_json_atomic(directory / INDEX, _index(state, dict(zip(names, shards))))
    _remove_stale(directory, keep={*names, INDEX if len(shards) > 1 else WEIGHTS})


def read_config(directory: PathLike) -> dict[str, Any]:
    """The JSON object in `config.json`; CheckpointError when absent or damaged."""
    _check_directory(directory)
    return read_json(Path(directory, CONFIG))


def load_state(directory: PathLike) -> dict[str, np.ndarray]:
    """All weights of a model directory: read-only, memory-mapped arrays by name.

    Raises
    ------
    CheckpointError : no weights, a damaged file, or an index that does not fit its files
    """
    _check_directory(directory)
    directory = Path(directory)
    if (directory / WEIGHTS).exists():
        return dict(SafetensorsFile(directory / WEIGHTS))
    if (directory / INDEX).exists():
        return _load_shards(directory)
    raise CheckpointError(f"{directory}: {_why_no_weights(directory)}")


def match_keys(
    state: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    *,
    prefix: str = "",
    ignore: Iterable[str] = (),
    source: str = "checkpoint",
) -> dict[str, np.ndarray]:
    """Rename the arrays of a checkpoint to what a model expects, or say all that does not fit.

    Parameters
    ----------
    state : name to array, as read
    expected : name to shape, of every parameter that the model needs
    prefix : part like "transformer." that names in the checkpoint may have or lack
    ignore : patterns (`*` and `?`) of names as read that may be there and are not used
    source : what to call the checkpoint in the error

    Returns
    -------
    dict : exactly the names of `expected`, in its order

    Raises
    ------
    CheckpointError : one error with every missing, unexpected and mismatched key
    """
    ignore = tuple(ignore)
    found: dict[str, np.ndarray] = {}
    unexpected = []
    for name, array in state.items():
        target = _target(name, expected, prefix)
        if target is not None and target not in found:
            found[target] = array
        elif not any(fnmatchcase(name, pattern) for pattern in ignore):
            unexpected.append(name)
    missing = [name for name in expected if name not in found]
    mismatched = [
        f"{name}: got {found[name].shape}, expected {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and found[name].shape != tuple(shape)
    ]
    _raise_if_any(
        source,
        {"missing keys": missing, "unexpected keys": unexpected, "mismatched shapes": mismatched},
    )
    return {name: found[name] for name in expected}


def parse_size(size: int | str) -> int:
    """Bytes of `5GB`, `200MiB`, ... (decimal and binary units); an integer is bytes already."""
    match = re.fullmatch(r"(\d+) *([A-Z]*)", str(size).strip().upper())
    if not match or match[2] not in _UNITS or int(match[1]) == 0:
        raise ConfigError(f"max_shard_size: got {size!r}, expected bytes or a size like '5GB'")
    return int(match[1]) * _UNITS[match[2]]


def split_into_shards(state: Mapping[str, np.ndarray], max_bytes: int) -> list[list[str]]:
    """Names cut in order into lists of at most `max_bytes`, except for single larger tensors."""
    shards: list[list[str]] = [[]]
    used = 0
    for name, array in state.items():
        if shards[-1] and used + array.nbytes > max_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += array.nbytes
    return shards


def _shard_names(count: int) -> list[str]:
    if count == 1:
        return [WEIGHTS]
    return [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]


def _index(state: Mapping[str, np.ndarray], files: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        "metadata": {
            "total_parameters": sum(array.size for array in state.values()),
            "total_size": sum(array.nbytes for array in state.values()),
        },
        "weight_map": {key: name for name, keys in files.items() for key in keys},
    }


def _remove_stale(directory: Path, keep: set[str]) -> None:
    """Delete weight files of an earlier save, which a reader would take for this one's."""
    for path in directory.iterdir():
        is_weights = path.name in (WEIGHTS, INDEX) or _SHARD.fullmatch(path.name)
        if is_weights and path.name not in keep:
            path.unlink()


def _load_shards(directory: Path) -> dict[str, np.ndarray]:
    index = directory / INDEX
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{index}: weight_map: expected an object of tensor to file name")
    try:
        files = sorted({plain_name(name) for name in weight_map.values()})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{index}: weight_map: {error}") from error
    state: dict[str, np.ndarray] = {}
    for name in files:
        shard = SafetensorsFile(directory / name)
        listed = {key for key, file in weight_map.items() if file == name}
        if shard.keys() != listed:
            odd = sorted(shard.keys() ^ listed)[0]
            raise CheckpointError(f"{index}: {odd}: the index and {name} do not agree about it")
        state.update(shard)
    return state


def _check_directory(directory: PathLike) -> None:
    if not os.path.isdir(directory):
        raise CheckpointError(
            f"{directory}: no such directory; expected one with {CONFIG} (nothing is downloaded)"
        )


def _why_no_weights(directory: Path) -> str:
    if any(directory.glob("*.bin")) or any(directory.glob("*.pt*")):
        return (
            "holds weights in pickle files only, which are not read because they can run code; "
            f"convert them to {WEIGHTS}"
        )
    return f"no weights: expected {WEIGHTS} or {INDEX}"


def _target(name: str, expected: Mapping[str, Any], prefix: str) -> str | None:
    """The expected name that `name` stands for: itself, or with the prefix added or taken away."""
    for candidate in (name, prefix + name, name.removeprefix(prefix)):
        if candidate in expected:
            return candidate
    return None


def _raise_if_any(source: str, problems: Mapping[str, list[str]]) -> None:
    parts = []
    for kind, names in problems.items():
        if names:
            more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{kind} ({len(names)}): {', '.join(names[:_SHOWN])}{more}")
    if parts:
        raise CheckpointError(f"{source}: does not fit the model: {'; '.join(parts)}")

"""Model directories in Hugging Face's layout, read and written.

    config.json                      what the model is
    model.safetensors                its weights, or, where they exceed `max_shard_size`,
    model-00001-of-0000N.safetensors     several files and
    model.safetensors.index.json         {"weight_map": {tensor: file}, "metadata": {...}}
    generation_config.json           for models that generate

Tokenizer files (`plainformer.data.tokenizer`) lie beside them. `matching` fits what is read to
what a model expects. Weights in pickle files are not
read: opening one runs whatever code it holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, ConfigError, DTypeError, listed, shown
from .atomic import write_json_atomic
from .files import PathLike, plain_name, read_json
from .safetensors import NamedArrays, SafetensorsFile, save_file

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")  # of a model on the Hugging Face Hub


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
    check_directory(directory)
    if not os.path.lexists(Path(directory, CONFIG)):
        raise CheckpointError(f"{directory}: {_why_no_config(Path(directory))}")
    return read_json(Path(directory, CONFIG))


class ShardedState(NamedArrays):
    """The tensors of several files as one mapping, each array made when asked for."""

    def __init__(self, shards: Iterable[SafetensorsFile]):
        self.entries = {name: shard for shard in shards for name in shard}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, from the headers alone."""
        return {name: file.entries[name].shape for name, file in self.entries.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        array: np.ndarray = self.entries[name][name]
        return array


def load_state(directory: PathLike) -> SafetensorsFile | ShardedState:
    """All weights of a model directory by name: read-only arrays, memory-mapped, made on demand.

    Only headers and the index are read, so that any size opens in milliseconds. A weight file may
    be a symbolic link, as in Hugging Face's cache; the index cannot name one elsewhere.

    Raises
    ------
    CheckpointError : no weights, a damaged file, or an index that does not fit its files
    """
    check_directory(directory)
    directory = Path(directory)
    if os.path.lexists(directory / WEIGHTS):
        return SafetensorsFile(directory / WEIGHTS)
    if os.path.lexists(directory / INDEX):
        return _load_shards(directory)
    raise CheckpointError(f"{directory}: {_why_no_weights(directory)}")


def parse_size(size: int | str) -> int:
    """Bytes of `5GB`, `200MiB`, ... (decimal and binary units); an integer is bytes already."""
    match = re.fullmatch(r"(\d+) *([A-Z]*)", str(size).strip().upper())
    if not match or match[2] not in _UNITS or int(match[1]) == 0:
        raise ConfigError(f"max_shard_size: got {shown(size)}, expected bytes or a size like '5GB'")
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


def is_of_model(name: str) -> bool:
    """Whether `save_model` writes a file of this name, or it holds weights in another format."""
    return (
        name in (CONFIG, GENERATION_CONFIG, WEIGHTS, INDEX)
        or _SHARD.fullmatch(name) is not None
        or Path(name).suffix in _PICKLES
    )


def is_weights(name: str) -> bool:
    """Whether `save_model` writes weights, or their index, into a file of this name."""
    return name in (WEIGHTS, INDEX) or _SHARD.fullmatch(name) is not None


def _remove_stale(directory: Path, keep: set[str]) -> None:
    """Delete weight files of an earlier save, which a reader would take for this one's."""
    for path in directory.iterdir():
        if is_weights(path.name) and path.name not in keep:
            path.unlink()


def _load_shards(directory: Path) -> ShardedState:
    index = directory / INDEX
    listed = _names_by_file(index)
    missing = [name for name in listed if not os.path.lexists(directory / name)]
    if missing:
        raise CheckpointError(
            f"{index}: {len(missing)} of {len(listed)} files are missing: {shown(missing)}; "
            "copy them into the directory"
        )
    shards = []
    for name, keys in listed.items():
        shard = SafetensorsFile(directory / name)
        if shard.keys() != keys:
            odd = min(shard.keys() ^ keys)
            raise CheckpointError(
                f"{index}: {shown(odd)}: the index and {name} do not agree about it"
            )
        shards.append(shard)
    return ShardedState(shards)


def _names_by_file(index: Path) -> dict[str, set[str]]:
    """The tensors that an index expects in each file; files in order of their names."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: weight_map: expected an object of tensor to file name")
    listed: dict[str, set[str]] = {}
    for key, name in weight_map.items():
        try:
            listed.setdefault(plain_name(name), set()).add(key)
        except ValueError as error:
            raise CheckpointError(f"{index}: weight_map: {shown(key)}: {error}") from error
    return dict(sorted(listed.items()))


def check_directory(directory: PathLike, wanted: str = CONFIG) -> None:
    """Raise CheckpointError, which says what to do, unless there is a directory.

    Raise DTypeError for what is no path.

    Called before anything else is read: the commonest mistake is the name of a model elsewhere.
    """
    if not isinstance(directory, (str, os.PathLike)):
        raise DTypeError(f"got {shown(directory)}, expected the path of a directory with {wanted}")
    if os.path.isdir(directory):
        return
    if os.path.lexists(directory):
        raise CheckpointError(f"{directory}: a file; expected a directory with {wanted}")
    name = os.fspath(directory)
    fetch = ""
    if _HUB_NAME.fullmatch(name) and not os.path.isdir(os.path.dirname(name) or name):
        fetch = f": `hf download {name} --local-dir DIR` fetches what has that name, then give DIR"
    raise CheckpointError(
        f"{directory}: no such directory; expected one with {wanted} (nothing is downloaded{fetch})"
    )


def _why_no_config(directory: Path) -> str:
    if os.path.lexists(directory / "adapter_config.json"):
        return (
            f"holds a LoRA adapter and no {CONFIG}; give the model that it was made for, and this "
            "directory as the adapter"
        )
    if (directory / "tokenizer.json").exists() or (directory / "vocab.json").exists():
        return f"holds a tokenizer and no {CONFIG}; expected a model's directory"
    inside = sorted(p.parent.name for p in directory.glob(f"*/{CONFIG}"))
    hint = f", such as {listed(inside, 3)} in it" if inside else ""
    return f"no {CONFIG} in it; expected a model's directory{hint}"


def _why_no_weights(directory: Path) -> str:
    names = sorted(p.name for p in directory.iterdir() if p.suffix in _PICKLES)
    if names:
        return (
            f"holds weights in pickle files only ({shown(names)}), which are not read because "
            f"they can run code; convert them to {WEIGHTS}"
        )
    return f"no weights: expected {WEIGHTS} or {INDEX}"

"""What a run is made from, as a checkpoint keeps it: digests of data, and plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..data.fingerprints import fingerprint_of
from ..errors import ConfigError, short, shown

_DIGEST = "sha256:"
_NOT_COMPARED = {"architectures", "dtype", "torch_dtype"}


def dataset_inputs(train_dataset: Any, eval_dataset: Any) -> dict[str, Any]:
    """The fingerprints of a trainer's data sets, of those that have one."""
    found = {
        "train_dataset": fingerprint_of(train_dataset),
        "eval_dataset": fingerprint_of(eval_dataset),
    }
    return {name: value for name, value in found.items() if value is not None}


def model_inputs(model: Any) -> dict[str, Any]:
    """The configuration of a model that has one, but for what does not decide what it computes:
    `bf16` decides its dtype, and `architectures` is of what it was read from."""
    to_dict = getattr(getattr(model, "config", None), "to_dict", None)
    if to_dict is None:
        return {}
    values = {k: v for k, v in to_dict().items() if k not in _NOT_COMPARED}
    return {"config": as_json("config", values)}


def as_json(name: str, values: Any) -> Any:
    """Values as they come back from a JSON file.

    Raises
    ------
    ConfigError : JSON cannot hold them; the argument is called `name`
    """
    try:
        return json.loads(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{name}: {short(error)}; expected text, finite numbers, true, false, None, and lists "
            "and dictionaries of them"
        ) from None


def changed_inputs(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> list[str]:
    """A line for each input that is not what the checkpoint `path` was written with.

    What only one of the two has is passed over: another version may know more.
    """
    return [line for name in now if name in then for line in _changes(name, then, now, path)]


def _changes(
    name: str, then: Mapping[str, Any], now: Mapping[str, Any], path: Path
) -> Iterator[str]:
    before, after = then[name], now[name]
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in after:
            if key in before:
                for line in _changes(key, before, after, path):
                    yield f"{name}: {line}"
    elif before != after:
        if str(after).startswith(_DIGEST):
            yield f"{short(name)}: not the same as {path} was written with"
        else:
            yield f"{short(name)}: got {shown(after)}, but {path} was written with {shown(before)}"

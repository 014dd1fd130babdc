"""What all models share: directories in and out, and the switches that a trainer turns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from .. import checkpoints
from ..errors import CheckpointError
from ..nn import Dropout, Module
from ..nn.module import float_dtype
from ..tensor import Array
from .config import PretrainedConfig

Model = TypeVar("Model", bound="PreTrainedModel")


class PreTrainedModel(Module):
    """Base of all models: built from a configuration, kept in a Hugging Face directory."""

    config_class: ClassVar[type[PretrainedConfig]]
    base_prefix: ClassVar[str]  # the part that checkpoints of the bare model leave out
    ignored_keys: ClassVar[str] = r"(?!)"  # buffers of old checkpoints, a regular expression
    tied_keys: ClassVar[dict[str, str]] = {}  # names that only repeat another with tied embeddings

    config: Any

    @classmethod
    def from_pretrained(cls: type[Model], path: str | Path, dtype: Any = None) -> Model:
        """Read a model from a directory with `config.json` and safetensors files.

        Parameters
        ----------
        path : directory
        dtype : float32, bfloat16 or float64; None means that of the configuration

        Raises
        ------
        CheckpointError : a file is missing or damaged, or does not fit; naming every array
        ConfigError : the configuration has an unknown field or an unsupported value
        """
        config = cls.config_class.from_json_file(Path(path) / "config.json")
        model = cls(config, seed=None)  # type: ignore[call-arg]
        model.to(loaded_dtype(config.dtype) if dtype is None else dtype)
        model.load_state_dict(cls.own_names(checkpoints.load_weights(path), config))
        return model.eval()

    def save_pretrained(self, path: str | Path, max_shard_size: int | str = "5GB") -> None:
        """Write `config.json` and the weights, in files of at most `max_shard_size`."""
        checkpoints.save_pretrained(
            path, self.state_dict(), self.config.to_dict(), max_shard_size=max_shard_size
        )

    @classmethod
    def own_names(cls, state: Mapping[str, Array], config: PretrainedConfig) -> dict[str, Array]:
        """The arrays of a checkpoint under this model's names, without what it does not need."""
        prefix = cls.base_prefix + "."
        is_bare = not any(name.startswith(prefix) for name in state)
        tied = cls.tied_keys if config.tie_word_embeddings else {}
        result: dict[str, Array] = {}
        for name, array in state.items():
            if re.search(cls.ignored_keys, name):
                continue
            own = prefix + name if is_bare and name not in cls.tied_keys else name
            result[own] = array
        for name, source in tied.items():
            repeated = result.pop(name, None)
            if repeated is not None and not np.array_equal(repeated, result.get(source, ())):
                raise CheckpointError(
                    f"{name}: differs from {source}, but tie_word_embeddings is true; "
                    "set it to false in config.json"
                )
        return result

    def to(self, dtype: Any) -> Any:
        super().to(dtype)
        self.config.dtype = str(float_dtype(dtype))
        return self

    def set_dropout(self, p: float) -> int:
        """Use one probability for every dropout; returns how many there are."""
        places = [module for module in self.modules() if isinstance(module, Dropout)]
        for place in places:
            place.set_probability(p)
        for name in self.config.dropout_fields:
            setattr(self.config, name, float(p))
        return len(places)

    def gradient_checkpointing_enable(self) -> None:
        """In training keep only each block's inputs, and run blocks again in the backward pass."""
        self._set_recomputes(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep what the backward pass needs (the default)."""
        self._set_recomputes(False)

    def _set_recomputes(self, recomputes: bool) -> None:
        for module in self.modules():
            if hasattr(module, "recomputes"):
                module.recomputes = recomputes


def loaded_dtype(dtype: str) -> str:
    """What a checkpoint's dtype is held in: CPU kernels have no float16."""
    return "float32" if dtype == "float16" else dtype

"""What all models share: directories in and out, and the switches that a trainer turns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..checkpoints.huggingface import load_state, match_keys, read_config, save_model
from ..errors import CheckpointError
from ..nn import Dropout, Module
from ..nn.module import float_dtype
from ..tensor import Array
from .config import PretrainedConfig

Model = TypeVar("Model", bound="PreTrainedModel")


class PreTrainedModel(Module):
    """Base of all models: built from a configuration, kept in a Hugging Face directory."""

    config_class: ClassVar[type[PretrainedConfig]]
    base_prefix: ClassVar[str]  # what names in checkpoints of the bare model leave out
    ignored_keys: ClassVar[tuple[str, ...]] = ()  # globs of buffers in old checkpoints
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
        config = cls.config_class.from_dict(read_config(path))
        model = cls(config, seed=None)  # type: ignore[call-arg]
        model.to(loaded_dtype(config.dtype) if dtype is None else dtype)
        state = load_state(path)
        model.check_tied(state)
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        ignored = (*cls.ignored_keys, *(cls.tied_keys if config.tie_word_embeddings else ()))
        model.load_state_dict(
            match_keys(state, shapes, prefix=cls.base_prefix, ignore=ignored, source=str(path))
        )
        return model.eval()

    def save_pretrained(self, path: str | Path, max_shard_size: int | str = "5GB") -> None:
        """Write `config.json` and the weights, in files of at most `max_shard_size`."""
        save_model(
            path,
            self.state_dict(),
            {**self.config.to_dict(), "architectures": [type(self).__name__]},
            generation_config=self.generation_config(),
            max_shard_size=max_shard_size,
        )

    def generation_config(self) -> dict[str, Any] | None:
        """The contents of `generation_config.json`; None for models that do not generate."""
        return None

    def check_tied(self, state: Mapping[str, Array]) -> None:
        """Raise if a checkpoint has another array where our configuration repeats one."""
        for name, source in self.tied_keys.items():
            original = state.get(source, state.get(source.removeprefix(self.base_prefix)))
            repeated = state.get(name, original)
            if self.config.tie_word_embeddings and not np.array_equal(repeated, original):
                raise CheckpointError(
                    f"{name}: differs from {source}, but tie_word_embeddings is true; "
                    "set it to false in config.json"
                )

    def to(self, dtype: Any) -> Any:
        """Convert all parameters, and say so in the configuration; returns self."""
        super().to(dtype)
        self.config.dtype = str(float_dtype(dtype))
        return self

    def initial_value(
        self, name: str, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array | None:
        """The weights that a new parameter starts from; None leaves it as it was made.

        Matrices and embeddings are drawn from N(0, initializer_range).
        """
        return normal(shape, rng, self.config.initializer_range)

    def init_weights(self, seed: int, names: Collection[str] | None = None) -> None:
        """Draw the weights of all parameters, or of those named, from stream 0 of `seed`."""
        rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
        for name, parameter in self.named_parameters():
            if names is None or name in names:
                value = self.initial_value(name, parameter.shape, rng)
                if value is not None:
                    parameter.assign(value.astype(parameter.dtype, copy=False))

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


def normal(shape: tuple[int, ...], rng: np.random.Generator, deviation: float) -> Array | None:
    """Float32 draws from N(0, deviation) for a matrix; None for a vector."""
    if len(shape) < 2:
        return None
    weights = rng.standard_normal(shape, dtype=np.float32)
    weights *= np.float32(deviation)
    return weights


def loaded_dtype(dtype: str) -> str:
    """What a checkpoint's dtype is held in: CPU kernels have no float16."""
    return "float32" if dtype == "float16" else dtype

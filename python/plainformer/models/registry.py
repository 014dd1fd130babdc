"""`pf.load`: the class that a directory's `config.json` asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checkpoints.huggingface import read_config
from ..errors import ConfigError
from .gpt2 import GPT2LMHeadModel
from .pretrained import PreTrainedModel

MODELS: dict[str, type[PreTrainedModel]] = {
    "gpt2": GPT2LMHeadModel,
}


def load(path: str | Path, dtype: Any = None) -> Any:
    """Open a Hugging Face directory of any family in `MODELS`, in eval mode.

    Nothing is downloaded. `dtype` is float32, bfloat16 or float64; None means the configuration's.
    """
    return model_class(read_config(path), str(path)).from_pretrained(path, dtype=dtype)


def from_config(values: dict[str, Any], seed: int = 0, **overrides: Any) -> Any:
    """A new model from the contents of a `config.json`; `overrides` (vocab_size, ...) win."""
    found = model_class(values, "config")
    config = found.config_class.from_dict(values, **overrides)
    return found(config, seed=seed)  # type: ignore[call-arg]


def model_class(values: dict[str, Any], source: str) -> type[PreTrainedModel]:
    """The class behind `model_type`."""
    kind = values.get("model_type")
    if kind not in MODELS:
        raise ConfigError(
            f"{source}: got model_type {kind!r}, expected one of {', '.join(sorted(MODELS))}"
        )
    return MODELS[kind]

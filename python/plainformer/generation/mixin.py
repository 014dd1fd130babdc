"""What every model that writes has: `generate`, `stream` and a `generation_config`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from ..checkpoints.huggingface import GENERATION_CONFIG
from .config import SPECIAL_IDS, GenerationConfig
from .generate import generate, stream
from .output import GenerateOutput


class GenerationMixin:
    """Base of models that write. They offer `new_cache` and `next_logits`."""

    config: Any
    _generation_config: GenerationConfig | None = None

    @property
    def generation_config(self) -> GenerationConfig:
        """Options that hold where a call of `generate` says nothing; may be changed or replaced."""
        if self._generation_config is None:
            self._generation_config = GenerationConfig.from_model_config(self.config)
        return self._generation_config

    @generation_config.setter
    def generation_config(self, value: GenerationConfig) -> None:
        self._generation_config = value

    def read_generation_config(self, path: str | Path) -> None:
        """Take over `generation_config.json` of a directory, if there is one.

        Old directories have none: then the options in `config.json` hold.
        """
        if Path(path, GENERATION_CONFIG).exists():
            self._generation_config = GenerationConfig.from_pretrained(path)

    def generation_values(self) -> dict[str, Any]:
        """The contents of `generation_config.json`, with the configuration's special ids."""
        ids = {name: getattr(self.config, name, None) for name in SPECIAL_IDS}
        values = self.generation_config.to_dict()
        marks = {} if values else {"_from_model_config": True}
        return marks | {n: v for n, v in ids.items() if v is not None} | values

    @overload
    def generate(
        self,
        input_ids: Any = ...,
        max_new_tokens: int | None = ...,
        *,
        return_dict_in_generate: Literal[True],
        **options: Any,
    ) -> GenerateOutput: ...
    @overload
    def generate(
        self, input_ids: Any = ..., max_new_tokens: int | None = ..., **options: Any
    ) -> np.ndarray: ...
    def generate(
        self, input_ids: Any = None, max_new_tokens: int | None = None, **options: Any
    ) -> Any:
        """Continue token ids, or write targets for sources.

        See `plainformer.generation.generate` for the arguments.
        """
        return generate(self, input_ids, max_new_tokens, **options)

    def stream(
        self, input_ids: Any = None, max_new_tokens: int | None = None, **options: Any
    ) -> Iterator[Any]:
        """Yield tokens, or text, while they are written; see `plainformer.generation.stream`."""
        return stream(self, input_ids, max_new_tokens, **options)

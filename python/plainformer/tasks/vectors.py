"""What tasks share that make a vector of a text: which states are pooled, and what a directory of
sentence-transformers says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import normalizers

from .. import kernels
from ..checkpoints.sentence_transformers import SentenceFiles, read_sentence_files
from ..data import Encoded
from ..models.config import POOLINGS
from ..nn import evaluating
from ..options import one_of, option
from ..tape import no_grad
from ..training.losses import LossSum
from .features import Feature
from .task import Array, Task, TaskSettings, chunks, float_array

_WIDTHS = ("hidden_size", "dim", "d_model", "n_embd")  # what families call the width of states
_AT_ONCE = 1024  # texts encoded, sorted by length and computed in batches


@dataclass(frozen=True)
class VectorSettings(TaskSettings):
    """How texts become vectors. What is not said follows the files of sentence-transformers in the
    directory."""

    pooling: str | None = option(
        None,
        "Which of the tokens' states make a vector: mean, cls or last; default what the encoder "
        "was trained with, else mean.",
        one_of(*POOLINGS),
    )
    normalize: bool | None = option(
        None, "Make vectors 1 long; default as the encoder was trained, else off."
    )
    prompt: str | None = option(
        None, "What stands before every text, such as 'query: '; default what the directory says."
    )
    lower_case: bool | None = option(
        None, "Lowercase texts before the tokenizer; default what the directory says, else off."
    )


class VectorTask(Task):
    """Base of tasks whose model is an encoder without a head, read as one vector a text.

    pooling, normalize, prompt : what holds after the settings and the defaults
    """

    any_directory = True
    settings_class = VectorSettings

    def __init__(self, tokenizer: Any, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        own, said = self.settings, getattr(model.config, "classifier_pooling", None)
        self.pooling: str = own.pooling or said or SentenceFiles.pooling
        self.normalize = bool(own.normalize)
        self.prompt: str = own.prompt or ""

    @property
    def width(self) -> int:
        """Numbers of a vector, C."""
        config = self.model.config
        return int(next(getattr(config, name) for name in _WIDTHS if hasattr(config, name)))

    @classmethod
    def settings_in(cls, path: str) -> dict[str, Any]:
        files = read_sentence_files(path)
        if files is None:
            return {}
        return {
            "max_length": files.max_length,
            "pooling": files.pooling,
            "normalize": files.normalize,
            "prompt": files.prompt or None,
            "lower_case": files.lower_case,
        }

    def vectors(self, texts: Sequence[str], batch_size: int = 32) -> Array:
        """A vector (C,) of each text, float32 (N, C), the same bytes in any batch.

        Texts of like length are computed together, batches from the longest to the shortest.
        """
        found = np.empty((len(texts), self.width), np.float32)
        for start in range(0, len(texts), _AT_ONCE):
            encoded = self.encode_prompted(texts[start : start + _AT_ONCE])
            self.cut += sum(cut for _, cut in encoded)
            order = np.argsort([-len(one) for one, _ in encoded], kind="stable")
            for chosen in chunks(order, batch_size):
                inputs = [self.inputs(encoded[i][0]) for i in chosen]
                found[start + np.array(chosen)] = self._pooled(self.collate(inputs))
        return found

    def encode_prompted(self, texts: Sequence[str]) -> list[tuple[Encoded, bool]]:
        """Texts behind the prompt, encoded, and whether each had to be cut."""
        whole = [self.prompt + text for text in texts] if self.prompt else list(texts)
        if self.settings.lower_case:
            lowering = normalizers.Lowercase()
            whole = [lowering.normalize_str(text) for text in whole]
        return self.encode_texts(whole)

    def _pooled(self, batch: Mapping[str, Any]) -> Array:
        """The vectors (B, C) of a batch."""
        given = {"pooling": self.pooling, "normalize": self.normalize}
        with evaluating(self.model), no_grad():
            found = self.model.sentence_embeddings(**batch, **given).data
        return float_array("vectors", kernels.asnumpy(found))

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Any]:
        return list(self._pooled(self.collate([feature.inputs for feature in features])))

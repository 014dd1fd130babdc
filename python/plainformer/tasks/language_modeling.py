"""Language modelling: a causal model learns to write like a text, and continues prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Document, EvaluationWindows, TokenBlocks, collate, encode_documents
from ..data.tokenizer import encode_text
from ..errors import DataError
from ..generation import generate
from ..metrics import perplexity
from .options import check_at_least, option
from .registry import register
from .task import Array, Batch, Feature, Inputs, LossSum, Settings, Task, chunks, evaluating
from .writing import until


@dataclass(frozen=True)
class LanguageModelingSettings(Settings):
    """Options of language modelling; max_length is the length of a block of the text."""

    max_new_tokens: int = option(64, "Tokens that are written after a prompt.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "max_new_tokens")


class BlockDataset(TokenBlocks):
    """Blocks of a text, with what is told of a data set."""

    examples: int
    cut = 0

    def lengths(self) -> Array:
        """Tokens of each block."""
        return np.full(len(self), self.block_size)


@register
class LanguageModeling(Task):
    """The continuation of a text. A prediction is what is written."""

    name = "language-modeling"
    model_tasks = ("causal-lm",)
    metric = "perplexity"
    settings_class = LanguageModelingSettings

    @classmethod
    def texts(cls, examples: Iterable[Any]) -> Iterator[str]:
        return (example.text for example in examples)

    def dataset(self, examples: Sequence[Any]) -> Any:
        blocks = BlockDataset(self._tokens(examples), self._block_size())
        blocks.examples = len(examples)
        return blocks

    def evaluate(self, examples: Iterable[Any], batch_size: int = 32) -> dict[str, float]:
        """Loss a token over consecutive windows: every token but the first is predicted once."""
        windows = EvaluationWindows(self._tokens(examples), self._block_size())
        loss = LossSum()
        with evaluating(self.model):
            for batch in chunks((windows[i] for i in range(len(windows))), batch_size):
                inputs = collate(batch)
                output = self.model(**inputs, num_items_in_batch=1, return_logits=False)
                loss.total += float(np.asarray(output.loss))
                loss.count += self.model.count_labels(inputs)
        return {"loss": loss.mean, "perplexity": perplexity(loss.total, loss.count)}

    def _tokens(self, examples: Iterable[Any]) -> Array:
        documents = (Document(e.text, e.file, e.line or 1) for e in examples)
        return encode_documents(self.tokenizer, documents)

    def _block_size(self) -> int:
        return self.max_length or 1024

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        """Prompts to continue."""
        features = []
        for example in examples:
            ids = encode_text(self.tokenizer, example.text).astype(np.int32)
            if not len(ids):
                raise DataError("input: got a text without tokens, expected at least one")
            features.append([Feature({"input_ids": ids}, place=ids)])
        return features

    def collate(self, inputs: Sequence[Inputs]) -> Batch:
        return collate(list(inputs))

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Array]:
        prompts = [feature.place for feature in features]
        rows = generate(self.model, prompts, self.settings.max_new_tokens)
        end = self.encoder.special.eos_token_id
        new = np.asarray(rows)[:, max(map(len, prompts)) :]
        return [row if end is None else until(row, end) for row in new]

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> str:
        whole = self.tokenizer.decode([*features[0].place.tolist(), *outputs[0].tolist()])
        prompt = self.tokenizer.decode(features[0].place.tolist())
        return whole[len(prompt) :]

    def answer(self, example: Any, prediction: str) -> dict[str, str]:
        """The prompt with its continuation."""
        return {"generated_text": example.text + prediction}

    def alone(self, answer: Any) -> list[Any]:
        """As transformers: a list of one."""
        return [answer]

    def record(self, example: Any, prediction: str) -> dict[str, str]:
        return {"text": example.text, **self.answer(example, prediction)}

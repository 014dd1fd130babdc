"""Language modelling: a causal model learns to write like a text, and continues prompts.

With control codes each text of the data is one of its own, behind a token that says its label; a
prompt then names the label of what is to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..data import Document, EvaluationWindows, TokenBlocks, encode_documents
from ..data.control_codes import add_control_codes
from ..data.decoding import decode_continuation, decode_text
from ..data.tokenizer import encode_text, tell_unknown
from ..errors import DataError
from ..options import COUNT, option
from ..training.losses import LossSum
from .control import ControlledTexts
from .features import Feature
from .generation_settings import GenerationSettings, generation_options
from .registry import register
from .task import Array, Inputs, Task, TextLoss
from .writing import end_of, new_ids

_USUAL_LENGTH = 64


@dataclass(frozen=True)
class LanguageModelingSettings(GenerationSettings):
    """Options of language modelling; max_length is the length of a block of the text."""

    control_codes: bool = option(
        False,
        "Learn each text behind a token of its label, and write texts of a label; the data has "
        "text and label.",
    )
    max_new_tokens: int | None = option(
        None,
        "Most tokens that are written; default 64, or with control codes half of what fits.",
        COUNT,
    )


class BlockDataset(TokenBlocks):
    """Blocks of a text, with what is told of a data set."""

    examples: int
    cut = 0

    def lengths(self) -> Array:
        """Tokens of each block."""
        return np.full(len(self), self.size)


@register
class LanguageModeling(Task):
    """The continuation of a text. A prediction is what is written, a list where several are."""

    name = "language-modeling"
    answer_fields = ("generated_text",)
    metric = "perplexity"
    settings_class = LanguageModelingSettings

    def __init__(self, tokenizer: Tokenizer, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        special = self.encoder.special
        self.end = special.eos_token_id
        self.control: ControlledTexts | None = None
        if self.settings.control_codes:
            self.end = end_of(special, self.name)
            self.control = ControlledTexts(tokenizer, self.end, self.max_length)
        self.max_new_tokens = self._max_new_tokens()
        self._options = generation_options(self.settings, tokenizer)

    @classmethod
    def prepare_tokenizer(
        cls, tokenizer: Tokenizer, examples: Sequence[Any], word: str, settings: Any
    ) -> None:
        """Add the control codes of the labels."""
        if not settings.control_codes:
            return
        without = next((e for e in examples if e.label is None), None)
        if without is not None:
            raise DataError(
                "a text without label, which control_codes need for every text",
                without.file or None,
                without.line,
            )
        add_control_codes(tokenizer, (example.label for example in examples))

    def dataset(self, examples: Sequence[Any]) -> Any:
        if self.control is not None:
            return super().dataset(examples)
        blocks = BlockDataset(self._tokens(examples), self._block_size())
        blocks.examples = len(examples)
        return blocks

    def evaluate(self, examples: Iterable[Any], batch_size: int = 32) -> dict[str, float]:
        """Loss and perplexity a token, and bits a character and a byte of UTF-8.

        Of consecutive windows: every token but the first is predicted once, whose characters do
        not count; ends between texts are tokens without characters. With control codes of each
        text and its end.
        """
        examples = list(examples)
        loss, inputs = self._evaluated(examples)
        self._add_losses(inputs, batch_size, loss)
        return loss.metrics()

    def _evaluated(self, examples: Sequence[Any]) -> tuple[TextLoss, Iterator[Inputs]]:
        """A sum that knows how many characters are predicted, and what the model takes."""
        loss = TextLoss()
        loss.characters = sum(len(example.text) for example in examples)
        loss.bytes = sum(len(example.text.encode()) for example in examples)
        if self.control is not None:
            encode = self.control.examples
            return loss, (f.inputs for e in examples for f in encode(e))
        tokens = self._tokens(examples)
        tell_unknown(self.name, self.tokenizer, tokens)
        windows = EvaluationWindows(tokens, self._block_size())
        first = decode_text(self.tokenizer, tokens[:1].tolist())
        loss.characters -= len(first)
        loss.bytes -= len(first.encode())
        return loss, (windows[i] for i in range(len(windows)))

    def _tokens(self, examples: Iterable[Any]) -> Array:
        documents = (Document(e.text, e.file, e.line or 1) for e in examples)
        return encode_documents(self.tokenizer, documents)

    def _block_size(self) -> int:
        return self.max_length or 1024

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        """Texts behind their codes to learn from; else prompts to continue."""
        if labelled and self.control is not None:
            return [self.control.examples(example) for example in examples]
        return [[self._prompt(example)] for example in examples]

    def _prompt(self, example: Any) -> Feature:
        if self.control is not None:
            return self.control.prompt(example, self.max_new_tokens)
        ids = encode_text(self.tokenizer, example.text).astype(np.int32)
        if not len(ids):
            raise DataError("input: got a text without tokens, expected at least one")
        return Feature({"input_ids": ids}, place=ids)

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[list[Array]]:
        prompts = [feature.place for feature in features]
        # Draws go by place in the batch: alone, each prompt has the same ones in any batch.
        together = [[prompt] for prompt in prompts] if self.settings.do_sample else [prompts]
        return [texts for some in together for texts in self._write(some)]

    def _write(self, prompts: list[Array]) -> list[list[Array]]:
        """New ids of each text of each prompt, without the end."""
        count = self.settings.num_return_sequences
        ends = [] if self.end is None else [self.end]
        options = {**self._options, **self.seeded()}
        start = max(map(len, prompts))
        texts = new_ids(self.model, prompts, self.max_new_tokens, ends, start, **options)
        return [texts[i : i + count] for i in range(0, len(texts), count)]

    def _max_new_tokens(self) -> int:
        given, limit = self.settings.max_new_tokens, self.max_length
        if given is not None or self.control is None or limit is None:
            return given or _USUAL_LENGTH
        return max(1, min(_USUAL_LENGTH, limit // 2))  # the rest is for prompts

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Any]) -> Any:
        before = features[0].place.tolist()
        texts = [decode_continuation(self.tokenizer, before, ids.tolist()) for ids in outputs[0]]
        return texts if self.settings.num_return_sequences > 1 else texts[0]

    def answer(self, example: Any, prediction: Any) -> Any:
        """The prompt with its continuation; a list of such where several are written."""
        if isinstance(prediction, list):
            return [self.answer(example, text) for text in prediction]
        return {"generated_text": example.text + prediction}

    def alone(self, answer: Any) -> list[Any]:
        """As transformers: a list, of one where one is written."""
        return answer if isinstance(answer, list) else [answer]

    def plain(self, record: Mapping[str, Any]) -> str:
        """The text, or the texts behind each other."""
        texts = record.get("generated_texts") or [record.get("generated_text") or ""]
        return " ".join(texts)

    def record(self, example: Any, prediction: Any) -> dict[str, Any]:
        asked = {} if self.control is None else {"label": example.label}
        asked["text"] = example.text
        if isinstance(prediction, list):
            texts = [one["generated_text"] for one in self.answer(example, prediction)]
            return {**asked, "generated_texts": texts}
        return {**asked, **self.answer(example, prediction)}

"""Dialogue: a causal model answers as the assistant. Turns are written in ChatML:

    <|im_start|>user
    Hello!<|im_end|>
    <|im_start|>assistant
    Hello. How are you?<|im_end|>

The loss is that of the assistant's words and the ends of its turns. The two markers are tokens of
their own, and a turn that spells one is still text. Of a dialogue that is too long the oldest turns
are left out, a system message last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tokenizers import AddedToken, Tokenizer

from ..data import DialogueExample, Message, TextEncoder
from ..data.batches import IGNORE_INDEX
from ..data.encoding import share_vocabulary
from ..data.special_tokens import options_of, remember_options
from ..errors import ConfigError
from ..generation import TextPieces, generate, stream
from ..metrics import perplexity
from .options import check_at_least, option
from .registry import register
from .task import Array, Feature, LossSum, Settings, Task, chunks, evaluating
from .writing import until

_USUAL_ANSWER = 64
START, END = "<|im_start|>", "<|im_end|>"
# The same for transformers' `apply_chat_template`.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class DialogueSettings(Settings):
    """Options of dialogue."""

    max_new_tokens: int | None = option(
        None, "Most tokens of an answer; default 64, or half of what the model takes."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "max_new_tokens")


class Turn(NamedTuple):
    """Ids (N,) of a message with its markers, and which of them are learned, bool (N,)."""

    ids: Array
    learned: Array
    is_system: bool


@register
class Dialogue(Task):
    """The assistant's next turn. A prediction is its text."""

    name = "dialogue"
    model_tasks = ("causal-lm",)
    metric = "perplexity"
    settings_class = DialogueSettings

    def __init__(self, tokenizer: Tokenizer, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        self.start, self.end = (self._marker(mark) for mark in (START, END))
        plain = share_vocabulary(tokenizer)
        plain.encode_special_tokens = True  # a turn that spells a marker is still text
        self.encoder = TextEncoder(plain, self.encoder.special)
        half = _USUAL_ANSWER if self.max_length is None else max(1, self.max_length // 2)
        self.max_new_tokens = self.settings.max_new_tokens or min(_USUAL_ANSWER, half)

    @classmethod
    def prepare_tokenizer(
        cls, tokenizer: Tokenizer, examples: Sequence[Any], word: str, settings: Any
    ) -> None:
        tokenizer.add_special_tokens(
            [
                AddedToken(mark, normalized=False)
                for mark in (START, END)
                if tokenizer.token_to_id(mark) is None
            ]
        )
        options = options_of(tokenizer)
        remember_options(tokenizer, {**options, "chat_template": CHATML})

    @classmethod
    def texts(cls, examples: Iterable[Any]) -> Iterator[str]:
        return (f"{m.role}\n{m.content}\n" for example in examples for m in example.messages)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        return [[self._feature(example, labelled)] for example in examples]

    def _feature(self, example: DialogueExample, labelled: bool) -> Feature:
        turns = [self._turn(message) for message in example.messages]
        if labelled:
            kept, cut = self._fitting(turns, self.max_length)
            ids = np.concatenate([turn.ids for turn in kept])
            learned = np.concatenate([turn.learned for turn in kept])
            labels = np.where(learned, ids, IGNORE_INDEX)
            return Feature({"input_ids": ids, "labels": labels}, cut=cut)
        opening = self._text("assistant\n")
        room = None
        if self.max_length is not None:
            room = self.max_length - self.max_new_tokens - len(opening) - 1
            if room < 1:
                raise ConfigError(
                    f"max_new_tokens: got {self.max_new_tokens}, which leaves no room for "
                    f"a dialogue in the model's {self.max_length} tokens"
                )
        kept, cut = self._fitting(turns, room)
        ids = np.concatenate([*(turn.ids for turn in kept), [self.start], opening])
        return Feature({"input_ids": ids.astype(np.int32)}, place=ids, cut=cut)

    def _turn(self, message: Message) -> Turn:
        header, content = self._text(f"{message.role}\n"), self._text(message.content)
        ids = np.concatenate([[self.start], header, content, [self.end], self._text("\n")])
        learned = np.zeros(len(ids), bool)
        if message.role == "assistant":
            first = 1 + len(header)
            learned[first : first + len(content) + 1] = True
        return Turn(ids.astype(np.int32), learned, message.role == "system")

    def _fitting(self, turns: list[Turn], limit: int | None) -> tuple[list[Turn], bool]:
        """The newest turns that fit, and whether something was left out."""
        kept, length = list(turns), sum(len(turn.ids) for turn in turns)
        while limit is not None and length > limit and len(kept) > 1:
            oldest = 1 if kept[0].is_system and len(kept) > 2 else 0
            length -= len(kept.pop(oldest).ids)
        if limit is not None and length > limit:  # the end of the last turn alone
            last = kept[0]
            kept = [Turn(last.ids[-limit:], last.learned[-limit:], last.is_system)]
            return kept, True
        return kept, len(kept) < len(turns)

    def _text(self, text: str) -> Array:
        [one] = self.encoder.encode([text], truncation=False, add_special_tokens=False)
        return one.input_ids

    def evaluate(self, examples: Iterable[Any], batch_size: int = 32) -> dict[str, float]:
        """Loss and perplexity a token of the assistant's turns."""
        loss = LossSum()
        with evaluating(self.model):
            for chunk in chunks(examples, batch_size):
                features = [own[0] for own in self.encode(chunk, labelled=True)]
                batch = self.collate([feature.inputs for feature in features])
                output = self.model(**batch, num_items_in_batch=1, return_logits=False)
                loss.total += float(np.asarray(output.loss))
                loss.count += self.model.count_labels(batch)
        return {"loss": loss.mean, "perplexity": perplexity(loss.total, loss.count)}

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        """The assistant's next turn in pieces, as it is written.

        messages : the dialogue so far
        options : of `generation.generate`, such as do_sample and temperature
        """
        feature = self._feature(DialogueExample(list(messages)), labelled=False)
        pieces = TextPieces(self.tokenizer)
        options = {"max_new_tokens": self.max_new_tokens, "eos_token_id": self.end, **options}
        for tokens in stream(self.model, feature.place, **options):
            piece = pieces.push([int(i) for i in tokens if i != self.end])
            if piece:
                yield piece
        rest = pieces.push([], last=True)
        if rest:
            yield rest

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Array]:
        prompts = [feature.place for feature in features]
        rows = generate(self.model, prompts, self.max_new_tokens, eos_token_id=self.end)
        new = np.asarray(rows)[:, max(map(len, prompts)) :]
        return [until(row, self.end) for row in new]

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> str:
        return self.tokenizer.decode(outputs[0].tolist()).strip()

    def answer(self, example: Any, prediction: str) -> dict[str, Any]:
        """The dialogue with the answer as its last turn."""
        given = [{"role": m.role, "content": m.content} for m in example.messages]
        return {"generated_text": [*given, {"role": "assistant", "content": prediction}]}

    def record(self, example: Any, prediction: str) -> dict[str, Any]:
        return {"messages": self.answer(example, prediction)["generated_text"]}

    def _marker(self, mark: str) -> int:
        found = self.tokenizer.token_to_id(mark)
        if found is None:
            raise ConfigError(
                f"tokenizer: has no {mark}; the model was not fine-tuned for dialogue"
            )
        return found

"""Dialogue: a causal model answers as the assistant. Turns are written in ChatML:

    <|im_start|>user
    Hello!<|im_end|>
    <|im_start|>assistant
    Hello. How are you?<|im_end|>

or in the chat template that a checkpoint comes with (`data.chat_template`). The loss is that of the
assistant's words and the ends of its turns. A turn that spells a special token is still text. Of a
dialogue that is too long the oldest turns are left out, a system message last.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..checkpoints.files import read_text
from ..data import DialogueExample, Message
from ..data.batches import IGNORE_INDEX
from ..data.chat_template import CHATML, END, START, chat_template, source_of
from ..data.decoding import decode_text
from ..data.dialogues import DialogueEncoder, EncodedDialogue
from ..data.special_tokens import add_marks, remember_options, role_tokens, tokenizer_options
from ..errors import ConfigError, DataError
from ..generation import TextPieces, stream
from ..generation.settings import ids_of_file, model_vocab_size
from ..options import COUNT, option
from ..training.losses import LossSum
from .conversation import ReadSoFar
from .features import Feature, FeatureDataset
from .registry import register
from .task import Array, Task, TaskSettings, TextLoss, chunks
from .writing import new_ids

_USUAL_ANSWER = 64
logger = logging.getLogger("plainformer")


@dataclass(frozen=True)
class DialogueSettings(TaskSettings):
    """Options of dialogue."""

    max_new_tokens: int | None = option(
        None, "Most tokens of an answer; default 64, or half of what the model takes.", COUNT
    )
    chat_template: str | None = option(
        None,
        "A file with the Jinja template that dialogues are written in; default the model's own, or "
        "else ChatML.",
        is_file=True,
    )
    all_turns: bool = option(
        False, "Learn what users say too; for models from nothing. Metrics are the assistant's."
    )


@register
class Dialogue(Task):
    """The assistant's next turn. A prediction is its text."""

    name = "dialogue"
    answer_fields = ("messages",)
    metric = "perplexity"
    settings_class = DialogueSettings

    def __init__(self, tokenizer: Tokenizer, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        if self.settings.chat_template is not None:
            use_template(tokenizer, self.settings.chat_template)
            self.settings = replace(self.settings, chat_template=None)  # the tokenizer has it now
        options = tokenizer_options(tokenizer)
        self.dialogues = DialogueEncoder(
            tokenizer, chat_template(_source(tokenizer), role_tokens(tokenizer, options))
        )
        self.ends = self._end_with(self.dialogues.stop)
        half = _USUAL_ANSWER if self.max_length is None else max(1, self.max_length // 2)
        self.max_new_tokens = self.settings.max_new_tokens or min(_USUAL_ANSWER, half)
        self._told_cut = False

    @classmethod
    def prepare_tokenizer(
        cls, tokenizer: Tokenizer, examples: Sequence[Any], word: str, settings: Any
    ) -> None:
        """Give a tokenizer without a template ChatML and its two markers."""
        if settings.chat_template is not None:
            use_template(tokenizer, settings.chat_template)
        if source_of(tokenizer_options(tokenizer)) in (None, CHATML):
            add_marks(tokenizer, (START, END))
            remember_options(tokenizer, {"chat_template": CHATML})

    @classmethod
    def texts(cls, examples: Iterable[Any]) -> Iterator[str]:
        return (f"{m.role}\n{m.content}\n" for example in examples for m in example.messages)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        return [[self._feature(example, labelled)] for example in examples]

    def _feature(
        self, example: DialogueExample, labelled: bool, *, all_turns: bool = False
    ) -> Feature:
        """Place is the number of the assistant's characters, or the ids of a prompt."""
        write: Callable[[Sequence[Message]], EncodedDialogue] = self.dialogues.prompt
        limit = self.max_length
        if labelled:
            write = partial(self.dialogues.encode, all_turns=all_turns)
        elif limit is not None:
            limit = self._room(limit)
        try:
            dialogue, cut = _fitting(write, example.messages, limit)
        except DataError as error:
            raise DataError(str(error), example.file or None, example.line) from None
        if not labelled:
            return Feature({"input_ids": dialogue.ids}, place=dialogue.ids, cut=cut)
        labels = np.where(dialogue.is_learned, dialogue.ids, IGNORE_INDEX)
        inputs = {"input_ids": dialogue.ids, "labels": labels}
        return Feature(inputs, place=dialogue.characters, cut=cut)

    def _room(self, limit: int) -> int:
        """Tokens that a prompt may have beside an answer."""
        if self.max_new_tokens >= limit:
            raise ConfigError(
                f"max_new_tokens: got {self.max_new_tokens}, which leaves no room for "
                f"a dialogue in the model's {limit} tokens"
            )
        return limit - self.max_new_tokens

    def dataset(self, examples: Sequence[Any]) -> FeatureDataset:
        """All dialogues in which there is something to learn; others are counted and told."""
        all_turns = self.settings.all_turns
        features = [[self._feature(e, True, all_turns=all_turns)] for e in examples]
        kept = [own for own in features if _has_labels(own[0])]
        _tell_unlabelled("train", len(features) - len(kept))
        if not kept:
            raise DataError("train: no dialogue has a turn of the assistant to learn from")
        return FeatureDataset(kept)

    def evaluate(self, examples: Iterable[Any], batch_size: int = 32) -> dict[str, float]:
        """Loss and perplexity a token of the assistant's turns, and bits a character of them.

        The ends of turns count as tokens, and as no characters.

        Raises
        ------
        DataError : no dialogue has a turn of the assistant
        """
        loss, unlabelled = TextLoss(), 0
        for chunk in chunks(examples, batch_size):
            features = [own[0] for own in self.encode(chunk, labelled=True)]
            self.cut += sum(feature.cut for feature in features)
            unlabelled += sum(not _has_labels(feature) for feature in features)
            self._add_losses([feature.inputs for feature in features], batch_size, loss)
            loss.characters += sum(feature.place for feature in features)
        _tell_unlabelled("evaluation", unlabelled)
        if not loss.count:
            raise DataError("evaluation: no dialogue has a turn of the assistant")
        return loss.metrics()

    def stream(
        self, messages: Sequence[Message], read: ReadSoFar | None = None, **options: Any
    ) -> Iterator[str]:
        """The assistant's next turn in pieces, as it is written.

        messages : the dialogue so far
        read : what the model has read of it in earlier calls, which it then need not read again
        options : of `generation.generate`, such as do_sample and temperature
        """
        prompt = self.prompt(messages)
        if prompt.cut and not self._told_cut:
            self._told_cut = True
            logger.info(
                "the dialogue does not fit the model's %d tokens: it no longer sees the oldest "
                "turns", self.max_length,
            )  # fmt: skip
        options = {"max_new_tokens": self.max_new_tokens, "eos_token_id": self.ends, **options}
        if read is not None:
            options |= read.start(prompt.place, options["max_new_tokens"])
        pieces = TextPieces(self.tokenizer)
        for [token] in stream(self.model, prompt.place, **options):
            if read is not None:
                read.add(int(token))
            piece = pieces.push([int(token)] if token not in self.ends else [])
            if piece:
                yield piece
        rest = pieces.push([], last=True)
        if rest:
            yield rest

    def prompt(self, messages: Sequence[Message]) -> Feature:
        """What the model reads before it answers; `place` has the ids."""
        return self._feature(DialogueExample(list(messages)), labelled=False)

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Array]:
        prompts = [feature.place for feature in features]
        start = max(map(len, prompts))
        return new_ids(self.model, prompts, self.max_new_tokens, self.ends, start, **self.seeded())

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> str:
        return decode_text(self.tokenizer, outputs[0].tolist()).strip()

    def answer(self, example: Any, prediction: str) -> dict[str, Any]:
        """The dialogue with the answer as its last turn."""
        given = [{"role": m.role, "content": m.content} for m in example.messages]
        return {"generated_text": [*given, {"role": "assistant", "content": prediction}]}

    def plain(self, record: Mapping[str, Any]) -> str:
        """The last turn."""
        turns = record["messages"]
        return turns[-1]["content"] if turns else ""

    def record(self, example: Any, prediction: str) -> dict[str, Any]:
        return {"messages": self.answer(example, prediction)["generated_text"]}

    def _end_with(self, stop: int) -> list[int]:
        """Let the model end its texts with a token too: what it saves says so to any reader."""
        values = self.model.generation_values()
        known = ids_of_file(
            "eos_token_id", values.get("eos_token_id"), model_vocab_size(self.model)
        )
        ends = list(dict.fromkeys([stop, *known]))
        self.model.generation_config = replace(self.model.generation_config, eos_token_id=ends)
        return ends


def use_template(tokenizer: Tokenizer, file: str | Path) -> None:
    """Make the text of a file the template of a tokenizer."""
    remember_options(tokenizer, {"chat_template": read_text(Path(file))})


def _source(tokenizer: Tokenizer) -> str:
    """The template of a tokenizer; ChatML where none is said and it has the markers."""
    found = source_of(tokenizer_options(tokenizer))
    if found is not None:
        return found
    if any(tokenizer.token_to_id(mark) is None for mark in (START, END)):
        raise ConfigError(
            f"tokenizer: has neither a chat template nor {START}; the model was not fine-tuned for "
            "dialogue. Give chat_template if it was"
        )
    return CHATML


def _fitting(
    write: Callable[[Sequence[Message]], EncodedDialogue],
    messages: Sequence[Message],
    limit: int | None,
) -> tuple[EncodedDialogue, bool]:
    """The newest turns that fit, and whether something was left out.

    A dialogue is cut before a turn of the user, since templates expect one at the beginning.
    """
    whole = write(messages)
    if limit is None or len(whole) <= limit:
        return whole, False
    head = [m for m in messages[:1] if m.role == "system"]
    turns = messages[len(head) :]
    starts = [i for i, m in enumerate(turns) if m.role == "user" and i > 0]
    shorter: list[Sequence[Message]] = [[*head, *turns[i:]] for i in starts]
    if head:
        shorter.append(turns[starts[-1] :] if starts else turns)
    fits = bisect_left(shorter, True, key=lambda rest: len(write(rest)) <= limit)
    if fits < len(shorter):
        return write(shorter[fits]), True
    return write(shorter[-1] if shorter else messages).last(limit), True


def _has_labels(feature: Feature) -> bool:
    return bool((feature.inputs["labels"] != IGNORE_INDEX).any())


def _tell_unlabelled(name: str, count: int) -> None:
    if count:
        logger.info(
            "%s: %d dialogues without a turn of the assistant (in what is left of them) do not "
            "count",
            name, count,
        )  # fmt: skip

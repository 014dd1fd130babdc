"""Tasks that write a text for a text: what translation, summarization and other such share.

An encoder-decoder reads the source and writes the target. A decoder alone continues a prompt that
holds the source; only what it writes is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from ..data.batches import IGNORE_INDEX
from ..data.decoding import decode_text
from ..data.examples import FIELDS
from ..data.special_tokens import SpecialIds, remember_options, special_ids
from ..errors import ConfigError, shown
from ..generation import GenerationConfig, generate
from ..options import COUNT, borrowed, option, refuse_idle, that
from ..training.losses import LossSum
from .features import Feature
from .generation_settings import check_several
from .task import Array, Task, TaskSettings

_USUAL_TARGET = 128
_PAD, _END = "<pad>", "</s>"


@dataclass(frozen=True)
class WritingSettings(TaskSettings):
    """Options of tasks that write."""

    max_target_length: int | None = option(
        None, "Most tokens of a target; default 128, or half of what the model takes.", COUNT
    )
    num_beams: int = borrowed(GenerationConfig, "num_beams", 4)
    length_penalty: float = borrowed(GenerationConfig, "length_penalty", 1.0)
    no_repeat_ngram_size: int | None = borrowed(GenerationConfig, "no_repeat_ngram_size")
    num_return_sequences: int = borrowed(GenerationConfig, "num_return_sequences", 1)
    prompt: str | None = option(
        None,
        "What the model reads, {source} in its place; default the source, and for a decoder alone "
        "the source, a line break and =>.",
        that(lambda text: text.count("{source}") == 1, "{source} in it once"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_idle(self, ("length_penalty", self.num_beams == 1, "with num_beams=1"))
        check_several(self)


class Writer(Task):
    """A target for a source. A prediction is a text, a list of such where several are written.

    several : the field of records that holds all of them
    """

    several: ClassVar[str]

    settings_class = WritingSettings

    def __init__(self, tokenizer: Tokenizer, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        self.reads_sources = hasattr(model, "encode")
        self.end = end_of(self.encoder.special, self.name)
        self.max_target = self._max_target()

    @classmethod
    def prepare_tokenizer(
        cls, tokenizer: Tokenizer, examples: Sequence[Any], word: str, settings: Any
    ) -> None:
        """Add what ends a text, and the padding that the decoder of an encoder-decoder starts from,
        where the tokenizer has none."""
        special = special_ids(tokenizer)
        if special.end_token_id is None:
            add_token(tokenizer, "eos_token", _END)
        if word == "seq2seq-lm" and special.pad_token_id is None:
            add_token(tokenizer, "pad_token", _PAD)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        sources = self._source_ids(examples)
        if not labelled:
            return [
                [Feature({"input_ids": ids}, ids, cut, self._cut_fields(cut))]
                for ids, cut in sources
            ]
        targets = self._target_ids([example.target for example in examples])
        return [
            [self._feature(ids, target, self._cut_fields(cut, too_long))]
            for (ids, cut), (target, too_long) in zip(sources, targets)
        ]

    def _feature(self, source: Array, target: Array, cut: tuple[str, ...]) -> Feature:
        ids, labels = source, target
        if not self.reads_sources:
            labels = np.concatenate([np.full(len(source), IGNORE_INDEX), target])
            ids = np.concatenate([source, target]).astype(np.int32)
        return Feature({"input_ids": ids, "labels": labels}, source, bool(cut), cut)

    def _cut_fields(self, *cut: bool) -> tuple[str, ...]:
        return tuple(name for name, is_cut in zip(FIELDS[self.name].names, cut) if is_cut)

    def field_limits(self) -> dict[str, int | None]:
        source, target = FIELDS[self.name].names
        return {source: self._source_limit(), target: self.max_target}

    def _source_limit(self) -> int | None:
        """Most tokens of a source; a decoder's stands before its target."""
        limit = self.max_length
        return limit if self.reads_sources or limit is None else limit - self.max_target

    def _source_ids(self, examples: Sequence[Any]) -> list[tuple[Array, bool]]:
        """Ids of what is read, and whether it was cut: the source's end, never the prompt's."""
        before, after = self._prompt()
        limit = self._source_limit()
        texts = self.encoder.encode(
            [before + example.source for example in examples],
            truncation=False,
            add_special_tokens=self.reads_sources,
        )
        tail = self._plain(after) if after else np.empty(0, np.int32)
        ended = [
            self._ended(one.input_ids) if self.reads_sources else one.input_ids for one in texts
        ]
        return [cut_to(ids, tail, limit, keep=int(self.reads_sources)) for ids in ended]

    def _target_ids(self, targets: Sequence[str]) -> list[tuple[Array, bool]]:
        """Ids of targets with their end, and whether they were cut."""
        encoded = self.encoder.encode(
            list(targets), truncation=False, add_special_tokens=self.reads_sources
        )
        none = np.empty(0, np.int32)
        return [
            cut_to(self._ended(one.input_ids), none, self.max_target, keep=1) for one in encoded
        ]

    def _ended(self, ids: Array) -> Array:
        """Ids with the end token behind them, if the tokenizer puts none."""
        if len(ids) and ids[-1] == self.end:
            return ids
        return np.append(ids, self.end).astype(np.int32)

    def _plain(self, text: str) -> Array:
        [one] = self.encoder.encode([text], truncation=False, add_special_tokens=False)
        return one.input_ids

    def _prompt(self) -> tuple[str, str]:
        """What stands before and behind a source."""
        given = self.settings.prompt
        if given is None:
            given = "{source}" if self.reads_sources else "{source}\n=>"
        before, _, after = given.partition("{source}")
        if after and self.reads_sources:
            raise ConfigError(
                f"prompt: got {shown(given)}, expected {{source}} at its end for an encoder-decoder"
            )
        return before, after

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[list[Array]]:
        if loss is not None:
            self._add_losses([feature.inputs for feature in features], len(features), loss)
        return self._write([feature.place for feature in features])

    def _write(self, sources: list[Array]) -> list[list[Array]]:
        """New ids of each text for each source, without start and end."""
        settings = self.settings
        count = settings.num_return_sequences
        options: dict[str, Any] = {
            "num_beams": settings.num_beams,
            "num_return_sequences": count,
            **self.seeded(),
        }
        if settings.num_beams > 1:
            options["length_penalty"] = settings.length_penalty
        if settings.no_repeat_ngram_size is not None:
            options["no_repeat_ngram_size"] = settings.no_repeat_ngram_size
        start = 1 if self.reads_sources else max(map(len, sources))
        texts = new_ids(self.model, sources, self.max_target, [self.end], start, **options)
        return [texts[i : i + count] for i in range(0, len(texts), count)]

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Any]) -> Any:
        texts = [decode_text(self.tokenizer, ids.tolist()).strip() for ids in outputs[0]]
        return texts if self.settings.num_return_sequences > 1 else texts[0]

    def score(self, predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, float]:
        """Of the first text where several are written."""
        texts = [text if isinstance(text, str) else text[0] for text in predictions]
        return self.score_texts(texts, [example.target for example in examples])

    def score_texts(self, texts: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
        """Metrics of texts beside what they should be."""
        raise NotImplementedError(f"{type(self).__name__} defines no score_texts")

    def answer(self, example: Any, prediction: Any) -> Any:
        """The text, under transformers' name for it; a list of such where several are written."""
        if isinstance(prediction, list):
            return [self.answer(example, text) for text in prediction]
        return {self.answer_fields[0]: prediction}

    def alone(self, answer: Any) -> list[Any]:
        """As transformers: a list, of one where one is written."""
        return answer if isinstance(answer, list) else [answer]

    def record(self, example: Any, prediction: Any) -> dict[str, Any]:
        """The best text; where several are written all of them too."""
        [asked] = self.asked_fields()
        if isinstance(prediction, list):
            best = self.answer(example, prediction[0])
            return {asked: example.source, **best, self.several: prediction}
        return {asked: example.source, **self.answer(example, prediction)}

    def _max_target(self) -> int:
        context = self.model.config.context_length
        given = self.settings.max_target_length
        most = None if context is None else (context - 1 if self.reads_sources else context - 2)
        if given is None:
            return _USUAL_TARGET if context is None else max(1, min(_USUAL_TARGET, context // 2))
        if most is not None and given > most:
            raise ConfigError(f"max_target_length: got {given}, the model has room for {most}")
        return given


def end_of(special: SpecialIds, task: str) -> int:
    """The id that ends a text. Raises ConfigError, naming the task, without one."""
    end = special.end_token_id
    if end is None:
        raise ConfigError(
            f"tokenizer: has no token that ends a text, which {task} needs; train bpe:SIZE or "
            "wordpiece:SIZE"
        )
    return end


def add_token(tokenizer: Tokenizer, role: str, token: str) -> None:
    """Add a token that plays a role, such as pad_token, to a tokenizer without one."""
    tokenizer.add_special_tokens([token])
    remember_options(tokenizer, {role: token})


def cut_to(ids: Array, tail: Array, limit: int | None, *, keep: int) -> tuple[Array, bool]:
    """Ids and tail in at most `limit` tokens, and whether some before the last `keep` ids went."""
    room = None if limit is None else limit - len(tail)
    if room is None or len(ids) <= room:
        return np.concatenate([ids, tail]).astype(np.int32), False
    if room <= keep:
        raise ConfigError(
            f"max_length: leaves {max(0, room)} tokens for a text beside the prompt; raise it"
        )
    end = ids[len(ids) - keep :]
    return np.concatenate([ids[: room - keep], end, tail]).astype(np.int32), True


def new_ids(
    model: Any, prompts: list[Array], most: int, ends: list[int], start: int, **options: Any
) -> list[Array]:
    """What `generate` writes behind each prompt, before the first of the ends, if there are any.

    start : where new ids begin in the rows
    """
    if ends:
        options["eos_token_id"] = ends
    rows = np.asarray(generate(model, prompts, most, **options))[:, start:]
    stops = ((row, np.flatnonzero(np.isin(row, ends))) for row in rows)
    return [row[: stop[0]] if stop.size else row for row, stop in stops]

"""Extractive question answering: where in a context the answer stands, or that it has none.

A long context is seen in windows that overlap and cover all of it (`data/windows.py`). A window
without the answer has the first token for its target. In training an answer that no window of the
grid holds whole gets one of its own; whoever asks does not know the answer, so evaluation and
prediction see the grid alone.

Devlin and others, arXiv:1810.04805, section 4.2 and 4.3 (the null score of SQuAD 2.0).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..characters import is_chinese
from ..data import Encoded
from ..data.windows import (
    WindowScores,
    answer_target,
    answer_text,
    answer_tokens,
    best_spans,
    token_windows,
    trimmed_offsets,
)
from ..errors import ConfigError
from ..metrics import rouge_characters, squad_metrics
from ..options import COUNT, NOT_NEGATIVE, option
from .features import Feature
from .registry import register
from .task import Array, Task, TaskSettings, float_array, probabilities

_USUAL_LENGTH = 384


@dataclass(frozen=True)
class QuestionAnsweringSettings(TaskSettings):
    """Options of question answering."""

    overlap: int | None = option(
        None,
        "Tokens of the context that windows share; default a quarter of a window.",
        NOT_NEGATIVE,
    )
    max_question_length: int = option(64, "Tokens of a question that are kept.", COUNT)
    max_answer_length: int = option(30, "Most tokens of an answer.", COUNT)
    null_threshold: float | None = option(
        None,
        "Answer nothing where the score of no answer exceeds the best one by more than this; "
        "default never, or 0 if training data has questions without an answer.",
    )


class Prediction(NamedTuple):
    """An answer ("" for none), its characters in the context, and its probability."""

    text: str
    start: int
    end: int
    score: float


@register
class QuestionAnswering(Task):
    """A span of the context. A prediction is a `Prediction`."""

    name = "question-answering"
    answer_fields = ("answer", "score", "start", "end")
    metric = "f1"
    smooths = False  # a span has no classes to spread a probability over
    settings_class = QuestionAnsweringSettings

    def __init__(self, tokenizer: Any, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        if self.settings.max_length is None:
            known = self.max_length or _USUAL_LENGTH
            self.max_length = min(known, _USUAL_LENGTH)

    @classmethod
    def settings_for(cls, settings: Any, examples: Sequence[Any]) -> Any:
        if settings.null_threshold is None and any(e.answers == [] for e in examples):
            return dataclasses.replace(settings, null_threshold=0.0)
        return settings

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        pairs = zip(examples, self._encoded(examples))
        return [self._windows(e, one, labelled=labelled) for e, one in pairs]

    def encode_to_learn(self, examples: Sequence[Any]) -> list[list[Feature]]:
        pairs = zip(examples, self._encoded(examples))
        return [self._windows(e, one, labelled=True, cover=True) for e, one in pairs]

    def _encoded(self, examples: Sequence[Any]) -> list[Encoded]:
        return self.encoder.encode(
            [example.question for example in examples],
            [example.context for example in examples],
            truncation=False,
            return_offsets=True,
        )

    def _windows(
        self, example: Any, encoded: Encoded, *, labelled: bool, cover: bool = False
    ) -> list[Feature]:
        """Windows over the context; `cover` adds one around an answer that is whole in none."""
        kept = self._cut_question(encoded)
        ids, types = encoded.input_ids[kept], encoded.token_type_ids[kept]
        context = np.flatnonzero(encoded.sequence_ids[kept] == 1)
        first, count = (int(context[0]), len(context)) if context.size else (len(ids), 0)
        offsets = np.asarray(encoded.offsets)[kept][first : first + count]
        offsets = trimmed_offsets(example.context, offsets)
        size, overlap = self._window_size(len(ids) - count)
        span = self._span(example, offsets) if labelled else None
        features = []
        covered = [span] if cover and span else ()
        for window in token_windows(count, size, overlap, cover=covered):
            start, stop = window
            part = np.r_[0:first, first + start : first + stop, first + count : len(ids)]
            inputs: dict[str, Any] = self.model_inputs(ids[part], types[part])
            if labelled:
                target = answer_target(window, span, shift=first)
                inputs["start_positions"], inputs["end_positions"] = map(np.int64, target)
            place = np.full((len(part), 2), -1, np.int64)
            place[first : first + stop - start] = offsets[start:stop]
            features.append(Feature(inputs, place, len(kept) < len(encoded)))
        return features

    def _cut_question(self, encoded: Encoded) -> Array:
        """Indices of the tokens that are kept: all but the end of a long question."""
        everything = np.arange(len(encoded))
        question = np.flatnonzero(encoded.sequence_ids == 0)
        return np.setdiff1d(everything, question[self.settings.max_question_length :])

    def _window_size(self, added: int) -> tuple[int, int]:
        """Tokens of the context in a window, and how many the next one repeats."""
        size = (self.max_length or _USUAL_LENGTH) - added
        if size < 1:
            raise ConfigError(
                f"max_length: got {self.max_length}, which leaves no room for a context beside a "
                f"question and special tokens, {added}; raise it or lower max_question_length"
            )
        overlap = self.settings.overlap
        return size, min(size // 4 if overlap is None else overlap, size - 1)

    def _span(self, example: Any, offsets: Array) -> tuple[int, int] | None:
        """The tokens of the first answer; None if there is none."""
        if not example.answers:
            return None
        text, start = example.answers[0]
        return answer_tokens(offsets, start, start + len(text))

    def outputs(self, output: Any, features: Sequence[Feature]) -> list[WindowScores]:
        """For each feature its logits and which characters its tokens are."""
        start = float_array("start_logits", output.start_logits)
        end = float_array("end_logits", output.end_logits)
        lengths = [len(feature.place) for feature in features]
        return [
            WindowScores(a[:n], b[:n], feature.place)
            for a, b, n, feature in zip(start, end, lengths, features)
        ]

    def decode(
        self, example: Any, features: Sequence[Feature], outputs: Sequence[WindowScores]
    ) -> Prediction:
        spans, null = best_spans(outputs, max_answer_length=self.settings.max_answer_length)
        threshold = self.settings.null_threshold
        text = answer_text(example.context, spans, null, threshold)
        scores = [span.score for span in spans] + ([] if threshold is None and spans else [null])
        chances = probabilities(np.array(scores, np.float32)[None])[0]
        if not text:
            return Prediction("", 0, 0, float(chances[-1]))
        return Prediction(text, spans[0].start, spans[0].end, float(chances[0]))

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Any]) -> dict[str, float]:
        """SQuAD's figures; F1 of characters where answers are Chinese, which has no spaces."""
        answers = [[answer.text for answer in example.answers] for example in examples]
        chinese = is_chinese(text for texts in answers for text in texts)
        return squad_metrics(
            predictions=[prediction.text for prediction in predictions],
            references=answers,
            tokenize=rouge_characters if chinese else str.split,
        )

    def answer(self, example: Any, prediction: Prediction) -> dict[str, Any]:
        """The answer, its characters, and its probability among the 20 best."""
        return {
            "answer": prediction.text,
            "score": prediction.score,
            "start": prediction.start,
            "end": prediction.end,
        }

    def record(self, example: Any, prediction: Prediction) -> dict[str, Any]:
        own = {"id": example.id} if example.id else {}
        return {**own, "question": example.question, **self.answer(example, prediction)}

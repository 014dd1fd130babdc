"""Extractive question answering: where in a context the answer stands, or that it has none.

A long context is seen in windows that overlap and cover all of it (`data/windows.py`). A window
without the answer has the first token for its target. In training an answer that no window of the
grid holds whole gets one of its own; whoever asks does not know the answer, so evaluation and
prediction see the grid alone.

Devlin and others, arXiv:1810.04805, section 4.2 and 4.3 (the null score of SQuAD 2.0).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..characters import is_chinese
from ..data import Encoded
from ..data.windows import (
    SpanScore,
    WindowScores,
    answer_target,
    answer_tokens,
    apart,
    best_spans,
    has_no_answer,
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
_COMPARED = 20  # the best answers, among which they have their probabilities


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
    top_k: int | None = option(
        None, "So many answers that share no word are given, best first.", COUNT
    )


class Prediction(NamedTuple):
    """An answer ("" for none), its characters in the context, its probability, and in which of
    several documents it stands."""

    text: str
    start: int
    end: int
    score: float
    document: str | int | None = None


class WindowPlace(NamedTuple):
    """The characters (T, 2) of a window's tokens, and the number of the document they are of."""

    offsets: Array
    document: int


@register
class QuestionAnswering(Task):
    """Spans of a context, or of several documents. A prediction is a list of `Prediction`, the
    best first, one or so many as `top_k` says."""

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
        encoded = iter(self._encoded(examples))
        return [
            [
                feature
                for number, text in enumerate(example.documents.values())
                for feature in self._windows(
                    example, text, next(encoded), number, labelled=labelled
                )
            ]
            for example in examples
        ]

    def encode_to_learn(self, examples: Sequence[Any]) -> list[list[Feature]]:
        pairs = zip(examples, self._encoded(examples))
        return [self._windows(e, e.context, one, labelled=True, cover=True) for e, one in pairs]

    def _encoded(self, examples: Sequence[Any]) -> list[Encoded]:
        """Each question with each of its documents."""
        pairs = [(e.question, text) for e in examples for text in e.documents.values()]
        questions, contexts = map(list, zip(*pairs))
        return self.encoder.encode(questions, contexts, truncation=False, return_offsets=True)

    def _windows(
        self,
        example: Any,
        context: str,
        encoded: Encoded,
        number: int = 0,
        *,
        labelled: bool,
        cover: bool = False,
    ) -> list[Feature]:
        """Windows over the context; `cover` adds one around an answer that is whole in none."""
        kept = self._cut_question(encoded)
        ids, types = encoded.input_ids[kept], encoded.token_type_ids[kept]
        tokens = np.flatnonzero(encoded.sequence_ids[kept] == 1)
        first, count = (int(tokens[0]), len(tokens)) if tokens.size else (len(ids), 0)
        offsets = np.asarray(encoded.offsets)[kept][first : first + count]
        offsets = trimmed_offsets(context, offsets)
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
            characters = np.full((len(part), 2), -1, np.int64)
            characters[first : first + stop - start] = offsets[start:stop]
            features.append(
                Feature(inputs, WindowPlace(characters, number), len(kept) < len(encoded))
            )
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
        places = [feature.place for feature in features]
        return [
            WindowScores(a[: len(place.offsets)], b[: len(place.offsets)], *place)
            for a, b, place in zip(start, end, places)
        ]

    def decode(
        self, example: Any, features: Sequence[Feature], outputs: Sequence[WindowScores]
    ) -> list[Prediction]:
        count = self.settings.top_k or 1
        longest = self.settings.max_answer_length
        spans, null = best_spans(outputs, n_best=_COMPARED * count, max_answer_length=longest)
        return self._ranked(example, spans, null)[:count]

    def _ranked(self, example: Any, spans: Sequence[SpanScore], null: float) -> list[Prediction]:
        """Answers with their probabilities; that there is none among them, if that can be."""
        threshold = self.settings.null_threshold
        may_be_none = threshold is not None or not spans
        scores = [span.score for span in spans[:_COMPARED]] + [null] * may_be_none
        chances = probabilities(np.array(scores, np.float32)[None])[0]
        names, texts = zip(*example.documents.items())
        found = [
            Prediction(
                texts[span.document][span.start : span.end],
                span.start,
                span.end,
                float(chances[0]) * math.exp(span.score - scores[0]),
                names[span.document],
            )
            for span in apart(spans)
        ]
        if may_be_none:
            none = Prediction("", 0, 0, float(chances[-1]))
            first = 0 if has_no_answer(spans, null, threshold) else 1
            better = sum(one.score > none.score for one in found[1:])
            found.insert(first and 1 + better, none)
        return found

    def score(
        self, predictions: Sequence[Sequence[Prediction]], examples: Sequence[Any]
    ) -> dict[str, float]:
        """SQuAD's figures; F1 of characters where answers are Chinese, which has no spaces."""
        answers = [[answer.text for answer in example.answers] for example in examples]
        chinese = is_chinese(text for texts in answers for text in texts)
        return squad_metrics(
            predictions=[best.text for best, *_ in predictions],
            references=answers,
            tokenize=rouge_characters if chinese else str.split,
        )

    def answer(self, example: Any, prediction: Sequence[Prediction]) -> Any:
        """The answer, its characters, its probability among the 20 best, and of several documents
        the name of its own; with `top_k` above 1 a list of such."""
        answers = [self._plain_answer(example, one) for one in prediction]
        return answers[0] if self.settings.top_k in (None, 1) else answers

    def _plain_answer(self, example: Any, found: Prediction) -> dict[str, Any]:
        own = {} if isinstance(example.context, str) else {"document": found.document}
        return {
            "answer": found.text,
            "score": found.score,
            "start": found.start,
            "end": found.end,
            **own,
        }

    def record(self, example: Any, prediction: Sequence[Prediction]) -> dict[str, Any]:
        own = {"id": example.id} if example.id else {}
        answers = [self._plain_answer(example, one) for one in prediction]
        others = {} if self.settings.top_k is None else {"top_k": answers}
        return {**own, "question": example.question, **answers[0], **others}

"""Token classification: a tag for each word, such as named entities in IOB2.

Labels stand on the first sub-token of a word. Plain text is cut into words as the training data is
(`data/words.py`), and the model sees them as it saw those. A sentence longer than the model takes
is seen in windows of whole words; each word is learned and predicted in the one window where it has
most context, so that none is lost (`data/alignment.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..data import Encoded, TextExample, TokenExample
from ..data.alignment import (
    WordWindow,
    fill_words,
    first_tokens,
    merge_words,
    window_labels,
    window_tokens,
    word_windows,
)
from ..data.batches import IGNORE_INDEX
from ..data.words import JOINERS, joiners_of, word_spans
from ..errors import ConfigError
from ..metrics import accuracy, entity_metrics, f1_score, spans_of
from ..metrics.tags import is_tag
from ..options import NOT_NEGATIVE, option
from .features import Feature
from .registry import register
from .task import Array, Task, TaskSettings, ends_of, float_array, probabilities


@dataclass(frozen=True)
class TokenClassificationSettings(TaskSettings):
    """Options of token classification."""

    overlap: int | None = option(
        None,
        "Sub-tokens that windows of a long sentence share; default a quarter of a window.",
        NOT_NEGATIVE,
    )
    word_joiners: str | None = option(
        None,
        "Signs that are inside words of plain text; default those of & - / ' that are in the "
        "training data's.",
    )


class Place(NamedTuple):
    """Where a feature is in its sentence: its window, tokens before its first word, and the
    sub-tokens of each word of the sentence (W,)."""

    window: WordWindow
    before: int
    counts: Array


class Tagging(NamedTuple):
    """Tags of the words of a sentence and the probability of each."""

    tags: list[str]
    scores: Array


@register
class TokenClassification(Task):
    """A tag a word; entities where tags have prefixes (B-PER). A prediction is a `Tagging`."""

    name = "token-classification"
    answer_fields = ("tags", "entities")
    metric = "f1"
    labelled = True
    settings_class = TokenClassificationSettings

    @classmethod
    def settings_for(cls, settings: Any, examples: Sequence[Any]) -> Any:
        if settings.word_joiners is not None:
            return settings
        found = joiners_of(example.tokens for example in examples)
        return dataclasses.replace(settings, word_joiners=found)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        sentences = [self._words(example) for example in examples]
        encoded = self.encoder.encode(sentences, truncation=False, is_split_into_words=True)
        return [
            self._windows(one, len(words), self.labels.ids(example.tags) if labelled else None)
            for example, words, one in zip(examples, sentences, encoded)
        ]

    def _windows(self, encoded: Encoded, words: int, labels: Array | None) -> list[Feature]:
        if words == 0:
            return []
        special = self.encoder.special
        unknown = special.unk_token_id if special.unk_token_id is not None else 0
        ids, counts = fill_words(encoded.input_ids, np.asarray(encoded.word_ids), words, unknown)
        before, after = ends_of(encoded)
        size, overlap = self._window_size(len(before) + len(after), len(ids))
        features = []
        for window in word_windows(counts, size, overlap):
            tokens = window_tokens(window, counts, size)
            inputs: dict[str, Any] = self.model_inputs(
                np.concatenate([before, ids[tokens], after]),
                np.zeros(len(before) + len(tokens) + len(after)),
            )
            if labels is not None:
                inputs["labels"] = np.pad(
                    window_labels(window, counts, labels, size),
                    (len(before), len(after)),
                    constant_values=IGNORE_INDEX,
                )
            cut = int(counts[window.start : window.stop].sum()) > len(tokens)
            features.append(Feature(inputs, Place(window, len(before), counts), cut))
        return features

    def _window_size(self, added: int, length: int) -> tuple[int, int]:
        """Sub-tokens of words in a window, and how many the next one repeats."""
        size = length if self.max_length is None else self.max_length - added
        if size < 1:
            raise ConfigError(
                f"max_length: got {self.max_length}, expected more than {added} special tokens"
            )
        overlap = self.settings.overlap
        return size, size // 4 if overlap is None else overlap

    def outputs(self, output: Any, features: Sequence[Feature]) -> list[Array]:
        """For each feature the logits (words, labels) of the words in its window."""
        logits = float_array("logits", output.logits)
        return [
            row[feature.place.before + first_tokens(feature.place.window, feature.place.counts)]
            for row, feature in zip(logits, features)
        ]

    def decode(
        self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]
    ) -> Tagging:
        if not features:
            return Tagging([], np.empty(0, np.float32))
        logits = merge_words([feature.place.window for feature in features], outputs)
        chances = probabilities(logits)
        best = chances.argmax(axis=1)
        return Tagging(self.labels.names(best), chances[np.arange(len(best)), best])

    def score(self, predictions: Sequence[Tagging], examples: Sequence[Any]) -> dict[str, float]:
        found = [list(prediction.tags) for prediction in predictions]
        wanted = [list(example.tags) for example in examples]
        if self._has_entities:
            return entity_metrics(predictions=found, references=wanted)
        flat_found = [tag for tags in found for tag in tags]
        flat_wanted = [tag for tags in wanted for tag in tags]
        return {
            "f1": f1_score(predictions=flat_found, references=flat_wanted),
            "accuracy": accuracy(predictions=flat_found, references=flat_wanted),
        }

    @property
    def _has_entities(self) -> bool:
        """Whether labels are tags with prefixes, O among them."""
        return "O" in self.labels.label2id and all(map(is_tag, self.labels.labels))

    def answer(self, example: Any, prediction: Tagging) -> list[dict]:
        """Entities with the mean probability of their words, and their characters in the text."""
        text, spans = self._text(example)
        words = [text[begin:end] for begin, end in spans]
        if not self._has_entities:
            return [
                {"entity": tag, "score": float(score), "word": word, "start": a, "end": b}
                for tag, score, word, (a, b) in zip(*prediction, words, spans)
            ]
        found = []
        for entity in spans_of(prediction.tags):
            start, end = spans[entity.start][0], spans[entity.end - 1][1]
            mean = float(prediction.scores[entity.start : entity.end].mean(dtype=np.float64))
            found.append(
                {
                    "entity_group": entity.type,
                    "score": mean,
                    "word": text[start:end],
                    "start": start,
                    "end": end,
                }
            )
        return found

    def plain(self, record: Mapping[str, Any]) -> str:
        """The tags of the words, with blanks between them."""
        return " ".join(record["tags"] or ())

    def record(self, example: Any, prediction: Tagging) -> dict[str, Any]:
        return {
            "tokens": self._words(example),
            "tags": list(prediction.tags),
            "entities": self.answer(example, prediction),
        }

    def _words(self, example: Any) -> list[str]:
        """The words of a sentence; of plain text its words, signs and Chinese characters."""
        if isinstance(example, TokenExample):
            return example.tokens
        text, spans = self._text(example)
        return [text[begin:end] for begin, end in spans]

    def _text(self, example: Any) -> tuple[str, list[tuple[int, int]]]:
        """The text, words joined by spaces where there are only words, and each word's
        characters."""
        if isinstance(example, TextExample):
            joiners = self.settings.word_joiners
            return example.text, word_spans(example.text, JOINERS if joiners is None else joiners)
        spans, start = [], 0
        for word in example.tokens:
            spans.append((start, start + len(word)))
            start += len(word) + 1
        return " ".join(example.tokens), spans

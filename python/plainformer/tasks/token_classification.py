"""Token classification: a tag for each word, such as named entities in IOB2.

Labels stand on the first sub-token of a word. Plain text is cut into words as the training data is
(`data/words.py`), and the model sees them as it saw those. A sentence longer than the model takes
is seen in windows of whole words; each word is learned and predicted in the one window where it has
most context, so that none is lost (`data/alignment.py`). What is answered makes sense: an entity
begins with B- and is of one type (`tag_decoding`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..data import Encoded, TextExample, TokenExample
from ..data.alignment import (
    WordWindow,
    fill_words,
    window_labels,
    window_tokens,
    word_windows,
)
from ..data.batches import IGNORE_INDEX
from ..data.words import JOINERS, joiners_of, word_spans
from ..errors import ConfigError
from ..metrics import accuracy, entity_metrics, f1_score
from ..metrics.tags import OUTSIDE, is_tag
from ..options import NOT_NEGATIVE, one_of, option
from .aggregation import (
    BY_PIECE,
    STRATEGIES,
    Pieces,
    entity,
    groups_of,
    piece_chances,
    word_chances,
    word_logits,
)
from .features import Feature
from .registry import register
from .report import Report
from .report_entities import entities_report, words_report
from .tag_decoding import TagDecoder
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
    aggregation_strategy: str | None = option(
        None,
        "How sub-tokens become entities, in transformers' words; default the most probable tags "
        "that make sense together.",
        one_of(*STRATEGIES),
    )


class Place(NamedTuple):
    """Where a feature is in its sentence: its window, how many sub-tokens of words it has, those of
    each word of the sentence (W,), and the sentence's sub-tokens."""

    window: WordWindow
    length: int
    counts: Array
    pieces: Pieces


class Tagging(NamedTuple):
    """Tags of the words of a sentence and the probability of each; the same of its sub-tokens where
    the strategy looks at those."""

    tags: list[str]
    scores: Array
    piece_tags: list[str] | None = None
    piece_scores: Array | None = None
    pieces: Pieces | None = None


@register
class TokenClassification(Task):
    """A tag a word; entities where tags have prefixes (B-PER). A prediction is a `Tagging`."""

    name = "token-classification"
    answer_fields = ("tags", "entities")
    metric = "f1"
    labelled = reports = True
    settings_class = TokenClassificationSettings

    @classmethod
    def settings_for(cls, settings: Any, examples: Sequence[Any]) -> Any:
        if settings.word_joiners is not None:
            return settings
        if any(example.text is not None for example in examples):  # whose words are cut so
            return dataclasses.replace(settings, word_joiners="")
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
        pieces = _pieces(encoded, ids, counts, len(before))
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
            features.append(Feature(inputs, Place(window, len(tokens), counts, pieces), cut))
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
        """For each feature the logits (sub-tokens, labels) of the words in its window."""
        logits = float_array("logits", output.logits)
        places = [feature.place for feature in features]
        return [
            row[place.pieces.before : place.pieces.before + place.length]
            for row, place in zip(logits, places)
        ]

    def decode(
        self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]
    ) -> Tagging:
        if not features:
            return Tagging([], np.empty(0, np.float32))
        windows = [feature.place.window for feature in features]
        place, strategy = features[0].place, self.settings.aggregation_strategy
        if strategy is None:
            logits = word_logits(windows, place.counts, outputs)
            chances = probabilities(logits)
            best = self._decoder.best(logits) if self._decoder else chances.argmax(axis=1)
        else:
            chances = word_chances(strategy, windows, place.counts, outputs)
            best = chances.argmax(axis=1)
        tagging = Tagging(*self._tagged(chances, best))
        if strategy not in BY_PIECE:
            return tagging
        chances = piece_chances(windows, place.counts, outputs)
        tags, scores = self._tagged(chances, chances.argmax(axis=1))
        return tagging._replace(piece_tags=tags, piece_scores=scores, pieces=place.pieces)

    def _tagged(self, chances: Array, best: Array) -> tuple[list[str], Array]:
        return self.labels.names(best), chances[np.arange(len(best)), best]

    @cached_property
    def _decoder(self) -> TagDecoder | None:
        """What keeps tags in order, where labels are such."""
        return TagDecoder(self.labels.labels) if self._has_entities else None

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

    def report(self, predictions: Sequence[Tagging], examples: Sequence[Any]) -> Report:
        """Of entities by their type; of other tags a word at a time."""
        make = entities_report if self._has_entities else words_report
        return make(predictions, examples, [self._text(example) for example in examples])

    @property
    def _has_entities(self) -> bool:
        """Whether labels are tags with prefixes, O among them."""
        return OUTSIDE in self.labels.label2id and all(map(is_tag, self.labels.labels))

    def answer(self, example: Any, prediction: Tagging) -> list[dict]:
        """Entities with the mean probability of their words, and their characters in the text.

        Tags without prefixes, such as parts of speech, are answered word by word unless an
        `aggregation_strategy` asks for groups. "simple" groups sub-tokens, "none" answers each.
        """
        text, spans = self._text(example)
        tags, scores = prediction.tags, prediction.scores
        if prediction.pieces is not None and prediction.piece_scores is not None:
            spans = _piece_spans(prediction.pieces, spans)
            tags, scores = prediction.piece_tags or [], prediction.piece_scores
        strategy = self.settings.aggregation_strategy
        if strategy == "none":
            return [one for one in self._each(prediction, text, spans) if one["entity"] != OUTSIDE]
        if strategy is None and not self._has_entities:
            return [
                {"entity": tag, "score": float(score), "word": text[a:b], "start": a, "end": b}
                for tag, score, (a, b) in zip(tags, scores, spans)
            ]
        return [
            entity(
                group.type, scores[group.start : group.end], text,
                spans[group.start][0], spans[group.end - 1][1],
            )
            for group in groups_of(tags)
        ]  # fmt: skip

    def _each(self, prediction: Tagging, text: str, spans: Sequence[Any]) -> Iterator[dict]:
        """Each sub-token by itself; `index` is its place among the model's inputs, were the text in
        one window. An unknown one is called what stands there."""
        pieces, scores = prediction.pieces, prediction.piece_scores
        if pieces is None or scores is None:  # of no words
            return
        unknown = self.encoder.special.unk_token_id
        for i, tag in enumerate(prediction.piece_tags or ()):
            (start, end), token = spans[i], int(pieces.ids[i])
            word = text[start:end] if token == unknown else self.tokenizer.id_to_token(token)
            yield {
                "entity": tag, "score": float(scores[i]), "index": pieces.before + i, "word": word,
                "start": start, "end": end,
            }  # fmt: skip

    def plain(self, record: Mapping[str, Any]) -> str:
        """The tags of the words, with blanks between them."""
        return " ".join(record["tags"] or ())

    def record(self, example: Any, prediction: Tagging) -> dict[str, Any]:
        return {
            "text": self._text(example)[0],
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
        if example.text is not None and example.spans is not None:
            return example.text, [(start, end) for start, end in example.spans]
        spans, start = [], 0
        for word in example.tokens:
            spans.append((start, start + len(word)))
            start += len(word) + 1
        return " ".join(example.tokens), spans


def _pieces(encoded: Encoded, ids: Array, counts: Array, before: int) -> Pieces:
    """The sub-tokens of all words; one that stands for a word of which nothing was left has none of
    its characters."""
    words = np.repeat(np.arange(len(counts)), counts)
    spans = np.zeros((len(ids), 2), np.int64)
    known = np.asarray(encoded.word_ids)
    spans[np.isin(words, known)] = np.asarray(encoded.offsets)[known >= 0]
    return Pieces(ids, spans, words, before)


def _piece_spans(pieces: Pieces, words: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where sub-tokens are in the text; `words` says it of the words."""
    starts = np.array([start for start, _ in words])[pieces.words]
    return [(int(a), int(b)) for a, b in pieces.spans + starts[:, None]]

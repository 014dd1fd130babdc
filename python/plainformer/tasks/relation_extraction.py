"""Relation extraction: the relation between two entities of a text, between markers.

    [CLS] the [E1] company [/E1] fabricates plastic [E2] chairs [/E2] [SEP]

`[E1]` and `[/E1]` enclose the head (what data files call e1), `[E2]` and `[/E2]` the tail. Where
the training data has types, markers are `[E1:PER]`, ... The markers are tokens of their own, and a
text that spells one is still text. Of a text that is too long the tokens nearest to a marker stay,
so that no marker is ever lost.

Soares and others, "Matching the Blanks", ACL 2019, arXiv:1906.03158; typed markers: Zhou, Chen, "An
Improved Baseline for Sentence-level Relation Extraction", arXiv:2102.01373.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..data import Encoded, RelationExample, TextEncoder
from ..data.encoding import share_vocabulary
from ..data.special_tokens import add_marks
from ..errors import ConfigError
from ..metrics import accuracy, f1_score, relation_metrics, relation_scores
from ..options import option
from .features import Feature
from .registry import register
from .report import Report, asked_of, labels_report
from .task import Array, Task, TaskSettings, ends_of, probabilities

_MARKS = 4


@dataclass(frozen=True)
class RelationExtractionSettings(TaskSettings):
    """Options of relation extraction."""

    other: str = option("Other", "The label that means no relation; its F1 is not counted.")


@register
class RelationExtraction(Task):
    """The label of a relation. A prediction is the probability of each, float32 (labels,)."""

    name = "relation-extraction"
    answer_fields = ("label", "score")
    metric = "f1"
    labelled = reports = True
    settings_class = RelationExtractionSettings

    def __init__(self, tokenizer: Tokenizer, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        plain = share_vocabulary(tokenizer, all_is_text=True)
        self.encoder = TextEncoder(plain, self.encoder.special)
        if tokenizer.token_to_id("[E1]") is None:
            raise ConfigError("tokenizer: has no [E1]; the model was not fine-tuned for relations")

    @classmethod
    def prepare_tokenizer(
        cls, tokenizer: Tokenizer, examples: Sequence[Any], word: str, settings: Any
    ) -> None:
        heads = {example.head_type for example in examples} - {None}
        tails = {example.tail_type for example in examples} - {None}
        marks = [
            mark
            for place, kinds in (("E1", heads), ("E2", tails))
            for kind in (None, *sorted(kinds))
            for mark in marks_of(place, kind)
        ]
        add_marks(tokenizer, marks)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        encoded = self.encoder.encode(
            [example.text for example in examples], truncation=False, return_offsets=True
        )
        features = []
        for example, one in zip(examples, encoded):
            inputs, cut = self._marked(example, one)
            if labelled:
                inputs["labels"] = np.int64(self.labels.label2id[example.label])
            features.append([Feature(inputs, cut=cut)])
        return features

    def _marked(self, example: RelationExample, encoded: Encoded) -> tuple[dict[str, Any], bool]:
        """The inputs, with markers, and whether tokens were left out."""
        before, after = ends_of(encoded)
        text = slice(len(before), len(encoded) - len(after))
        places = marker_places(np.asarray(encoded.offsets)[text], example)
        marks = self._mark_ids(example)
        ids = np.insert(encoded.input_ids[text], places, marks)
        role = np.insert(np.zeros(len(ids) - _MARKS, np.int64), places, np.arange(1, _MARKS + 1))
        kept = self._nearest(role > 0, len(before) + len(after))
        ids, role = ids[kept], role[kept]
        inputs: dict[str, Any] = self.model_inputs(
            np.concatenate([before, ids, after]), np.zeros(len(before) + len(ids) + len(after))
        )
        opening = [int(np.flatnonzero(role == r)[0]) for r in (1, 3)]
        inputs["entity_positions"] = len(before) + np.array(opening, np.int64)
        return inputs, len(kept) < len(encoded.input_ids[text]) + _MARKS

    def _mark_ids(self, example: RelationExample) -> list[Any]:
        """Ids of `[E1] [/E1] [E2] [/E2]`, of the entities' types where they have tokens."""
        ids: list[Any] = []
        for place, kind in (("E1", example.head_type), ("E2", example.tail_type)):
            for typed, plain in zip(marks_of(place, kind), marks_of(place, None)):
                known = self.tokenizer.token_to_id(typed)
                ids.append(self.tokenizer.token_to_id(plain) if known is None else known)
        return ids

    def _nearest(self, is_mark: Array, added: int) -> Array:
        """Indices, in order, of the tokens that fit: markers, and those nearest to one."""
        everything = np.arange(len(is_mark))
        if self.max_length is None or len(is_mark) + added <= self.max_length:
            return everything
        room = self.max_length - added
        if room < _MARKS:
            raise ConfigError(
                f"max_length: got {self.max_length}, expected at least {added + _MARKS}: "
                "special tokens and the markers of two entities"
            )
        marks = np.flatnonzero(is_mark)
        distance = np.abs(everything[:, None] - marks).min(axis=1)
        return np.sort(np.argsort(distance, kind="stable")[:room])

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> Array:
        return probabilities(outputs[0][None])[0]

    def score(self, predictions: Sequence[Array], examples: Sequence[Any]) -> dict[str, float]:
        found = self.labels.names(int(p.argmax()) for p in predictions)
        wanted = [example.label for example in examples]
        if all(label == self.settings.other for label in wanted):  # no relation to find
            return {"f1": 0.0, "accuracy": accuracy(predictions=found, references=wanted)}
        macro = f1_score(predictions=found, references=wanted)
        return {
            **relation_metrics(predictions=found, references=wanted, other=self.settings.other),
            "macro_f1": macro,
        }

    def report(self, predictions: Sequence[Array], examples: Sequence[Any]) -> Report:
        """Scores are those of relations without their directions, as in `relation_scores`."""
        found = self.labels.names(int(p.argmax()) for p in predictions)
        wanted = [example.label for example in examples]
        scores = relation_scores(predictions=found, references=wanted, other=self.settings.other)
        asked = []
        for example, prediction in zip(examples, predictions):
            fields = {**self.answer(example, prediction), "text": example.text}
            own = {name: fields[name] for name in ("head", "tail", "text")}
            asked.append(asked_of(example, own))
        labels = self.labels.labels
        return labels_report("relation", labels, predictions, wanted, asked, scores)

    def answer(self, example: Any, prediction: Array) -> dict[str, Any]:
        """The relation, its probability, and the texts of both entities."""
        best = int(prediction.argmax())
        return {
            "label": self.labels.labels[best],
            "score": float(prediction[best]),
            "head": example.text[slice(*example.head)],
            "tail": example.text[slice(*example.tail)],
        }

    def record(self, example: Any, prediction: Array) -> dict[str, Any]:
        answer = self.answer(example, prediction)
        return {
            "text": example.text,
            "head": list(example.head),
            "tail": list(example.tail),
            "label": answer["label"],
            "score": answer["score"],
        }


def marks_of(place: str, kind: str | None) -> tuple[str, str]:
    """The opening and closing marker of E1 or E2, of entities of a type."""
    suffix = "" if kind is None else f":{kind}"
    return f"[{place}{suffix}]", f"[/{place}{suffix}]"


def marker_places(offsets: Array, example: RelationExample) -> list[int]:
    """Before which tokens the four markers stand: head opening and closing, tail the same.

    offsets : (T, 2), characters of each token
    """
    return [
        place
        for start, end in (example.head, example.tail)
        for place in (
            int(np.count_nonzero(offsets[:, 1] <= start)),
            int(np.count_nonzero(offsets[:, 0] < end)),
        )
    ]

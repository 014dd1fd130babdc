"""Labels of a data set: how many, in which order, and which of them a model has not learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, listed, shown
from ..metrics.tags import LETTERS, OUTSIDE, detect_scheme, is_tag, split_tag
from .examples import RelationExample, TextExample, TokenExample

_SHOWN = 8  # labels named in a message


def labels_of(example: Any) -> list[str]:
    """The labels of an example: its one or several, the tags of its words; a number is none."""
    if isinstance(example, TokenExample):
        return example.tags or []
    if isinstance(example, (TextExample, RelationExample)) and example.label is not None:
        given = example.label if isinstance(example.label, tuple) else (example.label,)
        return [label for label in given if isinstance(label, str)]
    return []


def label_counts(examples: Iterable[Any]) -> Counter[str]:
    """How often each label (or tag) occurs."""
    counts: Counter[str] = Counter()
    for example in examples:
        counts.update(labels_of(example))
    return counts


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Each label once: by value where all are integers, else by code points."""
    different = set(labels)
    if all(_is_integer(label) for label in different):
        return sorted(different, key=lambda label: (int(label), label))
    return sorted(different)


def label_set(examples: Iterable[Any]) -> list[str]:
    """The labels that a model for these examples gives, in the order of `sort_labels`.

    Tags with prefixes are completed: a type seen as `B-X` alone also gets `I-X` (IOBES: all four
    letters), and `O` is always there, so that no tag of a known type is unseen later.

    Raises
    ------
    DataError : no label at all, or only one: nothing to tell apart
    """
    examples = list(examples)
    counts = label_counts(examples)
    tagged = any(isinstance(example, TokenExample) for example in examples)
    labels = _completed(counts) if tagged and all(map(is_tag, counts)) else sort_labels(counts)
    if len(labels) < 2:
        got = f"only {shown(labels[0])}, in {len(examples)} examples" if labels else "none"
        file = examples[0].file if examples else None
        raise DataError(f"labels: got {got}; expected at least two to tell apart", file or None)
    return labels


def unseen_labels(examples: Iterable[Any], known: Iterable[str]) -> Counter[str]:
    """How often each label occurs that is not among `known`."""
    known = set(known)
    return Counter({k: n for k, n in label_counts(examples).items() if k not in known})


def check_labels(examples: Sequence[Any], known: Sequence[str]) -> None:
    """See to it that every label is among those that the model gives.

    Raises
    ------
    DataError : with file and line of the first that is not, all of them and how often
    """
    unseen = unseen_labels(examples, known)
    if not unseen:
        return
    first = next(e for e in examples if any(label in unseen for label in labels_of(e)))
    label = next(label for label in labels_of(first) if label in unseen)
    every = ", ".join(f"{shown(name)} {count} times" for name, count in unseen.most_common(_SHOWN))
    more = f" and {len(unseen) - _SHOWN} others" if len(unseen) > _SHOWN else ""
    raise DataError(
        f"label {shown(label)} is not among the {len(known)} known ones "
        f"({listed(known, _SHOWN)}); such labels: {every}{more}",
        first.file or None,
        first.line,
    )


class LabelMap:
    """Names of labels and their ids, 0 to L - 1, as a config's `id2label` and `label2id`.

    Parameters
    ----------
    labels : names in the order of their ids, each once

    Raises
    ------
    ConfigError : a label twice
    """

    def __init__(self, labels: Iterable[str]):
        self.labels = tuple(labels)
        self.label2id = {label: i for i, label in enumerate(self.labels)}
        if len(self.label2id) != len(self.labels):
            twice = next(k for k, n in Counter(self.labels).items() if n > 1)
            raise ConfigError(f"labels: got {shown(twice)} twice, expected each once")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def id2label(self) -> dict[int, str]:
        return dict(enumerate(self.labels))

    @classmethod
    def from_id2label(cls, id2label: Mapping[Any, str]) -> LabelMap:
        """From a config's `id2label`, whose keys JSON makes strings.

        Raises
        ------
        ConfigError : keys that are not 0 to L - 1, a label twice or that is no string
        """
        try:
            by_id = {int(key): label for key, label in id2label.items()}
        except (TypeError, ValueError) as error:
            raise ConfigError(f"id2label: expected ids for keys, got {error}") from error
        if sorted(by_id) != list(range(len(id2label))):
            raise ConfigError(f"id2label: got ids {shown(sorted(by_id))}, expected 0, 1, 2, ...")
        if not all(isinstance(label, str) for label in by_id.values()):
            raise ConfigError("id2label: expected strings for labels")
        return cls(by_id[i] for i in range(len(by_id)))

    def extended(self, labels: Iterable[str]) -> LabelMap:
        """This map with the labels that it lacks after its own, which keep their ids."""
        new = [label for label in sort_labels(labels) if label not in self.label2id]
        return LabelMap((*self.labels, *new))

    def ids(self, labels: Iterable[str]) -> np.ndarray:
        """int64 array of the ids; DataError naming a label that has none."""
        labels = list(labels)
        unknown = next((label for label in labels if label not in self.label2id), None)
        if unknown is not None:
            raise DataError(
                f"label {shown(unknown)} is not among the {len(self)} known ones "
                f"({listed(self.labels, _SHOWN)})"
            )
        return np.array([self.label2id[label] for label in labels], np.int64)

    def names(self, ids: Iterable[int]) -> list[str]:
        """The labels of ids."""
        return [self.labels[int(i)] for i in ids]


def _completed(tags: Iterable[str]) -> list[str]:
    letters = LETTERS[detect_scheme(tags)]
    types = {split_tag(tag)[1] for tag in tags if tag != OUTSIDE}
    return sort_labels([OUTSIDE, *(f"{letter}-{kind}" for kind in types for letter in letters)])


def _is_integer(label: str) -> bool:
    return label.removeprefix("-").isdecimal()

"""Training data cut in two, and what is odd about it: repeated texts, texts in both parts, labels
that look like others or have hardly an example."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.examples import texts_of
from ..data.labels import label_counts, labels_of
from ..errors import DataError, listed, shown

_STREAM = 5  # of the seed, apart from those of data order and dropout
_FEW = 3  # examples a label should have


def cut_off(examples: Sequence[Any], fraction: float, seed: int) -> tuple[list[Any], list[Any]]:
    """(rest, part): a random part of the examples, as large for each label where there are labels.

    A label with one example stays in the rest. Both keep the order of the examples.

    Raises
    ------
    DataError : so few examples that one of both would be empty
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, _STREAM]))
    groups = defaultdict(list)
    for i in rng.permutation(len(examples)):
        label = getattr(examples[i], "label", None)
        groups[label if isinstance(label, (str, tuple)) else None].append(int(i))
    chosen: set[int] = set()
    due = 0.0
    for label in sorted(groups, key=repr):
        own = groups[label]
        due += fraction * len(own)  # what rounding leaves goes on to the next label
        count = min(round(due), len(own) - 1)
        due -= count
        chosen.update(own[: max(count, 0)])
    if not chosen:
        raise DataError(
            f"validation_fraction: {fraction} of {len(examples)} examples is none; give more, or "
            "a larger part"
        )
    rest = [e for i, e in enumerate(examples) if i not in chosen]
    return rest, [e for i, e in enumerate(examples) if i in chosen]


def oddities(train: Sequence[Any], tests: Mapping[str, Sequence[Any]]) -> list[str]:
    """A line for each thing about the data that may be a mistake; tests by their names."""
    known = Counter(map(_asked, train))
    again = known.total() - len(known)
    found = [f"train: {again} of {known.total()} examples are there before"] if again else []
    clashes = _clashes(train)
    found += [f"train: {clashes} texts have several labels"] if clashes else []
    for name, examples in tests.items():
        shared = sum(_asked(example) in known for example in examples)
        if shared:
            found.append(f"{name}: {shared} of {len(examples)} examples are in train too")
    return found + _odd_labels(train)


def _asked(example: Any) -> tuple[Any, ...]:
    """What a model is asked: texts without what it should answer, and entities it is told."""
    texts = (pair for pair in texts_of(example) if pair[0] != "target")
    return (*texts, getattr(example, "head", None), getattr(example, "tail", None))


def _clashes(train: Sequence[Any]) -> int:
    labels: dict[Any, set[Any]] = defaultdict(set)
    for example in train:
        label = getattr(example, "label", None)
        if isinstance(label, str) and hasattr(example, "text"):
            labels[_asked(example)].add(label)
    return sum(len(own) > 1 for own in labels.values())


def _odd_labels(train: Sequence[Any]) -> list[str]:
    """Labels that differ by case or blanks alone, and those with few examples; tags have neither
    told, as "O" and the parts of rare entities are no mistakes."""
    if not train or hasattr(train[0], "tokens"):
        return []
    counts, found = label_counts(train), []
    alike = defaultdict(list)
    for label in counts:
        alike[" ".join(label.casefold().split())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            told = " and ".join(map(shown, sorted(labels)))
            found.append(f"train: labels {told} differ by case or blanks alone")
    few = sorted(label for label, count in counts.items() if count < _FEW)
    if few:
        found.append(f"train: fewer than {_FEW} examples of {len(few)} labels: {listed(few)}")
    return found


def majority(train: Sequence[Any], examples: Sequence[Any]) -> tuple[str, float] | None:
    """The most frequent label of train, and the share of examples that have it; None where they
    have not one label each."""
    counts = label_counts(train)
    tested = label_counts(examples)
    one_each = all(len(labels_of(e)) == 1 and not hasattr(e, "tokens") for e in examples)
    if not counts or not one_each or not examples:
        return None
    label = min(counts, key=lambda name: (-counts[name], name))
    return label, tested[label] / len(examples)

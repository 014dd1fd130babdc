"""What is shown of a data set before training: format, first examples, labels, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .examples import (
    ChoiceExample,
    DialogueExample,
    PairExample,
    QuestionExample,
    RelationExample,
    SimilarityExample,
    TextExample,
    TokenExample,
    texts_of,
)
from .labels import label_counts

_PERCENTILES = (50, 90, 99, 100)
_LABELS = 12  # labels listed; the rest is counted


class Lengths(NamedTuple):
    """Lengths at the 50th, 90th and 99th percentile, and the largest."""

    p50: int
    p90: int
    p99: int
    largest: int


@dataclass(frozen=True)
class Description:
    """What `describe` found; `str()` gives the lines to show.

    `lengths` maps a part ("text", "context", ...) and a unit ("characters", "words") to lengths;
    `labels` counts labels or tags, most frequent first; `first` has the first examples shortened.
    """

    task: str
    format: str
    source: tuple[str, ...]
    count: int
    skipped: int
    ignored: dict[str, int]
    first: list[str]
    labels: dict[str, int]
    lengths: dict[tuple[str, str], Lengths]

    def __str__(self) -> str:
        plural = "s" * (self.skipped != 1)
        bad = f", {self.skipped} bad line{plural} skipped" if self.skipped else ""
        other = "".join(f", {count} {name}" for name, count in self.ignored.items())
        lines = [f"{', '.join(self.source)}: {self.format}, {self.count} examples{bad}{other}"]
        lines += [f"  {text}" for text in self.first]
        if self.labels:
            shown = [f"{label} {count}" for label, count in list(self.labels.items())[:_LABELS]]
            more = [f"{len(self.labels) - _LABELS} more"] if len(self.labels) > _LABELS else []
            lines.append(f"  {len(self.labels)} labels: {', '.join(shown + more)}")
        for (part, unit), lengths in self.lengths.items():
            p50, p90, p99, largest = lengths
            lines.append(f"  {part}, {unit}: 50 % {p50}, 90 % {p90}, 99 % {p99}, longest {largest}")
        return "\n".join(lines)


def describe(examples: Any, *, first: int = 3, width: int = 96) -> Description:
    """Describe what `read_examples` read.

    Parameters
    ----------
    examples : Examples, or other examples in memory
    first : int, examples shown
    width : int, characters of each

    Raises
    ------
    DataError : no examples
    """
    if len(examples) == 0:
        raise DataError("examples: got none, expected at least one")
    counts = label_counts(examples)
    if isinstance(examples[0], ChoiceExample):
        counts = Counter(f"choice {e.label}" for e in examples if e.label is not None)
    return Description(
        getattr(examples, "task", ""),
        getattr(examples, "format", "in memory"),
        getattr(examples, "source", ()),
        len(examples),
        getattr(examples, "skipped", 0),
        dict(getattr(examples, "ignored", {})),
        [_shortened(_shown(examples[i]), width) for i in range(min(first, len(examples)))],
        dict(counts.most_common()),
        _lengths(examples),
    )


def _lengths(examples: Sequence[Any]) -> dict[tuple[str, str], Lengths]:
    parts: dict[tuple[str, str], list[int]] = {}
    for example in examples:
        for part, unit, length in _measures(example):
            parts.setdefault((part, unit), []).append(length)
    return {
        key: Lengths(*(int(x) for x in np.percentile(v, _PERCENTILES, method="inverted_cdf")))
        for key, v in parts.items()
    }


def _measures(example: Any) -> list[tuple[str, str, int]]:
    """(part, unit, length) of what an example has."""
    if isinstance(example, TokenExample):
        return [("sentence", "words", len(example.tokens))]
    texts = texts_of(example)
    if isinstance(example, QuestionExample):
        texts += [("answer", answer.text) for answer in example.answers or ()]
    is_dialogue = isinstance(example, DialogueExample)
    found = [("dialogue", "turns", len(example.messages))] if is_dialogue else []
    for part, text in texts:
        found += [(part, "characters", len(text)), (part, "words", len(text.split()))]
    return found


def _labelled(example: TextExample | SimilarityExample) -> str:
    text = " | ".join(text for _, text in texts_of(example))
    if example.label is None:
        return text
    several = isinstance(example.label, tuple)
    label = ", ".join(map(str, example.label)) if several else example.label  # type: ignore[arg-type]
    return f"{label}: {text}"


def _shown(example: Any) -> str:
    """An example on one line, what is to be learned first."""
    match example:
        case TextExample() | SimilarityExample():
            return _labelled(example)
        case TokenExample():
            tags = example.tags or [""] * len(example.tokens)
            return " ".join(f"{w}/{t}" if t else w for w, t in zip(example.tokens, tags))
        case RelationExample():
            head, tail = (example.text[a:b] for a, b in (example.head, example.tail))
            return f"{example.label}: [{head}] [{tail}] {example.text}"
        case QuestionExample():
            found = " | ".join(a.text for a in example.answers or ())
            answers = "(no answer)" if example.answers == [] else found
            return f"{example.question} {answers}: {' '.join(example.documents.values())}"
        case ChoiceExample():
            marked = [f"{'*' * (i == example.label)}{c}" for i, c in enumerate(example.choices)]
            return f"{example.question} {' | '.join(marked)}"
        case PairExample():
            return f"{example.source} -> {example.target}" if example.target else example.source
        case _:
            return " ".join(f"{m.role}: {m.content}" for m in example.messages)


def _shortened(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."

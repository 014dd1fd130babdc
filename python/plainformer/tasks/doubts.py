"""What a person should be told of a model that learned little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.labels import label_counts
from ..errors import shown
from .task import Task

_HINT = "a higher learning_rate or more epochs may help"


def doubts(
    task: Task,
    tests: Mapping[str, Sequence[Any]],
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> list[str]:
    """A line for each test (prefix to examples) of which the model learned too little.

    It is no better than one answer to all, or worse than the model was before training.
    """
    found = []
    for prefix, examples in tests.items():
        why = _majority(task, examples, after.get(f"{prefix}_accuracy"))
        why = why or _worse(task.metric, prefix, before, after)
        if why is not None:
            found.append(f"{prefix}: {why}; {_HINT}")
    return found


def _majority(task: Task, examples: Sequence[Any], accuracy: float | None) -> str | None:
    if not task.labelled or accuracy is None:
        return None
    counts = label_counts(examples)
    if len(counts) < 2 or counts.total() != len(examples):  # tags, or several labels a text
        return None
    label, count = counts.most_common(1)[0]
    if accuracy > count / len(examples):
        return None
    return f"accuracy {accuracy:.4g} is no better than always answering {shown(label)}"


def _worse(
    metric: str, prefix: str, before: Mapping[str, float], after: Mapping[str, float]
) -> str | None:
    name = f"{prefix}_{metric}"
    then, now = before.get(name), after.get(name)
    if then is None or now is None:
        return None
    grows = metric.endswith(("loss", "perplexity", "bits_per_character", "bits_per_byte"))
    if (now > then) if grows else (now < then):
        return f"{metric} is {now:.4g}, and was {then:.4g} before training"
    if now == 0 and not grows:
        return f"{metric} is 0"
    return None

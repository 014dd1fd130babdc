"""Objects in memory as examples, checked as the lines of a file are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...errors import DataError
from ..examples import Example, required_fields, task_name
from ..records.jsonl import pick_fields
from ..records.pairs import pair_names
from ..records.source import Reading, Record
from .reader import field_names, make_builder


def examples_of(
    objects: Iterable[Any],
    task: str,
    *,
    name: str = "examples",
    skip_bad_lines: bool = False,
    columns: Mapping[str, Any] | None = None,
    labelled: bool = True,
    tag_scheme: str | None = None,
) -> list[Example]:
    """Objects that have the task's fields, such as {"text": ..., "label": ...}, as its examples.

    Parameters
    ----------
    objects : mappings; the second one is line 2 in messages
    name : what stands for the file in messages and in the examples
    others : as `read_examples`

    Raises
    ------
    DataError : something else, or an object that is no example of the task; none at all
    ConfigError : an unknown task, field in `columns`, or scheme
    """
    task = task_name(task)
    names = field_names(task, columns)
    build = make_builder(task, names, labelled, tag_scheme)
    wanted = ", ".join(required_fields(task, labelled))
    records = (_record(value, number, names, wanted) for number, value in enumerate(objects, 1))
    examples: list[Example] = list(build.examples(records, Reading(skip_bad_lines), name))
    if not examples:
        raise DataError("holds no examples", name)
    return examples


def plain_values(value: Any) -> Any:
    """Arrays and tuples as the lists that JSON has, NumPy's numbers as Python's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain_values(one) for one in value]
    return value


def _record(value: Any, number: int, names: dict[str, Any], wanted: str) -> Record:
    if isinstance(value, Mapping):
        fields = pick_fields(value, pair_names(names, value))
        return Record({field: plain_values(v) for field, v in fields.items()}, number)
    problem = f"got {type(value).__name__}, expected an object with {wanted}"
    return Record({}, number, problem=problem)

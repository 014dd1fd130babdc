"""Objects in memory as examples, checked as the lines of a file are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import DataError
from ..examples import Example, required_fields, task_name
from ..records.annotations import annotated, is_tuple
from ..records.jsonl import pick_fields
from ..records.naming import known_names, with_label_names
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
    bad_spans: str = "error",
    label_names: Sequence[str] | None = None,
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
    build = make_builder(task, names, labelled, tag_scheme, bad_spans)
    records: Iterable[Record] = (
        _record(value, number, names, task, labelled) for number, value in enumerate(objects, 1)
    )
    if label_names is not None:
        records = with_label_names(records, label_names)
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


def has_gold(rows: Sequence[Any], task: str) -> bool:
    """Whether all objects say what a model should give."""
    names = field_names(task, None)
    gold = required_fields(task, True)
    return all(set(gold) <= _record(row, 1, names, task, True).fields.keys() for row in rows) or (
        task == "token-classification"
        and all("entities" in _record(row, 1, names, task, True).fields for row in rows)
    )


def _record(value: Any, number: int, names: dict[str, Any], task: str, labelled: bool) -> Record:
    tagged = task == "token-classification"
    if isinstance(value, Mapping) or (tagged and is_tuple(value)):
        if tagged:
            known = known_names(names, value) if isinstance(value, Mapping) else names
            record = annotated(value, number, known, labelled)
        else:
            record = Record(
                pick_fields(value, pair_names(known_names(names, value), value)), number
            )
        return record._replace(
            fields={field: plain_values(v) for field, v in record.fields.items()}, own=None
        )
    wanted = ", ".join(required_fields(task, labelled))
    problem = f"got {type(value).__name__}, expected an object with {wanted}"
    return Record({}, number, problem=problem)

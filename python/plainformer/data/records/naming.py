"""What fields are called in a file where nobody says so: remembered names, and public data's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import short, shown
from .source import Record

NESTED = "translation"  # {"translation": {"de": ..., "en": ...}}, as Hugging Face's data sets
_TAGS = ("ner_tags", "pos_tags", "chunk_tags")
_NAMED = ("label", "tags")


class Remembered(dict[str, Any]):
    """Columns that a model learned from: a file that has the fields' own names may keep them."""


def known_names(names: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """What fields are called among these keys, an object's or those of a header.

    names : of each field; those that are `Remembered` give way to a field's own name, and a field
        that nobody named may have another that public data has for it
    """
    found = dict(names)
    if isinstance(names, Remembered):
        found |= {f: f for f, name in names.items() if f in keys and not _is_in(name, keys)}
    tags = [name for name in _TAGS if name in keys]
    if found.get("tags") == "tags" and "tags" not in keys and tags:
        found["tags"] = tags[0]
    if found.get("source") == "source" and "source" not in keys and found["target"] == "target":
        nested = keys.get(NESTED) if isinstance(keys, Mapping) else None
        if isinstance(nested, Mapping) and len(nested) == 2:
            found["source"], found["target"] = nested
    return found


def _is_in(name: Any, keys: Collection[str]) -> bool:
    """Whether a column is there; a header's names are in small letters."""
    return isinstance(name, str) and (name in keys or name.lower() in keys)


def told_names(names: Mapping[str, Any], fields: Iterable[str]) -> str:
    """Fields, and where each is from if it is called otherwise: "text from Review, label"."""
    return ", ".join(
        field if names.get(field, field) == field else f"{field} from {_told(names[field])}"
        for field in fields
    )


def _told(column: Any) -> str:
    """A column by its name or its number, or several."""
    if isinstance(column, list):
        return " and ".join(map(_told, column))
    return f"column {column}" if isinstance(column, int) else short(column)


def with_label_names(records: Iterable[Record], names: Sequence[str]) -> Iterator[Record]:
    """Records whose integer labels and tags are what they stand for; one out of range is a
    problem of its record, and -1, as public data has for none, is left out."""
    for record in records:
        try:
            fields = {f: _named(v, names) if f in _NAMED else v for f, v in record.fields.items()}
        except ValueError as error:
            yield record._replace(problem=str(error))
        else:
            yield record._replace(fields={f: v for f, v in fields.items() if v is not None})


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and value.strip().lstrip("-").isdecimal()):
        return value
    number = int(value)
    if number == -1:
        return None
    if not 0 <= number < len(names):
        raise ValueError(f"label {shown(value)}: expected 0 to {len(names) - 1}, see label_names")
    return names[number]

"""Texts with entities at offsets, as annotation tools and libraries write them.

| from | a text of it |
|---|---|
| plain | `{"text": T, "entities": [{"start": 0, "end": 3, "label": "PER"}]}` or `[[0, 3, "PER"]]` |
| doccano | `{"text": T, "label": [[0, 3, "PER"]]}` |
| doccano, with relations | `{"text": T, "entities": [{"start_offset": 0, "end_offset": 3, ...}]}` |
| Label Studio | `{"data": {"text": T}, "annotations": [{"result": [{"value": {...}}]}]}` |
| Label Studio, JSON-MIN | `{"text": T, "label": [{"start": 0, "end": 3, "labels": ["PER"]}]}` |
| spaCy | `[T, {"entities": [[0, 3, "PER"]]}]`, `{"text": T, "ents": [...]}` |
| Prodigy | `{"text": T, "spans": [{"start": 0, "end": 3, "label": "PER"}]}` |

They stand one a line, in an array, or in an object's list "annotations"; which it is, and whose, is
told of each by itself. What our own `predict` writes is read, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import DataError, shown
from .jsonl import parse_line, pick_fields
from .source import Record, Source, utf8

_ENTITIES = ("entities", "spans", "ents", "label", "labels")  # what lists of entities are called
_RESULTS = ("labels", "hypertextlabels")  # of Label Studio's regions those that name a stretch
_EXPORTED = ("annotation_id", "annotator", "lead_time")  # what JSON-MIN has beside its fields
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


def is_tuple(value: Any) -> bool:
    """Whether a value is spaCy's pair of a text and its annotations."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], Mapping)
    )


def read_annotations(source: Source, names: Mapping[str, Any], labelled: bool) -> Iterator[Record]:
    """A record for each text of a file that is one JSON value: an array of texts, an object with
    such a list, or one text.

    Raises
    ------
    DataError : not JSON, with the line
    """
    text = "".join(_decoded(source))
    start = _skip(text, 0)
    if text[start : start + 1] == "{":
        value, _ = _value(text, start, source)
        listed = value.get("annotations")
        if "data" in value or names["text"] in value or not isinstance(listed, list):
            yield annotated(value, 1, names, labelled)
            return
        for i, item in enumerate(listed):
            if item is not None:  # of a text that was passed over
                where = f"annotations[{i}]"
                yield annotated(item, None, names, labelled)._replace(where=where)
        return
    line, place = 1, 0
    for value, at in _items(text, start, source):
        line, place = line + text.count("\n", place, at), at
        yield annotated(value, line, names, labelled)


def read_annotated_lines(
    source: Source, names: Mapping[str, Any], labelled: bool
) -> Iterator[Record]:
    """A record for each line, which is a text with entities, or words with tags."""
    return source.records(lambda line, number: annotated(parse_line(line), number, names, labelled))


def annotated(
    value: Any, line: int | None, names: Mapping[str, Any], labelled: bool = True
) -> Record:
    """The record of one text: `text` and `entities` as `[start, end, label, text or None]`, or the
    fields that it has under the task's own names.

    names : what the fields are called where they have other names
    labelled : whether entities must be there; they are not looked at where not
    """
    try:
        return Record(*_fields(value, line, names, labelled))
    except UnannotatedError:
        return Record({}, line, ignored="text without annotation")
    except ValueError as error:
        return Record({}, line, problem=str(error))


class UnannotatedError(ValueError):
    """A text that nobody has annotated yet."""


def _fields(
    value: Any, line: int | None, names: Mapping[str, Any], labelled: bool
) -> tuple[dict[str, Any], int | None, Any]:
    if is_tuple(value):
        own = {"text": value[0], **value[1]}
        return _flat(own, {**names, "text": "text"}, labelled), line, {"text": value[0]}
    if not isinstance(value, Mapping):
        raise ValueError(
            f"got a JSON {type(value).__name__}, expected an object, or a text and its entities"
        )
    if isinstance(value.get("data"), Mapping) and names["text"] not in value:
        return _of_label_studio(value, names, labelled), line, value
    if _has_words(value, names):
        return pick_fields(value, names), line, value
    return _flat(value, names, labelled), line, value


def _has_words(value: Mapping[str, Any], names: Mapping[str, Any]) -> bool:
    """Whether an object is words with tags, not a text beside whose entities tokens are listed."""
    tokens = value.get(names["tokens"])
    if tokens is None or value.get(names["tags"]) is not None:
        return tokens is not None
    listed = isinstance(tokens, list) and bool(tokens) and isinstance(tokens[0], Mapping)
    return not (names["text"] in value and (listed or names["entities"] in value))


def _flat(value: Mapping[str, Any], names: Mapping[str, Any], labelled: bool) -> dict[str, Any]:
    """The fields of an object that has its text and its entities side by side."""
    fields = pick_fields(value, {"text": names["text"]})
    if not labelled or "text" not in fields:
        return fields
    entities = _entities_in(value, names["entities"])
    if entities is not None:
        fields["entities"] = [entity_parts(entity) for entity in entities]
    return fields


def _entities_in(value: Mapping[str, Any], name: str) -> list[Any] | None:
    """The list of entities of an object; None where it has none."""
    wanted = _ENTITIES if name == "entities" else (name,)
    for word in wanted:
        found = value.get(word)
        if isinstance(found, list):
            return found
        if isinstance(found, Mapping):
            return list(found.values())
    if any(word in value for word in wanted):
        word = next(word for word in wanted if word in value)
        raise ValueError(f"{shown(word)}: got {shown(value[word])}, expected a list of entities")
    for found in value.values():  # JSON-MIN's list, which has the name of a tag of its owner's
        if isinstance(found, list) and found and all(_is_region(one) for one in found):
            return found
    return [] if any(word in value for word in _EXPORTED) else None


def _is_region(value: Any) -> bool:
    return isinstance(value, Mapping) and "start" in value and "labels" in value


def _of_label_studio(
    task: Mapping[str, Any], names: Mapping[str, Any], labelled: bool
) -> dict[str, Any]:
    """A task of Label Studio: the first annotation that was not cancelled, one that is said to be
    the truth before others; predictions where there can be no annotations."""
    data = task["data"]
    texts = {key: text for key, text in data.items() if isinstance(text, str)}
    key = names["text"] if names["text"] in texts else next(iter(texts), None)
    if key is None or (len(texts) > 1 and key != names["text"]):
        raise ValueError(
            f"'data': got {', '.join(map(shown, data)) or 'nothing'}, expected {names['text']} "
            "(or say `columns`)"
        )
    if not labelled:
        return {"text": texts[key]}
    given = task.get("annotations", task.get("completions", task.get("predictions", [])))
    whole = [one for one in _list("annotations", given) if not _cancelled(one)]
    if not whole:
        raise UnannotatedError
    best = next((one for one in whole if one.get("ground_truth")), whole[0])
    regions = [one for one in _list("result", best.get("result", [])) if _is_entity(one)]
    return {"text": texts[key], "entities": [entity_parts(one["value"]) for one in regions]}


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{shown(name)}: got {shown(value)}, expected a list")
    return value


def _cancelled(annotation: Any) -> bool:
    return not isinstance(annotation, Mapping) or bool(annotation.get("was_cancelled"))


def _is_entity(region: Any) -> bool:
    return (
        isinstance(region, Mapping)
        and region.get("type") in _RESULTS
        and isinstance(region.get("value"), Mapping)
    )


def entity_parts(value: Any) -> list[Any]:
    """`[start, end, label, text or None]` of an entity in any spelling, unchecked."""
    if isinstance(value, (list, tuple)) and len(value) in (3, 4):
        return [*value[:3], None]
    if not isinstance(value, Mapping):
        raise ValueError(
            f"entity {shown(value)}: expected [start, end, label], or an object with start, end "
            "and label"
        )
    offsets = value.get("globalOffsets")  # of hypertext, where start is a path
    place = offsets if isinstance(offsets, Mapping) else value
    start, end = (_first(place, words) for words in (_STARTS, _ENDS))
    label = _first(value, _LABELS)
    if isinstance(label, (list, tuple)):
        if len(label) != 1:
            raise ValueError(f"entity {shown(label)}: got {len(label)} labels, expected one")
        [label] = label
    return [start, end, label, value.get("text")]


_STARTS = ("start", "start_offset", "start_char", "begin", "offset_start", "startOffset")
_ENDS = ("end", "end_offset", "end_char", "stop", "offset_end", "endOffset")
_LABELS = (
    "label", "type", "entity_group", "entity_type", "entity", "tag", "label_", "labels",
    "hypertextlabels", "category",
)  # fmt: skip


def _first(value: Mapping[str, Any], words: tuple[str, ...]) -> Any:
    return next((value[word] for word in words if value.get(word) is not None), None)


def _decoded(source: Source) -> Iterator[str]:
    for number, data in source:
        try:
            yield utf8(data)
        except ValueError as error:
            raise DataError(str(error), source.name, number) from error


def _items(text: str, start: int, source: Source) -> Iterator[tuple[Any, int]]:
    """The items of an array that begins at `start`, each as soon as it is read, and its place."""
    if text[start : start + 1] != "[":
        raise DataError("expected an array of texts with entities", source.name, 1)
    at = _skip(text, start + 1)
    if text[at : at + 1] == "]":
        return
    while True:
        value, end = _value(text, at, source)
        yield value, at
        at = _skip(text, end)
        if text[at : at + 1] == "]":
            return
        if text[at : at + 1] != ",":
            raise _not_json(text, at, source, "expected a comma, or the array's end")
        at = _skip(text, at + 1)


def _value(text: str, at: int, source: Source) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _not_json(text, error.pos, source, error.msg) from error
    except (ValueError, RecursionError) as error:  # integers of thousands of digits
        raise _not_json(text, at, source, str(error)) from error


def _not_json(text: str, at: int, source: Source, what: str) -> DataError:
    return DataError(f"not JSON: {what}", source.name, text.count("\n", 0, at) + 1)


def _skip(text: str, at: int) -> int:
    """The place of the first character from there that is no white space."""
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at

"""`predict --format`: entities as annotation tools and libraries read them, or marked in the text.

What is written, `data.records.annotations` reads back. Inputs without an answer are left out, which
standard error tells of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, NamedTuple, TextIO

from ..tasks import Task
from ..tasks.highlighting import (
    PAGE_BEGINS,
    PAGE_ENDS,
    Palette,
    as_fragment,
    for_terminal,
    takes_colour,
)

TASK = "token-classification"
SUFFIXES = {  # of --output, what they stand for
    ".html": "html", ".htm": "html", ".conll": "conll", ".bio": "conll", ".iob": "conll",
    ".iob2": "conll",
}  # fmt: skip
_ANSWER = ("text", "tokens", "tags", "entities", "error")
_TOOLS = ("label", "labels", "spans", "ents", "relations", "data", "annotations", "predictions")


class Found(NamedTuple):
    """An answer: the text, entities with `start`, `end`, `label`, `score` and `text`, words, tags,
    and what else the input had that is a value; whether the file can hold ASCII alone."""

    text: str
    entities: list[dict[str, Any]]
    tokens: list[str]
    tags: list[str]
    more: dict[str, Any]
    ascii: bool


class Form(NamedTuple):
    """How answers are written: each of them, and what stands before, between and after."""

    write: Callable[[Found], str]
    begins: str = ""
    between: str = ""
    ends: str = ""
    errors: str = "backslashreplace"  # what becomes of characters that the file cannot hold


class AnnotationWriter:
    """Writes the records of answers in a form; as a context, ends the file in it.

    form : of `_forms`
    """

    def __init__(self, file: TextIO, form: Form):
        self._file, self._form = file, form
        self._encoding = file.encoding or "utf-8"
        self._count = 0

    def __call__(self, record: Mapping[str, Any]) -> None:
        if record.get("entities") is None:
            return
        text = self._form.write(_found(record, "utf" not in self._encoding.lower()))
        before = self._form.between if self._count else self._form.begins
        encoded = (before + text).encode(self._encoding, self._form.errors)
        self._file.write(encoded.decode(self._encoding))
        self._count += 1

    def __enter__(self) -> AnnotationWriter:
        return self

    def __exit__(self, kind: Any, *rest: object) -> None:
        """Write what comes last; nothing where there was a mistake before the first answer."""
        if kind is None or self._count:
            self._file.write(("" if self._count else self._form.begins) + self._form.ends)


ANNOTATIONS = (
    "entities", "doccano", "doccano-relation", "label-studio", "label-studio-min", "spacy", "conll",
    "highlight", "html",
)  # fmt: skip


def annotation_writer(file: TextIO, name: str, task: Task, title: str) -> AnnotationWriter:
    """What writes answers in one of ANNOTATIONS.

    title : of a page
    """
    return AnnotationWriter(file, _forms(file, title or task.name)[name])


def _forms(file: TextIO, title: str) -> dict[str, Form]:
    palette, colour = Palette(), takes_colour(file)
    begins = PAGE_BEGINS.format(title=escape(title))
    return {
        "entities": Form(_entities),
        "doccano": Form(_doccano),
        "doccano-relation": Form(_doccano_relation),
        "label-studio": _array(_label_studio),
        "label-studio-min": _array(_label_studio_min),
        "spacy": _array(_spacy),
        "conll": Form(_conll),
        "highlight": Form(
            lambda f: for_terminal(f.text, f.entities, palette, colour=colour) + "\n"
        ),
        "html": Form(
            lambda f: as_fragment(f.text, f.entities, palette),
            begins,
            "",
            PAGE_ENDS,
            "xmlcharrefreplace",
        ),
    }


def _found(record: Mapping[str, Any], ascii: bool) -> Found:
    text = record["text"]
    entities = [
        {
            "start": one["start"], "end": one["end"],
            "label": one.get("entity_group", one.get("entity")),
            "score": one["score"], "text": text[one["start"] : one["end"]],
        }
        for one in record["entities"]
    ]  # fmt: skip
    own = record.get("data")  # a task's of Label Studio
    given = {**own, **record} if isinstance(own, Mapping) else record
    more = {
        name: value
        for name, value in given.items()
        if name not in (*_ANSWER, *_TOOLS)
        and not name.startswith("given_")
        and isinstance(value, (str, int, float))
        and value != text
    }
    return Found(text, entities, record["tokens"], record["tags"], more, ascii)


def _array(value: Callable[[Found], Any]) -> Form:
    return Form(lambda found: _json(found, value(found)), "[\n", ",\n", "\n]\n")


def _json(found: Found, value: Any) -> str:
    return json.dumps(value, ensure_ascii=found.ascii)


def _entities(found: Found) -> str:
    return _json(found, {**found.more, "text": found.text, "entities": found.entities}) + "\n"


def _doccano(found: Found) -> str:
    return _json(found, {**found.more, "text": found.text, "label": _triples(found)}) + "\n"


def _doccano_relation(found: Found) -> str:
    entities = [
        {"id": i, "label": one["label"], "start_offset": one["start"], "end_offset": one["end"]}
        for i, one in enumerate(found.entities)
    ]
    value = {**found.more, "text": found.text, "entities": entities, "relations": []}
    return _json(found, value) + "\n"


def _label_studio(found: Found) -> Any:
    """A task with a prediction, which Label Studio offers as a first annotation."""
    result = [
        {
            "id": f"e{i}", "from_name": "label", "to_name": "text", "type": "labels",
            "score": one["score"], "value": _region(one),
        }
        for i, one in enumerate(found.entities)
    ]  # fmt: skip
    prediction = {"model_version": "plainformer", "result": result}
    return {"data": {"text": found.text, **found.more}, "predictions": [prediction]}


def _label_studio_min(found: Found) -> Any:
    return {**found.more, "text": found.text, "label": [_region(one) for one in found.entities]}


def _region(entity: Mapping[str, Any]) -> dict[str, Any]:
    place = {name: entity[name] for name in ("start", "end", "text")}
    return {**place, "labels": [entity["label"]]}


def _spacy(found: Found) -> Any:
    return [found.text, {"entities": _triples(found)}]


def _triples(found: Found) -> list[list[Any]]:
    return [[one["start"], one["end"], one["label"]] for one in found.entities]


def _conll(found: Found) -> str:
    """A word and its tag a line; a tab between them where a word has a blank."""
    words = [" ".join(token.splitlines()).replace("\t", " ") for token in found.tokens]
    lines = [
        word + ("\t" if " " in word else " ") + tag + "\n" for word, tag in zip(words, found.tags)
    ]
    return "".join([*lines, "\n"])

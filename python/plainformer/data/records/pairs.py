"""Two texts an example: what public data calls them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from .jsonl import parse_json
from .naming import known_names
from .source import Source
from .table import possible_headers

TWO_TEXTS = ("text", "text_pair")
_PAIRS = (  # what both are called in SNLI and MNLI, GLUE, Quora's questions and passages to rank
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("query", "passage"),
    ("query", "document"),
    ("anchor", "positive"),
)
_SCORES = ("score", "similarity", "similarity_score")  # how alike both are, in files for that
_log = logging.getLogger("plainformer")


def names_in(source: Source, names: Mapping[str, Any]) -> dict[str, Any]:
    """What fields are called in a file, by its first object or its header; see `known_names` and
    `pair_names`."""
    for keys in _keys_of(source.first_line()):
        known = known_names(names, keys)
        found = pair_names(known, keys)
        if [found.get(field) for field in TWO_TEXTS] != [known.get(field) for field in TWO_TEXTS]:
            _log.info("%s: %s and %s are the two texts", source.name, *map(found.get, TWO_TEXTS))
        if found != names:
            return dict(found)
    return dict(names)


def pair_names(names: Mapping[str, Any], keys: Collection[str]) -> Mapping[str, Any]:
    """What fields are called among these keys: two texts may have one of the usual pairs of names,
    and how alike they are one of the usual words.

    names : of each field; nothing is changed where they say what either text is called, or for
        tasks without a second text
    """
    if "negative" in names and names["label"] == "label" and "label" not in keys:
        names = next(({**names, "label": word} for word in _SCORES if word in keys), names)
    usual = all(names.get(field) == field for field in TWO_TEXTS)
    if not usual or TWO_TEXTS[0] in keys:
        return names
    found = next((pair for pair in _PAIRS if all(name in keys for name in pair)), None)
    return names if found is None else {**names, **dict(zip(TWO_TEXTS, found))}


def _keys_of(line: bytes) -> list[Collection[str]]:
    """What a first line may name: the keys of an object, or columns."""
    try:
        value = parse_json(line)
    except ValueError:
        return [*possible_headers(line)]
    return [value] if isinstance(value, Mapping) else []

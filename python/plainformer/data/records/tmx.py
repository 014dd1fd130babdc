"""TMX, the exchange format of translation memories: units of one text in several languages.

LISA OSCAR, "TMX 1.4b Specification", 2005.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any
from xml.etree import ElementTree

from ...errors import DataError

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_CODES = {"bpt", "ept", "ph", "it", "ut"}  # what they hold is of the format, not of the text


def translation_units(file: IO[bytes], name: str, encoding: str | None) -> Iterator[bytes]:
    """Each unit as {"translation": {"de": ..., "en": ...}}, the header's source language first.

    A line for each unit, in which regions are left out of languages that are told apart without.

    Raises
    ------
    DataError : no XML
    """
    parser = ElementTree.XMLParser(encoding=encoding)
    source = ""
    try:
        with file:
            for event, element in ElementTree.iterparse(file, ("start", "end"), parser):
                if event == "start" and element.tag == "header":
                    source = element.get("srclang", "").lower()
                elif event == "end" and element.tag == "tu":
                    yield json.dumps(_unit(element, source), ensure_ascii=False).encode() + b"\n"
                    element.clear()
    except ElementTree.ParseError as error:
        line = error.position[0] if getattr(error, "position", None) else None
        raise DataError(f"not TMX: {error}", name, line) from error


def _unit(unit: Any, source: str) -> dict[str, dict[str, str]]:
    found = {}
    for variant in unit.iter("tuv"):
        language = (variant.get(_LANGUAGE) or variant.get("lang") or "").lower()
        segment = variant.find("seg")
        if segment is not None:
            found[language] = _text(segment).strip()
    own = sorted(found, key=lambda language: language != (unit.get("srclang", source).lower()))
    short = [language.partition("-")[0].partition("_")[0] for language in own]
    names = short if len(set(short)) == len(short) else own
    return {"translation": {name: found[language] for name, language in zip(names, own)}}


def _text(element: Any) -> str:
    """The text of a segment without codes; what stands in highlights is text."""
    inner = [element.text or ""]
    for child in element:
        inner += ["" if child.tag in _CODES else _text(child), child.tail or ""]
    return "".join(inner)

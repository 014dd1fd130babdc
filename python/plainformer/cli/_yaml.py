"""YAML whose words and numbers are those of the command line.

YAML 1.1 reads `1e-3` as a word, `no` as False, `010` as 8, `1:30` as 90 and `2024-01-01` as a date.
Here a scalar is its own text, which an option converts as it converts the text after its flag.
Only inside an object (`{"power": 2}`), where no option says what is wanted, plain text that looks
like JSON's numbers, true, false and null is that. Anchors, which can make a small file a huge one,
and tags are refused; so is a name that stands twice, of which YAML would take the last.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from ..errors import shown

MOST = 1 << 18  # characters: more than any file of flags has
_DEEPEST = 32
_NULL = {"", "~", "null", "Null", "NULL"}
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?\d[\d_]{0,400}")
_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")

Node = yaml.Node


class YamlError(ValueError):
    """The text is no YAML, or uses what is not supported. `line` counts from 1; None: unknown."""

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message)
        self.line = line


def compose(text: str) -> Node | None:
    """The nodes of a document; None if it is empty. Raises YamlError."""
    if len(text) > MOST:
        raise YamlError(f"got {len(text)} characters, expected at most {MOST}")
    try:
        _check(text)
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "damaged"
        raise YamlError(f"is no YAML: {reason}", mark and mark.line + 1) from error


def items(node: Node) -> dict[str, Node]:
    """Names and values of a mapping. Raises YamlError for another node and for doubles."""
    if not isinstance(node, yaml.MappingNode):
        raise YamlError("expected flags as `name: value` lines", line_of(node))
    found: dict[str, Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError("expected a word before the colon", line_of(key))
        if key.value in found:
            raise YamlError(f"{shown(key.value)} stands twice", line_of(key))
        found[key.value] = value
    return found


def is_null(node: Node) -> bool:
    """Whether nothing stands there, or an unquoted `~` or `null`."""
    return _is_plain(node) and node.value in _NULL


def value_of(node: Node) -> Any:
    """What stands inside an object: text, numbers, true, false, null, lists and objects."""
    if isinstance(node, yaml.MappingNode):
        return {name: value_of(value) for name, value in items(node).items()}
    if isinstance(node, yaml.SequenceNode):
        return [value_of(value) for value in node.value]
    text = node.value
    if not _is_plain(node):
        return text
    if text in _NULL:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def parse_object(text: str) -> dict[str, Any]:
    """The object that a flag's text writes, as JSON or shorter. Raises YamlError."""
    node = compose(text)
    if not isinstance(node, yaml.MappingNode):
        raise YamlError("expected an object")
    return value_of(node)


def line_of(node: Node) -> int:
    """The line of the text, from 1, on which a node begins."""
    return node.start_mark.line + 1


def _is_plain(node: Node) -> bool:
    """Whether a scalar stands without quotation marks, and not as a block."""
    return isinstance(node, yaml.ScalarNode) and node.style is None


def _check(text: str) -> None:
    """Raise YamlError for what is not supported, before nodes are made of it."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else None
        tag = getattr(event, "tag", None)
        if getattr(event, "anchor", None) is not None:
            raise YamlError("anchors and aliases (&, *) are not supported; write it out", line)
        if tag is not None:
            raise YamlError(f"the tag {shown(tag)} is not supported; leave it out", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise YamlError("nested too deep", line)

"""What objects show of themselves: what is not usual, shapes for arrays, tables for notebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

_DIGITS = 6
_LONG = 16  # items of a list that are not shown


def brief(instance: Any, usual: Any = None) -> str:
    """A dataclass object with the fields that differ from their defaults, or from `usual`."""
    return f"{type(instance).__name__}({', '.join(unusual(instance, usual))})"


def unusual(instance: Any, usual: Any = None) -> list[str]:
    """`name=value` of the fields of a dataclass object that are not as usual, see `brief`."""
    told = []
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        default = _default(field) if usual is None else getattr(usual, field.name)
        if field.repr and not (type(value) is type(default) and value == default):
            text = repr(value) if isinstance(value, list) else outline(value)
            told.append(f"{field.name}={text}")
    return told


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def outline(value: Any) -> str:
    """Shape and dtype of an array, the value of one without axes, how long a long list is; other
    values as they are."""
    if isinstance(value, list) and len(value) > _LONG:
        return f"list of {len(value)}"
    if isinstance(value, tuple) and value and hasattr(value[0], "shape"):
        return f"({len(value)} x {outline(value[0])})"
    shape = getattr(value, "shape", None)
    if shape is None or not hasattr(value, "dtype"):
        return repr(value)
    if not shape:
        return figure(value.item())
    return f"{type(value).__name__} {tuple(shape)} {value.dtype}"


def figure(value: Any) -> str:
    """A number in at most six digits; other values as text."""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)


def figures(instance: Any, values: Mapping[str, Any]) -> str:
    """An object by its figures: `Name(loss=0.5, accuracy=0.75)`."""
    texts = {k: figure(v) if isinstance(v, float) else repr(v) for k, v in values.items()}
    told = ", ".join(f"{name}={text}" for name, text in texts.items())
    return f"{type(instance).__name__}({told})"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> str:
    """An HTML table for notebooks; the first cell of each row names it."""
    import html  # its table of entities takes time, and few objects are shown in notebooks

    def row(cells: Sequence[Any], kinds: Sequence[str]) -> str:
        texts = (html.escape(figure(cell)) for cell in cells)
        return "".join(f"<{kind}>{text}</{kind}>" for kind, text in zip(kinds, texts))

    width = max([len(head), *map(len, rows)], default=0)
    named = ["th", *["td"] * (width - 1)]
    lines = [f"<tr>{row(head, ['th'] * width)}</tr>"] if any(head) else []
    lines += [f"<tr>{row(cells, named)}</tr>" for cells in rows]
    told = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{told}{''.join(lines)}</table>"


def table_of(values: Mapping[str, Any], caption: str = "") -> str:
    """An HTML table of figures by name."""
    return table((), list(values.items()), caption)

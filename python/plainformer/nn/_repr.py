"""A module as text: the tree, with shapes, numbers of parameters, and equal blocks told once.

GPT2LMHeadModel(  # 124,439,808 parameters, float32
  (transformer): GPT2Model(
    (wte): Embedding(weight=(50257, 768))
    (h.0-11): 12 x GPT2Block(
      (ln_1): LayerNorm(weight=(768,), bias=(768,), eps=1e-05)
      ...
"""

from __future__ import annotations

import itertools
from typing import Any

from ..errors import shown
from ..parameter import Parameter
from .freezing import count_parameters

_INDENT = "  "


def tree(module: Any) -> str:
    """The text of a module and all below it, with how much of it is trained."""
    return _text(module, {id(module)}, f"  # {parameter_count(module)}")


def parameter_count(module: Any) -> str:
    """How many parameters a module has and of what dtype; which are frozen, where some are."""
    trained, total = count_parameters(module)
    dtypes = dict.fromkeys(str(parameter.dtype) for parameter in module.parameters())
    frozen = "" if trained == total else f", {trained:,} trained"
    return ", ".join([f"{total:,} parameters{frozen}", *dtypes])


def _text(module: Any, above: set[int], note: str = "") -> str:
    own = [
        f"{name}={tuple(member.shape)}"
        for name, member in module._members()
        if isinstance(member, Parameter)
    ]
    settings = [
        f"{name}={shown(value)}"
        for name, value in vars(module).items()
        if _is_setting(value) and not name.startswith("_")
    ]
    head = f"{type(module).__name__}({', '.join([*own, *settings])}"
    children = [
        (name, type(child).__name__ + "(...)" if id(child) in above else _child(child, above))
        for name, child in module.named_children()
    ]
    if not children:
        return f"{head}){note}"
    lines = [_line(name, text, count) for name, text, count in _grouped(children)]
    return "\n".join([f"{head}{note}", *lines, ")"])


def _child(module: Any, above: set[int]) -> str:
    return _text(module, above | {id(module)})


def _is_setting(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def _grouped(children: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Names, texts and numbers of neighbors of one list with the same text."""
    found = []
    for (path, text), run in itertools.groupby(children, lambda c: (_list_of(c[0]), c[1])):
        names = [name for name, _ in run]
        if path is None or len(names) == 1:
            found += [(name, text, 1) for name in names]
        else:
            found.append((f"{names[0]}-{names[-1].rpartition('.')[2]}", text, len(names)))
    return found


def _list_of(name: str) -> str | None:
    """The list that a child is in, of its name `path.3`; None for one with a name of its own."""
    path, _, index = name.rpartition(".")
    return path if index.isdigit() else None


def _line(name: str, text: str, count: int) -> str:
    times = "" if count == 1 else f"{count} x "
    first, *rest = text.split("\n")
    return "\n".join(_INDENT + line for line in (f"({name}): {times}{first}", *rest))

"""Python sources as syntax trees: read, never imported or run."""

from __future__ import annotations

import ast
import re
import warnings

_NAME = "<plainformer: read, never run>"  # whose warnings, of escapes in strings, help nobody


def parse(source: str | bytes) -> ast.Module | None:
    """The syntax tree; None for what is not Python, or not of this version."""
    _silence()
    try:
        return ast.parse(source, filename=_NAME)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _silence() -> None:
    """Ignore warnings about this name.

    For good: `warnings.catch_warnings` swaps the filters of the whole process, and two threads
    that overlap in it leave them wrong. A filter is gone where a caller has swapped them.
    """
    pattern = re.escape(_NAME)
    for action, _, _, module, _ in warnings.filters:
        if action == "ignore" and getattr(module, "pattern", None) == pattern:
            return
    warnings.filterwarnings("ignore", module=pattern)

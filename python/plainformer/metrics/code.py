"""Generated Python: the heads of functions, where a completion ends, and whether it parses.

Nothing is imported or run: sources go through `ast` and `tokenize` alone.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence

from .._syntax import parse
from ..errors import ShapeError
from ._scores import by_name, check_texts

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_NO_STATEMENT = {tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def function_heads(source: str) -> list[str]:
    """`def name(arguments):` with its docstring, of each function that has one and more to it.

    Heads keep their indentation, since a model has seen methods inside classes, and end with the
    docstring, without a line end: what follows is the completion. They come in the order of the
    source. A source that does not parse has none.

    Raises
    ------
    DTypeError : a source that is no string
    """
    [source] = check_texts("source", [source])
    tree, lines = parse(source), source.split("\n")
    found = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, _Function) and ast.get_docstring(node) and _goes_on(node, lines):
            head = "\n".join(lines[node.lineno - 1 : node.body[0].end_lineno])
            found.append((node.lineno, head))
    return [head for _, head in sorted(found) if _function(head) is not None]


def function_body(head: str, completion: str) -> str:
    """The part of a completion that belongs to the function, without white space at its end.

    It ends before the first line that is indented no deeper than the function's `def`. Lines
    inside brackets and strings do not count. A completion that goes on to its end is returned
    whole.

    Parameters
    ----------
    head : str, as `function_heads` gives them
    completion : str, what was written behind it

    Raises
    ------
    DTypeError : one of them is no string
    """
    head, completion = check_texts("head, completion", [head, completion])
    depth = len(head) - len(head.lstrip(" \t"))
    end = _end_line(head + completion, head.count("\n") + 1, depth)
    lines = completion.split("\n")  # no other character ends a line for Python's parser
    kept = lines if end is None else lines[: end - head.count("\n") - 1]
    return "\n".join(kept).rstrip()


@by_name
def parse_rate(*, heads: Sequence[str], completions: Sequence[str]) -> float:
    """The fraction of completions whose `function_body` makes a function that Python parses.

    A body without a statement makes none, though the docstring alone would parse.

    Parameters
    ----------
    heads, completions : strings, one of each a function

    Raises
    ------
    ShapeError : no completions, or another number of heads
    DTypeError : one that is no string
    """
    completions, heads = check_texts("completions", completions), check_texts("heads", heads)
    if len(completions) != len(heads) or not completions:
        raise ShapeError(
            f"completions: got {len(completions)} for {len(heads)} heads, expected one a head"
        )
    return sum(map(_makes_function, heads, completions)) / len(completions)


def _goes_on(node: _Function, lines: list[str]) -> bool:
    """Whether the docstring has lines of its own and more follows it."""
    docstring, *rest = node.body
    before = lines[docstring.lineno - 1][: docstring.col_offset]
    return bool(rest) and not before.strip() and rest[0].lineno > (docstring.end_lineno or 0)


def _makes_function(head: str, completion: str) -> bool:
    """Whether the function parses, with a statement that its head has not."""
    begun, whole = _function(head), _function(head + function_body(head, completion))
    return whole is not None and (begun is None or len(whole.body) > len(begun.body))


def _function(source: str) -> _Function | None:
    """The function that a source, indented or not, is; None where it is none."""
    tree = parse(f"if True:\n{source}" if source[:1].isspace() else source)
    body: list[ast.stmt] = [] if tree is None else tree.body
    if body and isinstance(body[0], ast.If):
        body = body[0].body
    return body[0] if len(body) == 1 and isinstance(body[0], _Function) else None


def _end_line(source: str, last: int, depth: int) -> int | None:
    """The number of the first line after `last` that begins at `depth` or before; None where no
    line does, or what comes first is no Python at all."""
    starts, brackets = True, 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            line, column = token.start
            if token.type in _NO_STATEMENT:
                continue
            if token.type in (tokenize.NEWLINE, tokenize.NL):
                starts = brackets == 0
                continue
            if starts and line > last and column <= depth:
                return line
            starts = False
            if token.type == tokenize.OP:
                brackets += (token.string in "([{") - (token.string in ")]}")
    except (tokenize.TokenError, SyntaxError):
        return None
    return None

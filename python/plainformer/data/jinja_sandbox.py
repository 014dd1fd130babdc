"""Jinja for templates that came with a model: what transformers gives them, and limits.

Templates are programs of strangers. The sandbox of Jinja lets them reach no attribute that leads
out of their data and change no argument; ours also counts what they do:

    steps    each item of a loop and each call is one; a rendering has `MAX_STEPS` of them
    range    at most 100,000 numbers, as in Jinja's own sandbox
    text     `MAX_CHARACTERS` of output, and of a text made by repetition

What is not limited: the memory of texts that a template doubles by joining them to themselves, or
has a filter pad.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from plainformer.errors import ConfigError, short

MAX_STEPS = 1_000_000
MAX_CHARACTERS = 1 << 24
_COUNTED = "_counted"


class RefusalError(Exception):
    """A template called `raise_exception`: its text says why."""


class Renderer:
    """A compiled template.

    Parameters
    ----------
    source : Jinja, with `loopcontrols` and transformers' functions and `generation` blocks

    Raises
    ------
    ConfigError : Jinja is not installed, or does not understand `source`
    """

    def __init__(self, source: str):
        jinja2 = _jinja()
        try:
            sandbox = _environment(jinja2)
            self._template = sandbox.from_string(_with_counters(jinja2, sandbox.parse(source)))
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"chat_template: line {error.lineno}: {error.message}") from None
        except (RecursionError, MemoryError, OverflowError) as error:
            raise ConfigError(f"chat_template: cannot be read: {type(error).__name__}") from None

    def __call__(self, **variables: Any) -> str:
        """The text for these variables, plain values such as JSON has.

        Raises
        ------
        RefusalError : the template calls `raise_exception`
        ConfigError : it fails, tries what the sandbox forbids, or exceeds a limit
        """
        self._template.environment.steps = 0
        parts, size = [], 0
        try:
            for part in self._template.generate(variables):
                size += len(part)
                check_size(size)
                parts.append(part)
        except (RefusalError, ConfigError):
            raise
        except Exception as error:  # whatever a stranger's program may raise
            kind = type(error).__name__
            raise ConfigError(f"chat_template: fails with {kind}: {short(error)}") from None
        return "".join(parts)


def check_size(characters: int) -> None:
    """Raise ConfigError for more than a template may write."""
    if characters > MAX_CHARACTERS:
        raise ConfigError(f"chat_template: writes more than {MAX_CHARACTERS} characters")


def _jinja() -> Any:
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ImportError:
        raise ConfigError(
            "chat_template: only ChatML works without jinja2; pip install 'plainformer[chat]'"
        ) from None
    return jinja2


def _environment(jinja2: Any) -> Any:
    """The sandbox of one template."""
    nodes = jinja2.nodes

    class Generation(jinja2.ext.Extension):
        """`{% generation %}...{% endgeneration %}`: its contents."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**"})
        steps = 0

        def step(self) -> None:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise ConfigError(f"chat_template: takes more than {MAX_STEPS} steps")

        def call(self, *arguments: Any, **options: Any) -> Any:
            self.step()
            return super().call(*arguments, **options)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_binop(operator, left, right)
            return super().call_binop(context, operator, left, right)

    made = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters[_COUNTED] = _counting(made.step)
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    made.globals["dict"] = lambda *values, **named: dict(*values, **named)
    return made


def _with_counters(jinja2: Any, tree: Any) -> Any:
    """A parsed template whose loops count their items."""
    for loop in tree.find_all(jinja2.nodes.For):
        loop.iter = jinja2.nodes.Filter(loop.iter, _COUNTED, [], [], None, None)
    return tree


def _counting(step: Callable[[], None]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    def counted(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            step()
            yield item

    return counted


def _check_binop(operator: str, left: Any, right: Any) -> None:
    """Raise for a repetition or a power that could fill the memory."""
    if operator == "**":
        raise ConfigError("chat_template: raises to a power, which the sandbox forbids")
    for text, count in ((left, right), (right, left)):
        if operator == "*" and hasattr(text, "__len__") and isinstance(count, int):
            check_size(len(text) * count)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers': without Jinja's escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: Any) -> None:
    raise RefusalError(str(message))

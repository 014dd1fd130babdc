"""Jinja for templates that came with a model: a program of its own, `python jinja_sandbox.py`.

Templates are programs of strangers. Jinja's sandbox lets them reach no attribute that leads out of
their data and change no argument; it does not keep them from running for ever or from filling the
memory, and neither do counters inside of it: a text doubled by joining it to itself, a filter that
pads, a power, a nested expression in Jinja's own parser. So they run here, in a process that the
system bounds in processor time and memory, and that `template_renderer.py` starts anew when it
dies.

Requests are lines of JSON on standard input, answers lines on standard output:

    {"path": [...], "seconds": s}                first, without an answer: sys.path of who asks,
                                                 and the processor time of one request
    {"source": "...", "variables": {...}}        {"text": "..."}
    {"source": "...", "variables": null}         {"text": ""}     only compiles it
                                                 {"error": "..."} or {"refusal": "..."}

It imports the standard library and Jinja, nothing of plainformer, so it starts in a twentieth of a
second.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

MEMORY = 512 << 20  # bytes beyond what the program begins with
CHARACTERS = 1 << 24  # of one text
_QUOTED = 200  # characters of a message, which whoever shows it shortens


class RefusalError(Exception):
    """A template called `raise_exception`: its text says why."""


class LimitError(Exception):
    """A template exceeds a limit of ours."""


def serve() -> None:
    """Answer requests until standard input ends."""
    answers = sys.stdout
    terms = json.loads(sys.stdin.readline())
    sys.path[:] = terms["path"]
    _limit_memory()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, terms["seconds"])  # SIGPROF ends the process
        answer = json.dumps(_answer(**json.loads(line)))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(answer + "\n")
        answers.flush()


def _limit_memory() -> None:
    import jinja2.ext
    import jinja2.sandbox  # noqa: F401 - what they take is not the template's

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(source: str, variables: dict[str, Any] | None) -> dict[str, str]:
    try:
        template = _compiled(source)
    except Exception as error:
        return {"error": _reading_failed(error)}
    try:
        return {"text": "" if variables is None else _text(template, variables)}
    except RefusalError as error:
        return {"refusal": str(error)}
    except LimitError as error:
        return {"error": str(error)}
    except Exception as error:  # whatever a stranger's program may raise
        return {"error": f"fails with {type(error).__name__}: {error!s:.{_QUOTED}}"}


def _reading_failed(error: Exception) -> str:
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message!s:.{_QUOTED}}"
    return f"cannot be read: {type(error).__name__}: {error!s:.{_QUOTED}}"


def _text(template: Any, variables: dict[str, Any]) -> str:
    parts, size = [], 0
    for part in template.generate(variables):
        size += len(part)
        if size > CHARACTERS:
            raise LimitError(f"writes more than {CHARACTERS} characters")
        parts.append(part)
    return "".join(parts)


@lru_cache(maxsize=16)
def _compiled(source: str) -> Any:
    return _environment().from_string(source)


def _environment() -> Any:
    """The sandbox, with `loopcontrols` and transformers' functions and `generation` blocks."""
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}...{% endgeneration %}`: its contents."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    made.globals["dict"] = lambda *values, **named: dict(*values, **named)
    return made


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


if __name__ == "__main__":
    serve()

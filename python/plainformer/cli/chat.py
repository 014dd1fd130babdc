"""`plainformer chat DIR`: talk to a model, a line a turn; its answers are shown as they come."""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import click

from ..data.records.source import utf8
from ..errors import DataError
from ..generation import GenerationConfig
from ..tasks import Dialogue, open_task
from ..tasks.arguments import OpeningOptions
from ..tasks.conversation import Conversation
from ..tasks.dialogue import DialogueSettings
from ._common import Command, ModelDirectory, echo, usage_errors, wants_json
from ._option_flags import flags_given, option_flags

SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty")
_DEFAULTS = {"do_sample": "as the model was fine-tuned"}
RESET, EXIT = "/reset", "/exit"


@click.command(cls=Command)
@click.argument("directory", type=ModelDirectory())
@click.option("--system", help="A message that the dialogue begins with.")
@option_flags(DialogueSettings, only=("max_new_tokens", "chat_template"))
@option_flags(GenerationConfig, only=SAMPLING, defaults=_DEFAULTS)
@click.option("--seed", type=int, help="Seed of the draws.  [default: 0]")
@option_flags(OpeningOptions, only=("adapter", "dtype", "device"))
def chat(
    directory: Path,
    system: str | None,
    dtype: str | None,
    device: str | None,
    adapter: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Talk to the model in DIRECTORY.

    /reset forgets what was said, /exit or the end of input (Ctrl-D) ends it. Ctrl-C stops an
    answer; what was said of it stays.
    """
    own = flags_given(DialogueSettings, flags)
    options = {n: v for n, v in flags.items() if v is not None and n not in own}
    with usage_errors():
        how = {"dtype": dtype, "device": device, "adapter": adapter}
        task = open_task(directory, "dialogue", **how, **own)
    assert isinstance(task, Dialogue)
    if options.get("do_sample", task.seed is not None):
        options.setdefault("seed", 0)
    talk = Conversation(task, system, options)
    if is_terminal():
        echo(f"{RESET} forgets what was said, {EXIT} or Ctrl-D ends, Ctrl-C stops an answer.")
    while (line := read_line()) is not None and line != EXIT:
        if line == RESET:
            talk.reset()
        elif line:
            with usage_errors():
                answer(talk, line)
    return {
        "task": task.name,
        "output_dir": str(directory),
        "turns": talk.turns,
        "seed": options.get("seed"),
    }


def answer(talk: Conversation, line: str) -> None:
    """Show what the model answers; Ctrl-C ends it early."""
    pieces = talk.ask(line)
    with suppress(KeyboardInterrupt), closing(pieces):
        for piece in pieces:
            echo(piece, nl=False)
    echo()


def read_line() -> str | None:
    """What the user says, without white space around it; None at the end of input.

    DataError: standard input that is not UTF-8
    """
    if not is_terminal():
        data = sys.stdin.buffer.readline() if sys.stdin is not None else b""
        return _utf8(data).strip() if data else None
    with suppress(ImportError):
        import readline  # noqa: F401  (lines can be edited, and are remembered)
    try:
        return input("" if wants_json() else "> ").strip()
    except EOFError:
        echo()  # the shell's prompt begins a line of its own
        return None


def is_terminal() -> bool:
    """Whether a person types."""
    return sys.stdin is not None and sys.stdin.isatty()


def _utf8(data: bytes) -> str:
    try:
        return utf8(data)
    except ValueError as error:
        raise DataError(str(error), "standard input") from error

"""`plainformer chat DIR`: talk to a model, a line a turn; its answers are shown as they come."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from plainformer.data import Message
from plainformer.tasks import Dialogue, open_task

from ._common import Command, echo, usage_errors


@click.command(cls=Command)
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--system", help="A message that the dialogue begins with.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Most tokens of an answer.")
@click.option("--do-sample/--no-do-sample", default=None, help="Draw tokens instead of the best.")
@click.option("--temperature", type=float, help="Below 1 draws probable tokens more often.")
@click.option("--top-k", type=int, help="Draw from the K most probable tokens.")
@click.option("--top-p", type=float, help="Draw from the fewest tokens that reach probability P.")
@click.option("--repetition-penalty", type=float, help="Above 1 disfavors what is there already.")
@click.option("--seed", type=int, help="Seed of the draws.")
@click.option("--dtype", help="Compute in float32, bfloat16 or float64.  [default: as saved]")
@click.option("--adapter", help="A LoRA adapter in peft's layout, added to the weights.")
def chat(
    directory: Path,
    system: str | None,
    dtype: str | None,
    adapter: str | None,
    max_new_tokens: int | None,
    **flags: Any,
) -> dict[str, Any]:
    """Talk to the model in DIRECTORY; an empty line or the end of input ends it."""
    options = {name: value for name, value in flags.items() if value is not None}
    with usage_errors():
        own = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        task = open_task(directory, "dialogue", dtype=dtype, adapter=adapter, **own)
    assert isinstance(task, Dialogue)
    messages = [] if system is None else [Message("system", system)]
    turns = 0
    while (line := read_line()) is not None:
        messages.append(Message("user", line))
        with usage_errors():
            messages.append(Message("assistant", answer(task, messages, turns, options)))
        turns += 1
    return {"task": task.name, "output_dir": str(directory), "turns": turns}


def answer(task: Dialogue, messages: list[Message], turn: int, options: dict[str, Any]) -> str:
    """Show the assistant's next turn, and return it."""
    if "seed" in options:
        options = {**options, "seed": options["seed"] + turn}  # other draws each turn
    pieces = []
    for piece in task.stream(messages, **options):
        echo(piece, nl=False)
        pieces.append(piece)
    echo()
    return "".join(pieces).strip()


def read_line() -> str | None:
    """What the user says; None for nothing."""
    if sys.stdin.isatty():
        echo("> ", nl=False)
    return sys.stdin.readline().strip() or None

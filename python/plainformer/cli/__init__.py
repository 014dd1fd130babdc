"""`plainformer ...` on the command line: one file a command, imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

COMMANDS = {
    "bench": "Measure kernels against NumPy and PyTorch.",
    "chat": "Talk to a model fine-tuned for dialogue.",
    "embed": "Make vectors of texts.",
    "evaluate": "Test a model on labelled data, a language model on any text.",
    "finetune": "Fine-tune a model for a task.",
    "generate": "Continue a prompt with a trained model.",
    "info": "Show version, processor, threads and memory.",
    "plot": "Show the curves of trainings.",
    "predict": "Answer texts with a fine-tuned model.",
    "pretrain": "Train a model on unlabelled text.",
    "quantize": "Write a model with int8 weights.",
    "quickstart": "Train and fine-tune a small GPT in minutes; needs nothing else.",
    "search": "Find the texts of a file that are nearest to a query.",
    "tokenizer": "Train a tokenizer, or show how it cuts text.",
}


CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda name: name.replace("_", "-"),  # as other tools write flags
}


class Group(click.Group):
    """Commands; a wrong one is answered with what was meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name, known = args[0], self.list_commands(ctx)
        if not name.startswith("-") and name not in known:
            from ..errors import shown  # --help needs no NumPy
            from ..options import did_you_mean  # nor this

            meant = did_you_mean(name, known, f"expected one of {', '.join(known)}")
            raise click.UsageError(f"No such command {shown(name)}{meant}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """Imports `plainformer.cli.<command>` only when that command runs.

    Ctrl-C before a command can answer it, while it is imported, is one line and exit code 130 too.
    """

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
    ) -> click.Context:
        wants_json = "--json" in args
        with _interrupts(wants_json):
            context = super().make_context(info_name, args, *rest, **extra)
        context.meta[__name__] = wants_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        with _interrupts(ctx.meta[__name__]):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"plainformer.cli.{name}"), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@contextmanager
def _interrupts(wants_json: bool) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, RuntimeError) as error:
        if not any(isinstance(e, KeyboardInterrupt) for e in (error, error.__cause__)):
            raise  # Python 3.11 wraps what interrupts it while it makes a class
        click.echo("Error: interrupted", err=True)
        if wants_json:
            click.echo('{"error": "interrupted"}')
        raise click.exceptions.Exit(130) from None


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(package_name="plainformer")
def main() -> None:
    """The Transformer, whole and small."""

"""`plainformer plot RUN...`: the curves of one or several trainings, as text or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError, listed
from ..training.curves import SHOWN, check_picture, draw_curves, read_figures, told
from ._common import Command, echo, usage_errors, wants_json


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--output",
    help="A picture, .png, .svg or .pdf, of all runs together; needs the extra viz.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="What of log.jsonl is shown, such as eval_accuracy or grad_norm. May be repeated.  "
    f"[default: {' '.join(SHOWN)}]",
)
def plot(runs: tuple[str, ...], output: str | None, metrics: tuple[str, ...]) -> dict[str, Any]:
    """Show how RUN, the directory of a training or its log.jsonl, has learned.

    Each figure is a line of bars over its steps. Trainings that go on are shown as far as they are.
    """
    with usage_errors():
        if output is not None:
            check_picture(output)
    read = {run: read_figures(run) for run in dict.fromkeys(runs)}
    names = metrics or SHOWN
    known = sorted({name for curves in read.values() for name in curves})
    for name in names:
        if metrics and name not in known:
            raise ConfigError(f"--metric: got {name}, expected one of {listed(known)}")
    encoding = (sys.stderr if wants_json() else sys.stdout).encoding or "ascii"
    for run, curves in read.items():
        steps = max(curve[-1][0] for curve in curves.values())
        echo(f"{run}, {steps} steps")
        for line in told(curves, names, encoding):
            echo(line)
    if output is not None:
        draw_curves(read, output, names)
        echo(f"{output}: {len(read)} run{'s' * (len(read) != 1)}")
    return {
        "output": output,
        "runs": list(map(str, map(Path, read))),
        **{
            name: [curves[name][-1][1] if name in curves else None for curves in read.values()]
            for name in names
        },
    }

"""`plainformer bench`: the kernels beside NumPy and PyTorch, cell by cell."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import click

from .. import runtime
from ..bench import chart, levels, process, regression, report, roofline
from ..bench.case import Case
from ..bench.cases import NAMES, operation
from ..bench.runner import QUICK, Cell, Plan
from ..bench.session import Session, check_peer_names, select, write_json
from ..kernels.devices import as_device
from ._common import Command, Seconds, echo, usage_errors

QUICK_SECONDS = 90.0  # and the last cell, which is not cut short: within two minutes


def _words(value: str) -> list[str]:
    """`a,b` as a list."""
    return [word.strip() for word in value.split(",") if word.strip()]


@click.command(cls=Command)
@click.argument("op", nargs=-1)
@click.option("--peers", default="numpy,torch", show_default=True, help="Who to compare with.")
@click.option("--dtype", default="float32,bfloat16", show_default=True, help="Which dtypes.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where everyone computes; a GPU has shapes of its own.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads of everyone [default: ours].")
@click.option("--output", type=click.Path(dir_okay=False, writable=True), help="Write JSON here.")
@click.option("--append", is_flag=True, help="Keep what --output has of cells not measured now.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, writable=True),
    help="Draw the ratios here, as .png, .svg or .pdf (needs the extra viz).",
)
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False),
    help="Compare ratios with this JSON of --output; exit with 1 when one has fallen.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="How much of a ratio may be lost against --baseline: neighbors make noise.",
)
@click.option(
    "--peer-python",
    "pythons",
    multiple=True,
    metavar="[NAME=]PATH",
    envvar="PLAINFORMER_PEER_PYTHON",
    help="Interpreter that has torch, or the peer called NAME, if this one has not; repeat it for "
    "several [env: PLAINFORMER_PEER_PYTHON, separated by spaces].",
)
@click.option(
    "--level",
    help="Hold ours and the peers to the instructions of an ISA level, such as avx2; a peer that "
    "cannot be held is named and not compared [default: the best of each].",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "thread"]),
    default="wall",
    show_default=True,
    help="thread: processor time of one thread, for busy machines; needs --threads 1.",
)
@click.option("--rounds", type=click.IntRange(1), help="Turns of each peer [default: 7].")
@click.option(
    "--quick",
    is_flag=True,
    help="First shape of each operation, short rounds, two minutes at most.",
)
@click.option(
    "--max-seconds",
    type=Seconds(),
    help="Leave out cells, of every operation some, so that it takes about so long"
    "  [default: 90 with --quick]",
)
@click.option("--all", "everything", is_flag=True, help="Every shape there is, for hours.")
@click.option("--list", "only_list", is_flag=True, help="List what can be measured, and leave.")
def bench(
    op: tuple[str, ...],
    peers: str,
    dtype: str,
    device: str,
    threads: int | None,
    output: str | None,
    append: bool,
    plot: str | None,
    baseline: str | None,
    tolerance: float,
    pythons: tuple[str, ...],
    level: str | None,
    clock: str,
    rounds: int | None,
    quick: bool,
    max_seconds: float | None,
    everything: bool,
    only_list: bool,
) -> dict[str, Any]:
    """Measure kernels against NumPy and PyTorch.

    OP is an operation or a pattern of operation.variant.dtype.shape, such as attention,
    norm.layer_norm or 'gemm.nn.*.1024x*'. Ratios above 1 mean that ours is faster. Every result is
    checked against float64 first; each peer runs in a process of its own, one at a time. The peer
    plainformer:LEVEL is our own code at a lower ISA level; --level holds everyone to one.
    """
    with usage_errors():
        cases = select(op, _words(dtype), quick=quick, device=device, everything=everything)
        check_peer_names(_words(peers))
        levels.check(level)
        interpreters = process.interpreters(pythons)
    if only_list:
        return _list(cases, device)
    as_device(device)  # says what is missing
    threads = threads or runtime.get_num_threads()
    if clock == "thread" and threads != 1:
        raise click.UsageError("--clock thread: needs --threads 1, it sees only one thread")
    if append and not output:
        raise click.UsageError("--append: needs --output")
    _check_files(output, plot)
    started = time.perf_counter()
    limit = QUICK_SECONDS if quick and max_seconds is None else max_seconds
    plan = _plan(clock, rounds, quick)
    names = [name for name in _words(peers) if device == "cpu" or name != "numpy"]
    session = Session(names, threads, plan, interpreters, quick, limit, device, level)
    with usage_errors():
        before = _read(session, output, "--append") if append else None
        then = _read(session, baseline, "--baseline")
    cells = _run(session, cases, output, before)
    if plot:
        chart.draw(session.as_json(cells, before), plot)
    totals = report.summary(cells) | {"left_out": len(session.left_out)}
    _say_summary(totals)
    if totals["wrong"]:
        raise click.ClickException(f"{totals['wrong']} cells of ours are wrong or failed")
    if then:
        totals |= _compare(then, cells, tolerance)
    return totals | {"threads": threads, "seconds": round(time.perf_counter() - started, 1)}


def _check_files(output: str | None, plot: str | None) -> None:
    """Say now what would be lost at the end."""
    for option, path in (("--output", output), ("--plot", plot)):
        if path and not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"{option}: got {path}, whose directory does not exist")
    if plot and not runtime.is_installed("matplotlib"):
        raise click.UsageError("--plot: needs matplotlib; pip install 'plainformer[viz]'")
    if plot and Path(plot).suffix.lower() not in chart.ENDINGS:
        raise click.UsageError(f"--plot: got {plot}, expected a name in {' '.join(chart.ENDINGS)}")


def _read(session: Session, path: str | None, option: str) -> dict[str, Any] | None:
    """The results of an earlier run as this one, if there are any."""
    if path is None or not Path(path).exists():
        return None
    values = regression.read(path)
    session.check_same(values, option)
    return values


def _compare(then: dict[str, Any], cells: list[Cell], tolerance: float) -> dict[str, Any]:
    """Say which ratios have fallen; fail if any has."""
    changes = list(regression.changes(then, cells))
    lost = [change for change in changes if change.lost(tolerance)]
    echo(f"{len(changes)} ratios beside {then['machine']['commit']}, {len(lost)} fallen")
    for change in lost:
        echo(f"  {change}")
    if lost:
        raise click.ClickException(
            f"{len(lost)} of {len(changes)} ratios have fallen by more than {tolerance:.0%}"
        )
    return {"baseline_compared": len(changes), "baseline_fallen": 0}


def _plan(clock: str, rounds: int | None, quick: bool) -> Plan:
    plan = QUICK if quick else Plan()
    return dataclasses.replace(plan, clock=clock, rounds=rounds or plan.rounds)


def _list(cases: list[Case], device: str) -> dict[str, Any]:
    """Say every operation with its variants and shapes."""
    for name in NAMES:
        labels = list(dict.fromkeys(case.label for case in cases if case.operation == name))
        if labels:
            op = operation(name, device)
            echo(f"{name}: {op.summary}")
            echo(f"  variants: {', '.join(op.variants)}")
            echo(f"  {op.axes}: {', '.join(labels)}")
    return {"cells": len(cases)}


def _run(
    session: Session, cases: list[Case], output: str | None, before: dict[str, Any] | None
) -> list[Cell]:
    """Measure all cases, saying each when it is done; the output file is kept up to date."""
    cells: list[Cell] = []
    with session:
        _say_start(session)
        for cell in session.run(cases):
            _say_cell(cell, cells[-1] if cells else None, session)
            cells.append(cell)
            if output:
                write_json(session.as_json(cells, before), output)
    return cells


def _say_start(session: Session) -> None:
    where = f"threads {session.threads}" if session.device == "cpu" else session.device
    level = session.peers[0].description["level"]
    echo(f"level {level}, {where}; ceilings of this machine in this run:")
    for line in roofline.lines(session.ceilings):
        echo(f"  {line}")
    for line in session.missing:
        echo(line)


def _say_cell(cell: Cell, before: Cell | None, session: Session) -> None:
    """A row, under a heading when the operation, variant or dtype is a new one."""
    if before is None or _group(before.case) != _group(cell.case):
        echo("\n" + report.heading(cell.case, [other.peer for other in cell.others]))
    echo(report.row(cell, session.ceilings))


def _group(case: Case) -> tuple[str, str, str]:
    return case.operation, case.variant, case.dtype


def _say_summary(totals: dict[str, Any]) -> None:
    echo(f"\n{totals['cells']} cells, {totals['wrong']} wrong")
    if totals["left_out"]:
        echo(f"{totals['left_out']} cells left out: there was no time for them (--max-seconds)")
    for key in totals:
        if key.endswith("_compared"):
            peer = key.removesuffix("_compared")
            echo(
                f"{peer}: {totals[key]} cells compared, {totals[f'{peer}_slower']} slower than "
                f"{peer}; ours is {totals[f'{peer}_mean_ratio']:.2f}x as fast in the mean, "
                f"{totals[f'{peer}_worst_ratio']:.2f}x at worst"
            )

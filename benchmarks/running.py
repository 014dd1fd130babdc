"""What the scripts that time models share: their options, the peers' processes, where results go.

Results are kept by processor and level, `results/WHAT-PROCESSOR-LEVEL.json`, a cell a
measurement; each cell says which commit it measured, so that a file may be filled bit by bit.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from busy_neighbor import neighbor

from plainformer import runtime
from plainformer.bench import levels, machine
from plainformer.bench.process import (
    TORCH_SETTINGS,
    Child,
    PeerError,
    PeerMissingError,
    interpreters,
    python_of,
)
from plainformer.bench.session import write_json
from plainformer.errors import PlainformerError

HERE = Path(__file__).parent
RESULTS = HERE / "results"
OURS = "plainformer"
Sides = dict[tuple[str, str], Child]
"""Processes by peer and setting; ours is the first."""


@dataclass(frozen=True)
class Setup:
    """What the common options say."""

    threads: int
    level: str | None
    pythons: Mapping[str, str]
    output: Path | None
    append: bool
    record: bool
    busy: bool

    @property
    def own_level(self) -> str:
        """The level that our code runs at."""
        return self.level or runtime.current_level()

    def child(self, script: str, peer: str, extra: Mapping[str, str] | None = None) -> Child:
        """A process of `script`, a file of this folder, with the interpreter of `peer`."""
        return Child(
            str(HERE / script),
            self.threads,
            bare=peer != OURS,
            interpreter=python_of(peer, self.pythons),
            extra=extra,
            level=self.level,
        )

    def children(self, script: str, peer: str) -> dict[str, Child]:
        """Processes of a peer by the name of its setting: PyTorch has several ways to wait for
        work, the others one. None, and a line that says why, where it cannot be measured."""
        found: dict[str, Child] = {}
        several = peer == "torch" and self.threads > 1
        try:
            for name, extra in (TORCH_SETTINGS if several else {"default": {}}).items():
                found[name] = self.child(script, peer, extra)
        except (PeerMissingError, PeerError) as absent:
            click.echo(f"{peer}: not measured, {absent}")
            close(found)
            return {}
        return found

    def rounds(self, count: int) -> Iterator[tuple[int, bool]]:
        """(number, beside a busy process) of each round after one, numbered 0, that warms up;
        with --busy every round is followed by one beside the busy process."""
        yield 0, False
        for number in range(1, count + 1):
            yield number, False
            if self.busy:
                yield number, True

    def sides(self, script: str, peers: Sequence[str]) -> Sides:
        """Our process and those of `peers` by (peer, setting), of `SCRIPT_PEER.py`."""
        found = {(OURS, "default"): self.child(f"{script}_{OURS}.py", OURS)}
        for peer in peers:
            children = self.children(f"{script}_{peer}.py", peer)
            found |= {(peer, setting): child for setting, child in children.items()}
        return found


def loaded(sides: Sides, setup: Setup, **request: Any) -> Sides:
    """The sides that have loaded what is asked for; what a library says of its instructions only
    then is held against the level as well. Others are named."""
    kept = dict(sides)
    for side, child in sides.items():
        try:
            answer = child.ask("load", **request)
            objection = levels.objection(answer, setup.level) if "instructions" in answer else None
        except PeerError as error:
            if side[0] == OURS:
                raise
            objection = str(error)
        if objection:
            click.echo(f"{', '.join(side)}: not measured, {objection}")
            del kept[side]
    return kept


def beside(busy: bool) -> Any:
    """A process that keeps one processor busy, or nothing."""
    return neighbor() if busy else nullcontext()


def close(children: Mapping[Any, Child]) -> None:
    """End them all."""
    for child in children.values():
        child.close()


@contextmanager
def closing(children: Mapping[Any, Child]) -> Iterator[None]:
    """End them all in the end."""
    try:
        yield
    finally:
        close(children)


@dataclass
class Results:
    """The cells of one script, written whenever there is a new one."""

    what: str
    setup: Setup
    cells: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        about = {
            "machine": machine.describe(),
            "threads": self.setup.threads,
            "level": self.setup.own_level,
            "held": self.setup.level is not None,
        }
        self.about, self.path = about, self.setup.output
        if self.setup.record:
            name = f"{self.what}-{about['machine']['processor']}-{about['level']}.json"
            self.path = RESULTS / name
        if self.path and (self.setup.record or self.setup.append) and self.path.exists():
            self.cells = self._kept(json.loads(self.path.read_text(encoding="utf-8")))

    def _kept(self, old: dict[str, Any]) -> dict[str, Any]:
        for key in ("threads", "level", "held"):
            if old[key] != self.about[key]:
                raise click.ClickException(
                    f"{self.path}: was measured with {key} {old[key]}, not {self.about[key]}"
                )
        return old["cells"]

    def add(self, name: str, cell: dict[str, Any]) -> None:
        """Keep a cell, with the commit it is of."""
        self.cells[name] = {**cell, "commit": self.about["machine"]["commit"]}
        if self.path:
            write_json({**self.about, "cells": self.cells}, self.path)


def measuring(function: Callable[..., None]) -> Callable[..., None]:
    """Decorator of a command: adds the common options, which it gets as `setup`."""

    @functools.wraps(function)
    def with_setup(
        threads: int | None,
        level: str | None,
        peer_python: tuple[str, ...],
        output: str | None,
        append: bool,
        record: bool,
        busy: bool,
        **own: Any,
    ) -> None:
        try:
            levels.check(level)
            pythons = interpreters(peer_python)
        except PlainformerError as error:
            raise click.UsageError(str(error)) from error
        threads = threads or runtime.get_num_threads()
        path = Path(output) if output else None
        function(setup=Setup(threads, level, pythons, path, append, record, busy), **own)

    for option in reversed(_OPTIONS):
        with_setup = option(with_setup)
    return with_setup


_OPTIONS = (
    click.option("--threads", type=click.IntRange(1), help="Threads of everyone [default: ours]."),
    click.option("--level", help="Hold everyone to an ISA level, such as avx2."),
    click.option(
        "--peer-python",
        multiple=True,
        metavar="[NAME=]PATH",
        envvar="PLAINFORMER_PEER_PYTHON",
        help="Interpreter of the peers, or of the one called NAME; may be repeated.",
    ),
    click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here."),
    click.option("--append", is_flag=True, help="Keep what --output has of other cells."),
    click.option(
        "--record",
        is_flag=True,
        help="Write to benchmarks/results/WHAT-PROCESSOR-LEVEL.json, keeping its other cells.",
    ),
    click.option("--busy", is_flag=True, help="Measure ours beside one busy process as well."),
)

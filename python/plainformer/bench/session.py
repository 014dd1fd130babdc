"""A whole run of the bench: peers started, ceilings measured, cells one after the other."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any

from ..checkpoints.atomic import write_bytes_atomic
from ..errors import ConfigError, shown
from . import levels, machine, report
from .case import DTYPES, Case
from .cases import NAMES, operation
from .peers import MODULES
from .process import Peer, PeerError, PeerMissingError
from .runner import Cell, Plan, run_case


def select(
    patterns: Sequence[str],
    dtypes: Sequence[str],
    *,
    quick: bool = False,
    device: str = "cpu",
    everything: bool = False,
) -> list[Case]:
    """The cases whose name, or its start up to a dot, matches one of `patterns` (all if none).

    They are those that tell most; with `everything`, and where a pattern matches none of them, all.

    Raises
    ------
    ConfigError : for a pattern that matches nothing and for an unknown dtype
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ConfigError(f"dtype: got {shown(dtype)}, expected one of {', '.join(DTYPES)}")
    operations = [operation(name, device) for name in NAMES]
    every = [case for op in operations for case in op.cases(dtypes, everything=True)]
    usual = {case.name for op in operations for case in op.cases(dtypes, quick=quick)}
    chosen = set() if patterns else (usual if not everything else {case.name for case in every})
    for pattern in patterns:
        found = {case.name for case in every if _matches(case, pattern)}
        if not found:
            raise ConfigError(
                f"OP: {shown(pattern)} matches nothing; operations: {', '.join(NAMES)}"
            )
        chosen |= found if everything else (found & usual or found)
    return [case for case in every if case.name in chosen]


def _matches(case: Case, pattern: str) -> bool:
    return fnmatchcase(case.name, pattern) or fnmatchcase(case.name, f"{pattern}.*")


def check_peer_names(names: Sequence[str]) -> None:
    """Raise ConfigError for a peer that does not exist; a level belongs to plainformer alone."""
    for name in names:
        module, _, level = name.partition(":")
        if module not in MODULES or (level and module != "plainformer") or name == "plainformer":
            raise ConfigError(
                f"peers: got {shown(name)}, expected numpy, torch, mkl, blis or plainformer:LEVEL "
                "(ours at a lower ISA level)"
            )


@dataclass
class Session:
    """Peers, kept alive over all cells. Use as a context manager.

    Attributes
    ----------
    pythons : interpreters by peer, as `process.interpreters` gives them
    level : what everyone is held to; None leaves everyone the best they have
    max_seconds : from entering it on; then cells are left out, of every operation some
    missing : a line for each peer that was asked for and is not there
    left_out : the cells that there was no time for
    ceilings : bytes or operations a second with these threads, the best measured so far: they are
        taken again before each operation, for a busy neighbor can hide a core from one measurement
    """

    peer_names: Sequence[str]
    threads: int
    plan: Plan
    pythons: Mapping[str, str] = field(default_factory=dict)
    quick: bool = False
    max_seconds: float | None = None
    device: str = "cpu"
    level: str | None = None
    peers: list[Peer] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ceilings: dict[str, float] = field(default_factory=dict)
    left_out: list[Case] = field(default_factory=list)

    def __enter__(self) -> Session:
        self._end = math.inf if self.max_seconds is None else time.monotonic() + self.max_seconds
        try:
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close()

    def _start(self) -> None:
        check_peer_names(self.peer_names)
        levels.check(self.level)
        for name in ["plainformer", *self.peer_names]:
            try:
                self.peers.append(self._peer(name))
            except (PeerMissingError, PeerError) as absent:
                if name == "plainformer":
                    raise
                self.missing.append(f"{name}: not measured, {absent}")
        self._raise_ceilings()

    def _peer(self, name: str) -> Peer:
        return Peer(
            name,
            self.threads,
            self.pythons,
            quick=self.quick,
            device=self.device,
            level=self.level,
        )

    def _raise_ceilings(self) -> None:
        """Measure the ceilings again and keep the better of old and new."""
        (ours,) = self.peers[0].children.values()
        milliseconds, repeats = (20.0, 1) if self.quick else (100.0, 2)
        rates = ours.ask("roofline", milliseconds=milliseconds, repeats=repeats)
        self.ceilings = {k: max(v, self.ceilings.get(k, 0.0)) for k, v in rates.items()}

    def _close(self) -> None:
        for peer in self.peers:
            peer.close()

    def run(self, cases: Sequence[Case]) -> Iterator[Cell]:
        """The cells, each when it is done; some are left out when there is no time for them.

        Each operation gets its share of the time that is left, so that none is left out whole
        unless those before it took all.
        """
        operations = list(dict.fromkeys(case.operation for case in cases))
        for place, name in enumerate(operations):
            if place > 0 and time.monotonic() < self._end:
                self._raise_ceilings()
            end = self._end
            if end < math.inf:
                now = time.monotonic()
                end = now + max(0.0, end - now) / (len(operations) - place)
            own = [case for case in cases if case.operation == name]
            for i, case in enumerate(own):
                if time.monotonic() >= (end if i else self._end):
                    self.left_out.append(case)
                else:
                    yield run_case(case, self.peers, self.plan, end)

    def as_json(
        self, cells: Sequence[Cell], before: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """All that is needed to read, judge and repeat the run; cells of `before`, an earlier run
        at the same level and threads, stay where this one has not measured them again."""
        about = machine.describe()
        own = [report.as_json(cell, self.ceilings) | {"commit": about["commit"]} for cell in cells]
        kept = {cell["case"]["name"]: cell for cell in (before or {}).get("cells", [])}
        merged = list((kept | {cell["case"]["name"]: cell for cell in own}).values())
        peers = {peer.name: peer.description for peer in self.peers}
        return {
            "machine": about,
            "threads": self.threads,
            "level": self.own_level,
            "held": self.level is not None,
            "device": self.device,
            "plan": asdict(self.plan),
            "ceilings": self.ceilings,
            "peers": (before or {}).get("peers", {}) | peers,
            "missing": self.missing,
            "left_out": [case.name for case in self.left_out],
            "summary": report.summary_of_json(merged),
            "cells": merged,
        }

    def check_same(self, before: Mapping[str, Any], what: str) -> None:
        """Raise ConfigError unless `before` was measured as this session measures.

        what : the option that names it
        """
        own = {"threads": self.threads, "level": self.own_level}
        for key, value in own.items():
            if before.get(key) != value:
                raise ConfigError(f"{what}: has {key} {shown(before.get(key))}, this run {value}")

    @property
    def own_level(self) -> str:
        """The level that our code runs at."""
        return self.level or levels.current()


def write_json(values: dict[str, Any], path: str | Path) -> None:
    """Write a run's results, for people to diff as well."""
    text = json.dumps(values, indent=1) + "\n"
    if Path(path).exists() and not Path(path).is_file():  # a pipe, or /dev/stdout
        Path(path).write_text(text, encoding="utf-8")
    else:
        write_bytes_atomic(path, text.encode())

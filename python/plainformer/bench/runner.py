"""One cell: let each peer choose its best way, check them against float64, then take turns."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import checking
from .case import Arrays, Case, make_inputs
from .cases import operation
from .process import Child, Peer, PeerError
from .timing import Summary, summarize


@dataclass(frozen=True)
class Plan:
    """How long and how often is measured.

    rounds : turns of each peer, interleaved
    seconds : a turn; trial_seconds: a turn of the trial between a peer's own ways
    clock : "wall", or "thread" (processor time of one thread: for busy machines)
    limit : seconds of a peer's calls in a cell; one that needs more has fewer rounds, and one whose
        single call takes longer is ended. Ours has no limit: it must be measured to be compared.
    """

    rounds: int = 7
    seconds: float = 0.1
    trial_seconds: float = 0.03
    clock: str = "wall"
    seed: int = 0
    limit: float = 15.0


QUICK = Plan(rounds=3, seconds=0.02, trial_seconds=0.005, limit=2.0)


@dataclass
class Result:
    """A peer's part of one cell; `note` says why there is no time, or what is wrong with it."""

    peer: str
    way: str = ""
    setting: str = ""
    note: str = ""
    error: float | None = None
    seconds: Summary | None = None
    rounds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Cell:
    """All that was measured for a case. The first result is ours."""

    case: Case
    allowed_error: float
    results: Sequence[Result]

    @property
    def ours(self) -> Result:
        """Our own result."""
        return self.results[0]

    @property
    def others(self) -> Sequence[Result]:
        """The peers' results."""
        return self.results[1:]

    @property
    def wrong(self) -> bool:
        """Whether ours failed the check (it is not timed then) or could not run."""
        return bool(self.ours.note)

    def ratio(self, other: Result) -> float | None:
        """How many times our time the other took: the median over rounds, each beside its own.

        Rounds are short, so a slow moment of the machine falls on both. A slow peer has only the
        first ones.
        """
        if not (self.ours.rounds and other.rounds):
            return None
        return float(np.median([b / a for a, b in zip(self.ours.rounds, other.rounds)]))


class _Runner:
    """A peer in one cell: after `choose`, one way in one of its processes."""

    def __init__(self, peer: Peer, limit: float):
        self.peer = peer
        self.limit = limit
        self.spent = 0.0
        self.result = Result(peer.name)
        self.child: Child | None = None
        self.samples: list[float] = []

    def choose(self, case: Case, plan: Plan) -> None:
        """Try every way under every setting for a moment; keep the fastest."""
        best = np.inf
        for setting, child in self.peer.children.items():
            ways = child.ask("prepare", case=asdict(case), seed=plan.seed)["ways"]
            alone = len(ways) * len(self.peer.children) == 1
            for way in ways:
                if self.child is not None and self.spent > self.limit / 8:
                    break  # so slow that its own ways make no difference
                seconds = 0.0 if alone else np.median(self._time(child, way, plan, trial=True))
                if seconds < best:
                    best, self.child = seconds, child
                    self.result.way, self.result.setting = way, setting
        if self.child is None:
            self.result.note = f"no {case.operation} {case.variant} in {case.dtype}"

    def _time(self, child: Child, way: str, plan: Plan, *, trial: bool = False) -> list[float]:
        seconds = plan.trial_seconds if trial else plan.seconds
        answer = self._ask(child, "time", way=way, seconds=seconds, clock=plan.clock)
        if not answer["idle"]:
            raise PeerError("its threads never stop spinning, which would slow the others")
        return answer["samples"]

    def _ask(self, child: Child, do: str, **values: Any) -> Any:
        """An answer whose time counts against the limit."""
        begin = time.monotonic()
        timeout = self.limit if math.isfinite(self.limit) else None
        try:
            return child.ask(do, timeout=timeout, **values)
        finally:
            self.spent += time.monotonic() - begin

    def outputs(self, folder: Path) -> tuple[Any, ...]:
        """The results of one call."""
        path = folder / "outputs.npz"
        assert self.child is not None
        count = self._ask(self.child, "outputs", way=self.result.way, path=str(path))["count"]
        with np.load(path) as file:
            return tuple(file[str(i)] for i in range(count))

    def turn(self, plan: Plan) -> None:
        """One turn of one round, while there is time."""
        assert self.child is not None
        if self.result.rounds and self.spent > self.limit:
            return
        samples = self._time(self.child, self.result.way, plan)
        self.samples += samples
        self.result.rounds.append(float(np.median(samples)))

    def release(self) -> None:
        """Free the arrays of this case; a process that has died holds none."""
        for child in self.peer.children.values():
            with contextlib.suppress(PeerError):
                child.ask("release")

    def fail(self, error: PeerError) -> None:
        """Note what went wrong; this peer is out of this cell."""
        self.result.note = str(error)
        self.result.rounds.clear()


def run_case(case: Case, peers: Sequence[Peer], plan: Plan, end: float = math.inf) -> Cell:
    """Measure `case` with every peer; `peers[0]` is ours.

    end : on the monotonic clock; after it no further round begins, but the first one does
    """
    runners = [_Runner(peer, plan.limit if i else math.inf) for i, peer in enumerate(peers)]
    _each(runners, lambda runner: runner.choose(case, plan))
    allowed = _check(case, runners, plan.seed)
    for number in range(0 if runners[0].result.note else plan.rounds):  # nothing to compare with
        if number > 0 and time.monotonic() >= end:
            break
        _each(runners, lambda runner: runner.turn(plan))
    for runner in runners:
        runner.release()
        if runner.result.rounds:
            runner.result.seconds = summarize(runner.samples)
    return Cell(case, allowed, [runner.result for runner in runners])


def _each(runners: Sequence[_Runner], do: Any) -> None:
    """`do` for every runner that has not failed."""
    for runner in runners:
        if runner.result.note:
            continue
        try:
            do(runner)
        except PeerError as error:
            runner.fail(error)


def _check(case: Case, runners: Sequence[_Runner], seed: int) -> float:
    """Measure everyone's error. Ours must be within the bound; a peer's is shown."""
    op = operation(case.operation)
    inputs = make_inputs(op, case, seed)
    exact = checking.reference(op, case, inputs)
    allowed = checking.allowed_error(op, case)

    def check(runner: _Runner) -> None:
        error = _error_of(runner, case, inputs, exact)
        runner.result.error = error
        if runner is runners[0] and not error <= allowed:
            raise PeerError(f"WRONG: error {error:.1e} of the largest number > {allowed:.1e}")

    _each(runners, check)
    return allowed


def _error_of(runner: _Runner, case: Case, inputs: Arrays, exact: tuple[Any, ...]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        outputs = runner.outputs(Path(folder))
    seen = checking.observed(operation(case.operation), case, outputs, inputs)
    return checking.relative_error(seen, exact)

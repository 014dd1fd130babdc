"""Ours and the peers in turns, and what is said of their times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import numpy as np
from running import OURS, Setup, beside

from plainformer.bench.process import PeerError

Side = tuple[str, str]  # a peer and its setting
Turn = Callable[[int], float]
"""Seconds of one turn in the round of that number; round 0 warms up."""


def take_turns(
    setup: Setup, rounds: int, turns: Mapping[Side, Turn]
) -> tuple[dict[Side, list[float]], list[float]]:
    """Seconds of each side, a figure a round, and ours beside a busy process where that is asked.

    A peer that fails or is too slow is named and out.
    """
    quiet: dict[Side, list[float]] = {side: [] for side in turns}
    busy: list[float] = []
    for number, is_busy in setup.rounds(rounds):
        with beside(is_busy):
            for side in [side for side in quiet if side[0] == OURS or not is_busy]:
                try:
                    seconds = turns[side](number)
                except PeerError as error:
                    _drop(quiet, side, error)
                    continue
                if number:
                    (busy if is_busy else quiet[side]).append(seconds)
    return quiet, busy


def at_most(side: Side, seconds: float) -> float | None:
    """The seconds that a turn of a side may take: ours must be measured, however long it takes."""
    return None if side[0] == OURS else seconds


def _drop(quiet: dict[Side, list[float]], side: Side, error: PeerError) -> None:
    if side[0] == OURS:
        raise error
    click.echo(f"{', '.join(side)}: not measured, {error}")
    del quiet[side]


def comparison(quiet: Mapping[Side, Sequence[float]], busy: Sequence[float]) -> dict[str, Any]:
    """Our milliseconds, and of each peer the fastest setting's and ours over it.

    `ratio` is of the fastest peer; `busy_ratio` our time beside a busy process over that alone.
    """
    [ours] = [values for (peer, _), values in quiet.items() if peer == OURS]
    result: dict[str, Any] = {"plainformer_ms": 1e3 * float(np.median(ours)), "peers": {}}
    for peer in dict.fromkeys(peer for peer, _ in quiet if peer != OURS):
        own = {setting: values for (name, setting), values in quiet.items() if name == peer}
        best = min(own, key=lambda setting: float(np.median(own[setting])))
        milliseconds = 1e3 * float(np.median(own[best]))
        result["peers"][peer] = {"setting": best, "ms": milliseconds, **ratio(ours, own[best])}
    if result["peers"]:
        fastest = max(result["peers"], key=lambda peer: result["peers"][peer]["ratio"])
        result |= {"fastest_peer": fastest, "ratio": result["peers"][fastest]["ratio"]}
    return result | busy_ratio(ours, busy)


def busy_ratio(alone: Sequence[float], busy: Sequence[float]) -> dict[str, float]:
    """How many times longer it takes beside a busy process; nothing where that was not asked."""
    return {"busy_ratio": float(np.median(np.divide(busy, alone)))} if busy else {}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Our time over theirs, round by round: median, p20 and p80."""
    ratios = np.divide(ours, theirs)
    p20, median, p80 = (float(x) for x in np.percentile(ratios, [20, 50, 80]))
    return {"ratio": median, "ratio_p20": p20, "ratio_p80": p80}


def show(name: str, result: Mapping[str, Any], limit: float | None = None) -> None:
    """A line for ours, and one a peer."""
    line = f"{name}: {result['plainformer_ms']:.2f} ms"
    if "busy_ratio" in result:
        line += f", {result['busy_ratio']:.2f} times that beside a busy process"
    if limit is not None and "ratio" in result:
        held = "held" if result["ratio"] <= limit else "MISSED"
        line += f"; {result['ratio']:.2f} of {result['fastest_peer']}'s, limit {limit:.2f} {held}"
    click.echo(line)
    for peer, own in result["peers"].items():
        click.echo(
            f"    {peer:<12} {own['ms']:9.2f} ms ({own['setting']}): ours takes {own['ratio']:.2f} "
            f"of its time (p20 {own['ratio_p20']:.2f}, p80 {own['ratio_p80']:.2f})"
        )

"""This run beside an earlier one, as ratios: how many times ours the peers take, now and then.

A time depends on the machine and its neighbors; a ratio of two libraries in one run far less.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError, shown
from .runner import Cell


class Change(NamedTuple):
    """A cell and a peer in both runs: the peer's time over ours."""

    name: str
    peer: str
    before: float
    now: float

    def lost(self, tolerance: float) -> bool:
        """Whether ours has become slower beside the peer by more than `tolerance`, a fraction."""
        return self.now < self.before * (1 - tolerance)

    def __str__(self) -> str:
        return f"{self.name}: {self.peer} {self.before:.2f}x then, {self.now:.2f}x now"


def read(path: str | Path) -> dict[str, Any]:
    """Results that `--output` has written.

    Raises
    ------
    ConfigError : if they are none
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        str(values["machine"]["commit"])
        for cell in values["cells"]:
            str(cell["case"]["name"])
            for one in cell["results"][1:]:
                str(one["peer"])
                _ = (one["times_ours"] or 0) * 1.0  # null: it was not compared
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(f"{shown(str(path))}: no results of this command ({error})") from error
    return values


def changes(before: Mapping[str, Any], cells: Sequence[Cell]) -> Iterator[Change]:
    """Every ratio that both have."""
    then = {
        (cell["case"]["name"], one["peer"]): one["times_ours"]
        for cell in before["cells"]
        for one in cell["results"][1:]
    }
    for cell in cells:
        for other in cell.others:
            old, now = then.get((cell.case.name, other.peer)), cell.ratio(other)
            if old is not None and now is not None:
                yield Change(cell.case.name, other.peer, old, now)

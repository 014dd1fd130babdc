"""Several trainings that differ in some options: compared in a table, and the best one kept.

Each run has a directory in `output_dir/sweep`, named after its options. When one has ended, the
worse of it and the best so far is cut down to its log, so a sweep takes the space of two models. At
last the best run's files move into `output_dir`, as if it had been the only one. `sweep/table.json`
has the figures of all; a run that stands in it is not run again, an interrupted one goes on.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import remove_directory, write_json_atomic
from ..checkpoints.files import read_json
from ..checkpoints.locks import lock_directory
from ..errors import ConfigError, NonFiniteError, shown
from .arguments import TrainingArguments
from .checkpoint import CheckpointDirectory
from .log import LOG_NAME

logger = logging.getLogger("plainformer")
RUNS, TABLE = "sweep", "table.json"
_NOT_SWEPT = ("output_dir", "resume_from_checkpoint", "overwrite_output_dir", "sweep")
_MOST_RUNS = 1000
_LONGEST_NAME = 100

Values = Mapping[str, Sequence[Any]]
Train = Callable[[Path, dict[str, Any]], tuple[Any, TrainingArguments]]


def combinations(sweep: Values, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options of each run, the last named option changing fastest.

    Raises ConfigError for values that are no list, twice there, or of an option that is given too.
    """
    if not isinstance(sweep, Mapping) or not sweep:
        raise ConfigError(f"sweep: got {shown(sweep)}, expected options and a list of values each")
    for name, values in sweep.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ConfigError(f"sweep: {name}: got {shown(values)}, expected a list of values")
        if name in _NOT_SWEPT or name in options:
            why = "is given beside it" if name in options else "is the same for all runs"
            raise ConfigError(f"sweep: {shown(name)} {why}; leave it out of one of them")
        if any(a == b for a, b in itertools.combinations(values, 2)):
            raise ConfigError(f"sweep: {name}: got {shown(values)}, expected each value once")
    if math.prod(map(len, sweep.values())) > _MOST_RUNS:
        raise ConfigError(f"sweep: makes more than {_MOST_RUNS} runs; take fewer values")
    return [dict(zip(sweep, chosen)) for chosen in itertools.product(*sweep.values())]


class Sweep:
    """The runs of one sweep and what is known of them.

    runs : of `combinations`
    options : those that all runs share
    """

    def __init__(
        self, output_dir: str | Path, runs: list[dict[str, Any]], options: Mapping[str, Any]
    ):
        self.output_dir, self.runs = Path(output_dir), runs
        self.options = {n: v for n, v in options.items() if n not in _NOT_SWEPT}
        self._goes_on = bool(options.get("resume_from_checkpoint"))
        self._overwrites = bool(options.get("overwrite_output_dir"))
        self._table: list[dict[str, Any]] = []

    def run(self, train: Train) -> tuple[dict[str, Any], Any]:
        """Run what has not run, and keep the best.

        train : of a directory and all options, to a result with `metrics` and the arguments that
            say which figure decides

        Returns
        -------
        The best run's metrics, and its result; None if it ended before this call.

        Raises
        ------
        ConfigError : output_dir holds another run, neither to go on from nor to be deleted
        NonFiniteError : all runs diverged
        """
        with lock_directory(self.output_dir):
            self._begin()
            best = result = None
            for options in self.runs:
                entry, made = self._entry(options, train)
                if best is None or _rank(entry) > _rank(best):
                    best, result, entry = entry, made, best
                if entry is not None and entry is not best:
                    self._cut_down(entry["options"])
            self._tell(best)
            if best is None or best["metrics"] is None:
                raise NonFiniteError(
                    "every run of the sweep diverged; sweep smaller learning rates"
                )
            self._publish(best["options"])
        return {**best["metrics"], "output_dir": str(self.output_dir)}, result

    def _begin(self) -> None:
        place = self.output_dir / RUNS
        if self._overwrites and place.exists():
            remove_directory(place)
        elif not self._goes_on:
            CheckpointDirectory(str(self.output_dir), None).check_unused()
            if place.exists():
                raise ConfigError(
                    f"{self.output_dir}: holds a sweep; give resume_from_checkpoint to go on with "
                    "it, overwrite_output_dir to delete it, or another output_dir"
                )
        place.mkdir(parents=True, exist_ok=True)
        if (place / TABLE).exists():
            self._table = list(read_json(place / TABLE).get("runs", ()))

    def _entry(self, options: dict[str, Any], train: Train) -> tuple[dict[str, Any], Any]:
        """A run's row of the table, and its result if it is run now."""
        for row in self._table:
            if row["options"] == options:
                return row, None
        directory = self._directory(options)
        how = {"overwrite_output_dir": True}
        if any(directory.glob("checkpoint-*")):
            how = {"resume_from_checkpoint": True}
        number = f"{self.runs.index(options) + 1} of {len(self.runs)}"
        logger.info("run %s: %s", number, _told(options))
        try:
            result, args = train(directory, {**self.options, **options, **how})
            figure, is_greater = args.best_metric_name, args.best_metric_is_greater
            row = {"options": options, "metrics": result.metrics}
            row |= {"decides": figure, "greater": is_greater}
        except NonFiniteError as error:
            result, row = None, {"options": options, "metrics": None, "error": str(error)}
            logger.warning("%s", error)
        self._table.append(row)
        write_json_atomic(self.output_dir / RUNS / TABLE, {"runs": self._table})
        return row, result

    def _directory(self, options: Mapping[str, Any]) -> Path:
        told = _told(options)
        name = re.sub(r"[^\w.+=,-]", "_", told.replace(", ", ","))[:_LONGEST_NAME]
        if name != told.replace(", ", ","):  # others may have this name
            name += "-" + hashlib.sha256(told.encode()).hexdigest()[:8]
        return self.output_dir / RUNS / name

    def _cut_down(self, options: Mapping[str, Any]) -> None:
        directory = self._directory(options)
        for path in directory.iterdir() if directory.is_dir() else ():
            if path.name != LOG_NAME:
                _remove(path)

    def _publish(self, options: Mapping[str, Any]) -> None:
        """The best run's files move up, each at once; those of a former best one give way."""
        directory = self._directory(options)
        if not directory.is_dir():
            return  # it moved in an earlier call
        for path in sorted(directory.iterdir()):
            target = self.output_dir / path.name
            if target.is_dir():
                _remove(target)
            os.replace(path, target)
        directory.rmdir()

    def _tell(self, best: Any) -> None:
        figure = best.get("decides", "eval_loss")
        names = [*self.runs[0], *dict.fromkeys((figure, "eval_loss")), "seconds"]
        rows = [names]
        for row in (r for r in self._table if r["options"] in self.runs):
            known = {**(row["metrics"] or {}), **row["options"]}
            cells = [_cell(known.get(name)) for name in names]
            rows.append([*cells[:-1], cells[-1] + "  <" * (row is best)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        for cells in rows:
            logger.info("%s", "  ".join(c.rjust(w) for c, w in zip(cells, widths)).rstrip())


def _rank(row: Mapping[str, Any]) -> tuple[float, float]:
    """What decides, then the loss; larger is better, and what diverged is worst."""
    metrics = row["metrics"] or {}
    value, loss = (
        math.nan if metrics.get(name) is None else metrics[name]
        for name in (row.get("decides"), "eval_loss")
    )
    sign = 1.0 if row.get("greater") else -1.0
    return _finite(sign * value), _finite(-loss)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _told(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()

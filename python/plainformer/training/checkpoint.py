"""Checkpoints of a run: `checkpoint-<step>/` directories that appear whole or not at all.

    output_dir/
      checkpoint-20/ checkpoint-30/     config.json, model.safetensors, optimizer.safetensors,
                                        trainer_state.json, checksums.json
      latest                            the name of the newest complete one, written last

A directory is written under another name, forced to the disk and renamed; then the pointer is
written; then old ones are deleted. Loading compares every file with its checksum.

What Ctrl-C saves is extra: it has a file `interrupted.json`, does not count for the limit, and goes
away with the next checkpoint or the end of the run, so that others are the ones of a run that
nobody stopped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import (
    atomic_directory,
    read_pointer,
    remove_directory,
    remove_partials,
    write_json_atomic,
    write_pointer,
)
from ..checkpoints.checksums import verify_checksums, write_checksums
from ..checkpoints.files import read_json
from ..checkpoints.huggingface import load_state
from ..checkpoints.locks import lock_directory
from ..checkpoints.safetensors import load_file, save_file
from ..errors import CheckpointError, ConfigError
from ..kinds import check_kind
from .arguments import TrainingArguments

logger = logging.getLogger("plainformer")

POINTER = "latest"
STATE = "trainer_state.json"
OPTIMIZER = "optimizer.safetensors"
EXTRA = "interrupted.json"
BEST = "best.json"  # see `kept`
_PARTS = {"state": dict, "data": dict, "inputs": dict, "callbacks": dict[str, dict[str, Any]]}
_NAME = re.compile(r"checkpoint-(0|[1-9][0-9]*)")  # as `path` writes them


@dataclass
class Checkpoint:
    """A checkpoint read back: weights, optimizer arrays and the trainer's own values."""

    path: Path
    weights: Mapping[str, Any]
    optimizer: dict[str, Any]
    values: dict[str, Any]
    is_extra: bool  # Ctrl-C wrote it, and no strategy


class CheckpointDirectory:
    """The checkpoints in one output directory.

    limit : how many of the newest are kept; 0 or None keeps all
    """

    def __init__(self, output_dir: str | Path, limit: int | None):
        self.root = Path(output_dir)
        self.limit = limit

    def path(self, step: int) -> Path:
        """Where the checkpoint of `step` is, or would be."""
        return self.root / f"checkpoint-{step}"

    def steps(self) -> list[int]:
        """Steps of the checkpoints on disk, oldest first; good or not."""
        matches = (_NAME.fullmatch(p.name) for p in self.root.glob("checkpoint-*") if p.is_dir())
        return sorted(int(match[1]) for match in matches if match)

    def check_unused(self) -> None:
        """Raise ConfigError if a former run left checkpoints here."""
        if steps := self.steps():
            raise ConfigError(
                f"output_dir: {self.path(steps[-1])} is there from a former run; set "
                "resume_from_checkpoint=True, overwrite_output_dir=True or another output_dir"
            )

    def check_there(self, where: str | Path | bool) -> None:
        """Raise CheckpointError unless there is something that may be a checkpoint to resume."""
        if not isinstance(where, bool):
            _check_is_checkpoint(Path(where))
        elif not self.steps():
            raise CheckpointError(f"{self.root}: holds no checkpoint to resume from")

    def make_room(self, path: Path, *, overwrite: bool) -> None:
        """Before a run goes on here from another directory's checkpoint: none may be here.

        They would look newer than the run's own, which would be deleted in their place.
        Raises ConfigError if there are, unless they may be deleted.
        """
        if self._own_step(path) is not None:
            return
        if overwrite:
            self.clear()
        else:
            self.check_unused()

    def save(
        self,
        step: int,
        write_model: Callable[[Path], None],
        optimizer: dict[str, Any],
        values: dict[str, Any],
        best_step: int | None = None,
        *,
        extra: bool = False,
    ) -> Path:
        """Write `checkpoint-<step>`, then the pointer, then delete what is beyond the limit.

        extra : keep it only until the next one is written
        Raises CheckpointError when the disk refuses; what was there before stays.
        """
        target = self.path(step)
        try:
            with atomic_directory(target) as directory:
                write_model(directory)
                save_file(optimizer, directory / OPTIMIZER)
                write_json_atomic(directory / STATE, values)
                if extra:
                    write_json_atomic(directory / EXTRA, {"step": step})
                write_checksums(directory)
            write_pointer(self.root / POINTER, target.name)
        except OSError as error:
            raise CheckpointError(f"{target}: not saved: {error}; {self._last_words()}") from error
        self._rotate(best_step)
        self.drop_extra(step)
        return target

    def load(self, where: str | Path | bool) -> Checkpoint:
        """Read the checkpoint at a path, or with True the newest good one.

        A damaged newest one is passed over, with a warning, for the one before it.
        Raises CheckpointError when there is none.
        """
        if isinstance(where, bool):
            return self._load_newest()
        return read_checkpoint(Path(where))

    def load_weights(self, step: int) -> Mapping[str, Any]:
        """The weights alone of the checkpoint of `step`, compared with their checksums."""
        verify_checksums(self.path(step))
        return load_state(self.path(step))

    def continue_from(self, path: Path, best_step: int | None) -> None:
        """Make `path` the newest: point to it and delete those that came after it.

        A continued run writes the later ones again; left alone they would look newer than it.
        A process killed before it deleted what is beyond the limit has left that to us.
        """
        own = self._own_step(path)
        if own is None:
            return
        write_pointer(self.root / POINTER, self.path(own).name)
        for step in self.steps():
            if step > own:
                self.delete(step)
        self._rotate(best_step)

    def _own_step(self, path: Path) -> int | None:
        """The step of a checkpoint of this directory, also by way of a link; None for others."""
        for name in (path.absolute(), path.resolve()):
            match = _NAME.fullmatch(name.name)
            if match and name.parent.resolve() == self.root.resolve():
                return int(match[1])
        return None

    def drop_extra(self, kept: int | None = None) -> None:
        """Delete what Ctrl-C saved, but at step `kept`.

        The pointer, if it names one of them, goes to the newest checkpoint that stays.
        """
        steps = self.steps()
        extra = [step for step in steps if step != kept and self._is_extra(step)]
        if extra and read_pointer(self.root / POINTER) in [self.path(s).name for s in extra]:
            staying = [step for step in steps if step not in extra]
            if staying:
                write_pointer(self.root / POINTER, self.path(staying[-1]).name)
            else:
                (self.root / POINTER).unlink()
        for step in extra:
            self.delete(step)

    def clear(self) -> None:
        """Delete every checkpoint and the pointer."""
        for name in (POINTER, BEST):
            (self.root / name).unlink(missing_ok=True)
        for step in self.steps():
            self.delete(step)

    def tidy(self) -> None:
        """Remove what killed processes left half written, also one folder down (tokens/, ...)."""
        self._tidy(self.root)
        for folder in self.root.iterdir():
            if folder.is_dir() and not folder.is_symlink():
                self._tidy(folder)

    def _tidy(self, folder: Path) -> None:
        removed: list[str] = []
        with suppress(OSError):  # another user's: lost+found, what his run left
            removed = remove_partials(folder)
        for name in removed:
            logger.info("removed %s, left half written by a former run", folder / name)

    def _load_newest(self) -> Checkpoint:
        names = [f"checkpoint-{step}" for step in reversed(self.steps())]
        try:
            pointed = read_pointer(self.root / POINTER)
        except CheckpointError as error:
            logger.warning("%s", error)
            pointed = None
        if pointed in names:  # newer ones were complete too, but never announced
            names.insert(0, names.pop(names.index(pointed)))
        for name in names:
            try:
                return read_checkpoint(self.root / name)
            except CheckpointError as error:
                logger.warning("%s; falling back to the checkpoint before it", error)
        raise CheckpointError(f"{self.root}: holds no good checkpoint to resume from")

    def _rotate(self, best_step: int | None) -> None:
        if not self.limit:
            return
        regular = [step for step in self.steps() if not self._is_extra(step)]
        for step in regular[: -self.limit]:
            if step != best_step:
                self.delete(step)

    def _is_extra(self, step: int) -> bool:
        return (self.path(step) / EXTRA).exists()

    def delete(self, step: int) -> None:
        """Delete the checkpoint of a step."""
        remove_directory(self.path(step))

    def _last_words(self) -> str:
        steps = self.steps()
        if not steps:
            return "there is no earlier checkpoint"
        return f"the last good checkpoint is {self.path(steps[-1])}"


@contextmanager
def claim_directory(args: TrainingArguments) -> Iterator[None]:
    """Inside, the output directory is this run's alone: what to ask before anything takes time.

    Raises
    ------
    CheckpointError : another run is writing into it; or there is no checkpoint to go on from
    ConfigError : it holds checkpoints of a former run, neither to go on from nor to be deleted
    """
    with lock_directory(args.output_dir):
        directory, resume = CheckpointDirectory(args.output_dir, None), args.resume_from_checkpoint
        if resume:
            directory.check_there(resume)
            if not isinstance(resume, bool) and not args.overwrite_output_dir:
                directory.make_room(Path(resume), overwrite=False)
        elif not args.overwrite_output_dir:
            directory.check_unused()
        yield


def _check_is_checkpoint(path: Path) -> None:
    for problem, found in (
        ("no such checkpoint directory", path.is_dir()),
        (f"has no {STATE} and cannot be resumed from", (path / STATE).exists()),
    ):
        if not found:
            raise CheckpointError(
                f"{path}: {problem}; expected the path of a checkpoint such as runs/a/checkpoint-20"
                ", or none for the newest in output_dir"
            )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint and compare every file with its checksum.

    Raises CheckpointError naming what is missing or damaged.
    """
    _check_is_checkpoint(path)
    verify_checksums(path)
    values = read_json(path / STATE)
    for name, kind in _PARTS.items():
        if name in values:
            check_kind(f"{path / STATE}: {name}", values[name], kind, error=CheckpointError)
    is_extra = (path / EXTRA).exists()
    return Checkpoint(path, load_state(path), load_file(path / OPTIMIZER), values, is_extra)

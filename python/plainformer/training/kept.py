"""What stays of the checkpoints of a run that ended well: one, from which more training goes on.

The best model, where an earlier checkpoint had it, is then the one in the output directory. Its
file `best.json` says of which step that is, and what the files of its weights are, so that a run
that goes on and finds no better one comes back to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_json_atomic
from ..checkpoints.checksums import checksum_file
from ..checkpoints.files import read_json
from ..checkpoints.huggingface import is_weights, load_state
from ..errors import CheckpointError
from .checkpoint import BEST, CheckpointDirectory


def keep_newest(
    directory: CheckpointDirectory, best_step: int | None, *, has_best: bool = True
) -> None:
    """Delete all checkpoints but the newest.

    best_step : of the best model; None where none was chosen
    has_best : whether its weights, as a checkpoint has them, are in the output directory; if not,
        its checkpoint stays too
    """
    others = directory.steps()[:-1]
    (directory.root / BEST).unlink(missing_ok=True)
    if best_step in others and has_best:
        told = {"step": best_step, "checksums": _checksums(directory.root)}
        write_json_atomic(directory.root / BEST, told)
    elif best_step in others:
        others.remove(best_step)
    for step in others:
        directory.delete(step)


def best_weights(directory: CheckpointDirectory, step: int) -> Mapping[str, Any] | None:
    """The weights of the best model: of its checkpoint, or else those in the output directory;
    None where they are in neither.

    Raises
    ------
    CheckpointError : they are damaged
    """
    if directory.path(step).is_dir():
        return directory.load_weights(step)
    return load_state(directory.root) if _is_best(directory.root, step) else None


def _is_best(root: Path, step: int) -> bool:
    """Whether the weights beside the checkpoints are those of a step, unchanged since."""
    try:
        told = read_json(root / BEST)
    except CheckpointError:
        return False
    return told == {"step": step, "checksums": _checksums(root)}


def _checksums(root: Path) -> dict[str, str]:
    return {p.name: checksum_file(p) for p in sorted(root.iterdir()) if is_weights(p.name)}

"""The two logs of a run, a JSON record a line.

`log.jsonl` holds only what is reproducible: the same run gives the same bytes, interrupted or
not. `timing.jsonl` holds what a clock or the memory says, and only grows.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_bytes_atomic
from ..checkpoints.locks import NO_LINKS
from ..errors import CheckpointError

LOG_NAME = "log.jsonl"
TIMING_NAME = "timing.jsonl"


def to_line(record: dict[str, Any]) -> str:
    """One line of strict JSON; NaN and infinities, which JSON lacks, become null."""
    return json.dumps(strict(record), ensure_ascii=False) + "\n"


def strict(value: Any) -> Any:
    """`value` with null (None) for every NaN and infinity in it."""
    if isinstance(value, dict):
        return {k: strict(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class RunLog:
    """Appends records to the logs in `directory`.

    records : list of dict, what log.jsonl must hold before the first new record. The file is
        rewritten to exactly these, which cuts off what a killed process wrote after its last
        checkpoint, and repairs a torn last line.
    fresh : bool, also start timing.jsonl anew

    Raises
    ------
    CheckpointError : a file went away or became a link to another while the run went on
    """

    def __init__(self, directory: str | Path, records: list[dict[str, Any]], *, fresh: bool):
        self.log_path = Path(directory) / LOG_NAME
        self.timing_path = Path(directory) / TIMING_NAME
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(self.log_path, "".join(map(to_line, records)).encode())
        if fresh or self.timing_path.is_symlink() or not self.timing_path.is_file():
            write_bytes_atomic(self.timing_path, b"")

    def append(self, record: dict[str, Any]) -> None:
        """Add a reproducible record."""
        _append(self.log_path, to_line(record))

    def append_timing(self, record: dict[str, Any]) -> None:
        """Add a record of time and memory."""
        _append(self.timing_path, to_line(record))


def _append(path: Path, line: str) -> None:
    """Add a line to a file that is there: one that went away would come back with its end alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | NO_LINKS)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise CheckpointError(f"{path}: not written: {error.strerror}") from error

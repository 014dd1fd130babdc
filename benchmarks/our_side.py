"""What every process of ours says of itself, and how it is given its threads."""

from __future__ import annotations

from typing import Any

from plainformer import _cpu, runtime


def describe() -> dict[str, Any]:
    """Level and threads."""
    level = _cpu.current_level()
    return {
        "level": level,
        "threads": runtime.get_num_threads(),
        "instructions": {"plainformer": level},
    }


def set_threads(threads: int) -> None:
    """The size of our pool."""
    runtime.set_num_threads(threads)

"""The directory that `quickstart` writes: its own alone, since it begins anew each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..checkpoints.atomic import write_json_atomic
from ..checkpoints.locks import lock_directory
from ..errors import ConfigError
from .size import Size

_MARK = "quickstart.json"  # what the directory is, and with which size and seed


@contextmanager
def own_directory(directory: Path) -> Iterator[None]:
    """Inside, no other run writes there.

    Raises
    ------
    ConfigError : a model stands there that was not made here
    CheckpointError : another run is writing
    """
    with lock_directory(directory):
        found = [name for name in ("model.safetensors", "latest") if (directory / name).exists()]
        if found and not (directory / _MARK).exists():
            raise ConfigError(
                f"output_dir: {directory} holds a model or checkpoints of another run "
                f"({found[0]}), which quickstart would replace; choose another output_dir"
            )
        yield


def mark(directory: Path, size: Size, seed: int) -> None:
    """Say that the directory is quickstart's."""
    write_json_atomic(directory / _MARK, {"size": size.name, "seed": seed})

"""The table of readers. A new kind of file is one entry here."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plainformer.errors import PlainformerError, PlainformerWarning

from . import readers_data, readers_models, readers_tasks, readers_tokenizers
from .reader import Reader

READERS: dict[str, Reader] = {
    **readers_models.READERS,
    **readers_tasks.READERS,
    **readers_tokenizers.READERS,
    **readers_data.READERS,
}


def allow_warnings() -> None:
    """Our own warnings, and none of NumPy's and Python's, may come up in a case."""
    warnings.filterwarnings("ignore", category=PlainformerWarning)
    logging.getLogger("plainformer").setLevel(logging.CRITICAL)
    os.fsync = lambda descriptor: None  # nobody cuts the power of these tests


def cases(name: str, folder: Path) -> Callable[[int], tuple[Callable[[], Any], tuple[Any, ...]]]:
    """What runs case i of a reader, and which errors are clean."""
    import click

    reader, directory = READERS[name], folder / name.replace("/", "_")
    shutil.rmtree(directory, ignore_errors=True)
    reader.prepare(directory)

    def case(number: int) -> tuple[Callable[[], Any], tuple[Any, ...]]:
        reader.restore(directory)
        reader.damage(directory, f"{name}:{number}")
        return lambda: reader.read(directory), (PlainformerError, click.ClickException)

    return case

"""What every process of PyTorch says of itself, and how it is given its threads."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import torch

from plainformer.bench.peers import instructions


def describe() -> dict[str, Any]:
    """Versions, level and threads."""
    facts = {
        "torch": torch.__version__,
        "level": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "instructions": instructions.of_torch(),
    }
    try:
        return facts | {"transformers": importlib.metadata.version("transformers")}
    except importlib.metadata.PackageNotFoundError:
        return facts


def set_threads(threads: int) -> None:
    """The threads of one operation."""
    torch.set_num_threads(threads)

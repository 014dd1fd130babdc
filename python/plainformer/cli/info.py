"""`plainformer info`: version, processor, threads, memory, and the optional parts found."""

from __future__ import annotations

import os
import platform
from typing import Any

import click
import numpy as np

from .. import runtime
from ..kernels.devices import describe_gpus
from ._common import Command, echo, version

# Module, what to install for it, and what it adds.
OPTIONAL = (
    ("matplotlib", "plainformer[viz]", "loss curves as PNG"),
    ("tensorboardX", "plainformer[log]", "figures for TensorBoard"),
    ("jinja2", "plainformer[chat]", "chat templates other than ChatML"),
    ("cupy", "plainformer[cuda13]", "arrays on a GPU"),
    ("torch", "torch", "a peer for `plainformer bench --peers torch`"),
)


@click.command(cls=Command)
def info() -> dict[str, Any]:
    """Show version, processor, threads and memory."""
    facts = gather()
    for label, text in describe(facts):
        echo(f"{label:<12}{text}")
    return facts


def gather() -> dict[str, Any]:
    """Everything the command shows, as one flat dictionary."""
    cpu = runtime.cpu_summary()
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cpu": cpu["name"],
        "cpu_features": list(cpu["features"]),
        "cache_bytes": list(cpu["cache_bytes"]),
        "memory_bytes": cpu["memory_bytes"],
        "level": runtime.current_level(),
        "level_reason": level_reason(),
        "levels": runtime.available_levels(),
        **runtime.threadpool_info(),
        **runtime.memory_stats(),
        **gpu_facts(),
        "optional_found": [name for name, *_ in OPTIONAL if runtime.is_installed(name)],
        "optional_missing": [name for name, *_ in OPTIONAL if not runtime.is_installed(name)],
    }


def gpu_facts() -> dict[str, Any]:
    names, reason = describe_gpus()
    return {"gpus": names, "gpu_reason": reason or None}


def level_reason() -> str:
    forced = os.environ.get("PLAINFORMER_CPU_ISA", "").strip()
    return "PLAINFORMER_CPU_ISA" if forced else "best of this processor and build"


def describe(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines to print, as (label, text)."""
    return [
        ("plainformer", f"{version()} (Python {facts['python']}, NumPy {facts['numpy']})"),
        ("processor", f"{facts['cpu']}; {' '.join(facts['cpu_features']) or 'no known features'}"),
        ("caches", ", ".join(f"L{i} {size(n)}" for i, n in enumerate(facts["cache_bytes"], 1))),
        ("ISA level", f"{facts['level']}: {facts['level_reason']} ({', '.join(facts['levels'])})"),
        ("threads", threads_text(facts)),
        ("memory", f"{size(facts['memory_bytes'])} for this process"),
        ("allocator", allocator_text(facts)),
        ("GPUs", "; ".join(facts["gpus"]) or f"none: {facts['gpu_reason']}"),
        *(("optional", optional_text(*part)) for part in OPTIONAL),
    ]


def threads_text(facts: dict[str, Any]) -> str:
    quota = "none" if facts["cgroup_cpus"] is None else facts["cgroup_cpus"]
    return (
        f"{facts['num_threads']}: {facts['reason']} "
        f"(affinity {facts['affinity']}, CPU quota {quota}, {facts['workers']} workers started)"
    )


def allocator_text(facts: dict[str, Any]) -> str:
    return (
        f"{size(facts['live_bytes'])} in use, {size(facts['cached_bytes'])} kept for reuse "
        f"of at most {size(facts['limit_bytes'])}"
    )


def optional_text(module: str, package: str, purpose: str) -> str:
    how = "found" if runtime.is_installed(module) else f"not found, pip install '{package}'"
    return f"{module} ({purpose}): {how}"


def size(n: float) -> str:
    """Bytes for people: 0 B, 32 KiB, 23.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.4g} {unit}"
        n /= 1024
    return f"{n:.4g} TiB"

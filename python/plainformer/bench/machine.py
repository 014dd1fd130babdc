"""What was measured, and where: enough to tell two results apart."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def sources(module: str) -> dict[str, str]:
    """Short SHA-256 of the compiled module and, in a source tree, of each kernel file."""
    package = Path(__file__).resolve().parents[1]
    root = package.parents[1]  # of the source tree, if this is one
    files = sorted((root / "csrc").rglob("*.[ch]*")) if _is_checkout(root) else []
    named = {Path(module).name: Path(module)}
    named |= {str(path.relative_to(root)): path for path in files}
    return {name: file_hash(path) for name, path in named.items()}


def file_hash(path: Path) -> str:
    """Of a file, short."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _is_checkout(root: Path) -> bool:
    return (root / "csrc").is_dir() and (root / "pyproject.toml").is_file()


def commit() -> str | None:
    """The git commit of the source tree, with "+" when files other than results differ from it;
    None outside one."""
    root = Path(__file__).resolve().parents[3]
    if not _is_checkout(root):
        return None
    head, changes = (
        _git(root, "rev-parse", "HEAD"),
        _git(root, "status", "--porcelain", "--", ".", ":!benchmarks/results"),
    )
    return head and head + ("+" if changes else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """Name, family and model of the processor as one word: `amd-epyc-26-2`.

    The name alone does not tell two generations of rented machines apart.
    """
    facts = {"vendor_id": "", "model name": platform.processor() or platform.machine()}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    facts |= {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    name = re.sub(r"\(R\)|\(TM\)|CPU|@.*|\d+-Core|Processor", "", facts["model name"])
    numbers = [facts[key] for key in ("cpu family", "model") if key in facts]
    return re.sub(r"[^a-z0-9]+", "-", " ".join([name, *numbers]).lower()).strip("-")


def describe() -> dict[str, Any]:
    """System, processor, Python and commit."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "python": platform.python_version(),
        "commit": commit(),
        "command": " ".join(sys.argv),
    }

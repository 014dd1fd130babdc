"""Peers from the outside: child processes that are kept alive and run one at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import PlainformerError
from .peers import MODULES

PACKAGE = Path(__file__).parent.parent
# Thread settings of the caller, and OpenBLAS overrides that would handicap NumPy.
DROPPED = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "PLAINFORMER_NUM_THREADS",
)
# How libgomp's threads wait for work: PyTorch is given the best of these, cell by cell.
TORCH_SETTINGS = {
    "default": {},
    "spin 20000": {"GOMP_SPINCOUNT": "20000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}


class PeerError(PlainformerError):
    """A peer failed to do what it was asked."""


class PeerMissingError(PlainformerError):
    """A peer is not installed where it was looked for."""


def environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment with `threads` for everyone and nobody's other thread settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads)) | dict(extra)


class Child:
    """One process of a peer: `module` is a name or a file; `bare` says that it needs none of ours.

    `package` is the directory of the plainformer that it imports.

    Raises
    ------
    PeerMissingError : the peer cannot be imported there
    PeerError : it failed otherwise
    """

    def __init__(
        self,
        module: str,
        threads: int,
        *,
        bare: bool = True,
        interpreter: str = sys.executable,
        extra: Mapping[str, str] | None = None,
        package: Path = PACKAGE,
    ):
        script = package / "bench" / "peers" / "child.py"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        try:
            self._process = subprocess.Popen(
                [interpreter, str(script), module, str(threads), "bare" if bare else "whole"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment(threads, extra or {}),
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which closes the pipes
            )
        except OSError as error:
            self._errors.close()
            raise PeerMissingError(f"cannot run {interpreter}: {error.strerror}") from error
        greeting = self._read()
        if "missing" in greeting:
            self.close()
            raise PeerMissingError(f"{greeting['missing']} ({interpreter})")
        self.description: dict[str, Any] = greeting["ready"]

    def ask(self, do: str, **values: Any) -> Any:
        """The answer to one request."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(self._last_words()) from error
        answer = self._read()
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process: its input ends, and so does it."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        return f"process ended with code {code}" + (f": {said[-1]}" if said else "")


class Peer:
    """A peer as it is named on the command line: `numpy`, `torch`, `plainformer:avx2`.

    It is one process for each setting of the environment that it may be better with.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        interpreter: str | None,
        *,
        quick: bool = False,
        device: str = "cpu",
    ):
        self.name = name
        module, _, level = name.partition(":")
        self.children: dict[str, Child] = {}
        settings = _settings(module, level, threads, quick or device != "cpu")
        for setting, extra in settings.items():
            self.children[setting] = Child(
                MODULES[module],
                threads,
                bare=module != "plainformer",
                interpreter=interpreter if interpreter and module == "torch" else sys.executable,
                extra=extra | {"PLAINFORMER_BENCH_DEVICE": device},
            )

    @property
    def description(self) -> dict[str, Any]:
        """What the peer says about itself."""
        return next(iter(self.children.values())).description

    def close(self) -> None:
        """End all processes."""
        for child in self.children.values():
            child.close()


def _settings(module: str, level: str, threads: int, quick: bool) -> dict[str, dict[str, str]]:
    if module == "torch" and threads > 1 and not quick:
        return TORCH_SETTINGS
    return {"default": {"PLAINFORMER_CPU_ISA": level} if level else {}}

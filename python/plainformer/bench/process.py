"""Peers from the outside: child processes that are kept alive and run one at a time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, PlainformerError, shown
from . import levels
from .peers import MODULES

PACKAGE = Path(__file__).parent.parent
# Thread settings of the caller, and what would hold a peer to fewer instructions than it has.
DROPPED = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "ATEN_", "ONEDNN_", "DNNL_", "CT2_",
    "NPY_DISABLE_",
)  # fmt: skip
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
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


class PeerTimeoutError(PeerError):
    """A peer took longer than it may; its process was ended."""


class PeerMissingError(PlainformerError):
    """A peer is not installed where it was looked for."""


class PeerLevelError(PeerMissingError):
    """A peer uses instructions beyond the level that it was held to, or does not say."""


def interpreters(words: Sequence[str]) -> dict[str, str]:
    """Which Python runs which peer: NAME=PATH is that peer's, PATH, under the name "", all others'.

    Raises
    ------
    ConfigError : for a NAME that is no word, as in `=PATH`
    """
    found = {}
    for word in words:
        name, _, path = word.rpartition("=")
        if "=" in word and not name.isidentifier():
            raise ConfigError(f"peer-python: got {shown(word)}, expected PATH or NAME=PATH")
        found[name] = path
    return found


def environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment with `threads` for everyone and nobody's other thread settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads)) | dict(extra)


class Child:
    """One process of a peer: `module` is a name or a file; `bare` says that it needs none of ours.

    `package` is the directory of the plainformer that it imports. With a `level`, whatever it
    computes with is held to it.

    Raises
    ------
    PeerMissingError : the peer cannot be imported there
    PeerLevelError : it does not keep to `level`
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
        level: str | None = None,
    ):
        script = str(package / "bench" / "peers" / "child.py")
        kind = "bare" if bare else "whole"
        self._command = [interpreter, script, module, str(threads), kind]
        self._environment = environment(threads, levels.environment(level) | dict(extra or {}))
        self.description: dict[str, Any] = self._start()
        objection = levels.objection(self.description, level)
        if objection:
            self.close()
            raise PeerLevelError(objection)

    def _start(self) -> dict[str, Any]:
        interpreter, self._closed = self._command[0], False
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=self._environment,
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which closes the pipes
            )
        except OSError as error:
            self._errors.close()
            raise PeerMissingError(f"cannot run {interpreter}: {error.strerror}") from error
        greeting = self._read(None)
        if "missing" in greeting:
            self.close()
            raise PeerMissingError(f"{greeting['missing']} ({interpreter})")
        return greeting["ready"]

    def ask(self, do: str, *, timeout: float | None = None, **values: Any) -> Any:
        """The answer to one request.

        A process that takes longer than `timeout` seconds is ended; the next request finds a new
        one, which knows nothing of what was asked before.

        Raises
        ------
        PeerTimeoutError : it took longer
        PeerError : it failed
        """
        if self._closed:
            self._start()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(self._last_words()) from error
        answer = self._read(timeout)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process: its input ends, and so does it."""
        if self._closed:
            return
        self._closed = True
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _read(self, timeout: float | None) -> dict[str, Any]:
        assert self._process.stdout is not None
        if timeout is not None and not select.select([self._process.stdout], [], [], timeout)[0]:
            self._process.kill()
            self.close()
            raise PeerTimeoutError(f"gave no answer within {timeout:.0f} s")
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
        pythons: Mapping[str, str],
        *,
        quick: bool = False,
        device: str = "cpu",
        level: str | None = None,
    ):
        self.name = name
        module, _, own_level = name.partition(":")
        self.children: dict[str, Child] = {}
        settings = _settings(module, own_level, threads, quick or device != "cpu")
        for setting, extra in settings.items():
            self.children[setting] = Child(
                MODULES[module],
                threads,
                bare=module != "plainformer",
                interpreter=python_of(module, pythons),
                extra=extra | {"PLAINFORMER_BENCH_DEVICE": device},
                level=level,
            )

    @property
    def description(self) -> dict[str, Any]:
        """What the peer says about itself."""
        return next(iter(self.children.values())).description

    def close(self) -> None:
        """End all processes."""
        for child in self.children.values():
            child.close()


def python_of(peer: str, pythons: Mapping[str, str]) -> str:
    """The interpreter of a peer; ours and NumPy's is this one unless they are named."""
    others = sys.executable if peer in ("plainformer", "numpy") else pythons.get("")
    return pythons.get(peer) or others or sys.executable


def _settings(module: str, level: str, threads: int, quick: bool) -> dict[str, dict[str, str]]:
    if module == "torch" and threads > 1 and not quick:
        return TORCH_SETTINGS
    return {"default": {"PLAINFORMER_CPU_ISA": level} if level else {}}

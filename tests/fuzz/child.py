"""Cases in a child process: bounded memory and processor time, and a crash that is told.

The parent (`Child`) sends a line {"table", "name", "first", "count"} and reads lines back: the
number of each case before it runs, each fault, and "done". A child that dies or hangs is told as
the fault of the case that it was at, and another one goes on behind that.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

SECONDS = 2.0  # of processor, a case
MEMORY = 2 << 30  # bytes above what the child has
PATIENCE = 60.0  # seconds of the clock without a sign of life, on a busy machine
_MESSAGE = 1500  # characters of an error: values of any length are cut
_ROOT = Path(__file__).parents[2]


class Child:
    """Runs cases of a table in processes of its own; use as a context manager."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def run(self, table: str, name: str, first: int, count: int) -> list[dict[str, Any]]:
        """Run cases `first` to `first + count`; the faults: {case, kind, where, message}."""
        faults: list[dict[str, Any]] = []
        last = first + count
        while first < last:
            self._send({"table": table, "name": name, "first": first, "count": last - first})
            at = self._listen(first, faults)
            if at is None:
                break
            faults.append({"case": at, "kind": self._ending(), "where": "", "message": ""})
            first = at + 1
        return faults

    def _send(self, order: dict[str, Any]) -> None:
        if self._process is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.child", str(self.folder)],
                cwd=_ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path]),
                    "PLAINFORMER_POISON": "1",  # memory that nobody wrote is told from results
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._buffer = b""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _listen(self, at: int, faults: list[dict[str, Any]]) -> int | None:
        """Read until "done" (None), or until the child is gone or silent (the case it was at)."""
        while True:
            line = self._line()
            if line is None:
                return at
            told = json.loads(line)
            if told == "done":
                return None
            if isinstance(told, int):
                at = told
            else:
                faults.append(told)

    def _line(self) -> bytes | None:
        assert self._process is not None
        assert self._process.stdout is not None
        output = self._process.stdout
        while b"\n" not in self._buffer:
            if not select.select([output], [], [], PATIENCE)[0]:
                return None
            data = os.read(output.fileno(), 1 << 16)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ending(self) -> str:
        """How the child ended; another one is started by the next order."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.poll()
        self._stop()
        return "hang" if code is None else f"crash ({code})"

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._process = None


class TooSlowError(BaseException):
    """A case took more than `SECONDS`; no Exception, so that nothing on the way handles it."""


def attempt(run: Any, allowed: tuple[type[BaseException], ...]) -> dict[str, Any] | None:
    """Run a case within the bounds; what went wrong, None if nothing did."""
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        run()
    except allowed as error:
        message = str(error)
        if len(message) > _MESSAGE or not message.strip():
            return _fault("bad message", error, f"{len(message)} characters: {message[:200]}")
        return None
    except BaseException as error:
        return _fault(type(error).__name__, error, str(error)[:300])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    return None


def _fault(kind: str, error: BaseException, message: str) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/plainformer/" in f.filename] or frames
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return {"kind": kind, "where": where, "message": message}


def _address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _too_slow(*_: object) -> None:
    raise TooSlowError(f"more than {SECONDS} s of processor")


def serve(folder: Path) -> None:
    """Run what standard input orders."""
    from . import bindings, faulty, functions, readers

    tables: dict[str, Any] = {
        "readers": readers, "functions": functions, "bindings": bindings, "faulty": faulty,
    }  # fmt: skip
    warnings.simplefilter("error")  # what NumPy and Python warn about is a fault
    readers.allow_warnings()
    signal.signal(signal.SIGPROF, _too_slow)
    voice = os.dup(1)
    os.dup2(2, 1)  # what is printed is no message to the parent

    def tell(value: Any) -> None:
        os.write(voice, json.dumps(value).encode() + b"\n")

    for line in sys.stdin.buffer:
        order = json.loads(line)
        try:
            cases = tables[order["table"]].cases(order["name"], folder)
        except Exception as error:  # undamaged files must be read
            tell({"case": -1, **_fault("not prepared", error, repr(error)[:500])})
            tell("done")
            continue
        for case in range(order["first"], order["first"] + order["count"]):
            tell(case)
            fault = attempt(*cases(case))
            if fault is not None:
                tell({"case": case, **fault})
        tell("done")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as own:
        serve(Path(own))

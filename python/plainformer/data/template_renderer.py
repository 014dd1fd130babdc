"""Renders chat templates in a process of their own: see jinja_sandbox.py, which is that process.

One process serves all templates and threads of this one. It is started for the first rendering,
again after a template ended it, and by each child of a fork for itself.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ConfigError, short, shown
from ..runtime import is_installed
from . import jinja_sandbox
from .jinja_sandbox import RefusalError

# Of processor time a rendering; templates of published models take milliseconds.
SECONDS = 1.0
# The process ends by itself after that; this is for one that gets no processor.
_LONGEST_WAIT = 60.0


class Renderer:
    """A template that has been compiled once and found readable.

    Parameters
    ----------
    source : Jinja, with `loopcontrols` and transformers' functions and `generation` blocks

    Raises
    ------
    ConfigError : Jinja is not installed, or does not understand `source`
    """

    def __init__(self, source: str):
        if not is_installed("jinja2"):
            raise ConfigError(
                "chat_template: only ChatML works without jinja2; pip install 'plainformer[chat]'"
            )
        self._source = source
        _sandbox.ask(source, None)

    def __call__(self, **variables: Any) -> str:
        """The text for these variables, plain values such as JSON has.

        Raises
        ------
        RefusalError : the template calls `raise_exception`
        ConfigError : it fails, tries what the sandbox forbids, or exceeds a limit
        """
        return _sandbox.ask(self._source, variables)


class _Sandbox:
    """The process, and who may talk to it.

    An exchange that Ctrl-C ends leaves `is_busy`: an answer nobody waits for must not meet the next
    question, which begins with another process.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.is_busy = False
        self.lock = threading.Lock()

    def ask(self, source: str, variables: dict[str, Any] | None) -> str:
        request = json.dumps({"source": source, "variables": variables})
        with self.lock:
            answer = self._exchange(request.encode() + b"\n")
        if "refusal" in answer:
            raise RefusalError(answer["refusal"])
        if "error" in answer:
            raise ConfigError(f"chat_template: {short(answer['error'])}")
        return answer["text"]

    def _exchange(self, request: bytes) -> dict[str, str]:
        process = self._running()
        self.is_busy = True
        _send(process, request)
        line = _receive(process)
        answer = json.loads(line) if line else {"error": _last_words(process.wait())}
        self.is_busy = False
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.is_busy or self.process.poll() is not None:
            self.stop()
            self.process = _started()
            self.is_busy = False
        return self.process

    def stop(self) -> None:
        """End the process, if there is one."""
        self.is_busy = True
        if self.process is not None:
            _end(self.process)
            self.process = None

    def after_fork(self) -> None:
        """The process is the parent's, and the lock may belong to a thread that is not here."""
        self.lock = threading.Lock()
        if self.process is not None:
            self.process.returncode = 0  # as far as this process may know
            _close(self.process)  # or the process would outlive a parent that is killed
            self.process = None


def _started() -> subprocess.Popen[bytes]:
    """A new process, begun by another thread.

    Ctrl-C interrupts the main thread, and in the midst of `Popen` the process would be lost.
    """
    starting: Future[subprocess.Popen[bytes]] = Future()
    try:
        threading.Thread(target=_start, args=(starting,)).start()
        return starting.result()
    except BaseException:  # it may be there already, or only later
        starting.add_done_callback(_end_started)
        raise


def _start(starting: Future[subprocess.Popen[bytes]]) -> None:
    try:
        starting.set_result(_new_process())
    except BaseException as error:  # for who asked
        starting.set_exception(error)


def _new_process() -> subprocess.Popen[bytes]:
    """A new process, in a session of its own: Ctrl-C in a terminal is not meant for it."""
    if not sys.executable:
        raise ConfigError(
            "chat_template: no process to render it in: sys.executable: got "
            f"{shown(sys.executable)}, expected the path of Python; set it"
        )
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", str(Path(jinja_sandbox.__file__))],
            bufsize=0,  # nothing of a question is left over for a fork to say again
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"chat_template: no process to render it in: {error}") from None
    # Where to import from: as here, without what `import` itself passes over.
    path = [entry for entry in sys.path if isinstance(entry, str)]
    _send(process, json.dumps({"path": path, "seconds": SECONDS}).encode() + b"\n")
    return process


def _end_started(starting: Future[subprocess.Popen[bytes]]) -> None:
    if starting.exception() is None:
        _end(starting.result())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process; what Ctrl-C ended half way may be done again."""
    process.kill()
    process.wait()
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    for end in (process.stdin, process.stdout):
        assert end is not None
        end.close()


def _send(process: subprocess.Popen[bytes], request: bytes) -> None:
    assert process.stdin is not None
    rest = memoryview(request)
    with suppress(BrokenPipeError):  # it died: why, its exit status says
        while rest:
            rest = rest[os.write(process.stdin.fileno(), rest) :]


def _receive(process: subprocess.Popen[bytes]) -> bytes:
    """The answer, a whole line; empty where the process ended, or had to be ended."""
    assert process.stdout is not None
    readable = select.poll()
    readable.register(process.stdout, select.POLLIN)
    parts = [b""]
    while not parts[-1].endswith(b"\n"):
        if not readable.poll(_LONGEST_WAIT * 1000):
            process.kill()
        part = os.read(process.stdout.fileno(), 1 << 20)
        if not part:
            return b""
        parts.append(part)
    return b"".join(parts)


def _last_words(status: int) -> str:
    if status == -signal.SIGPROF:
        return f"takes more than {SECONDS:g} s of processor time"
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return f"cannot be rendered: the process for it ended with {how}"


_sandbox = _Sandbox()
atexit.register(_sandbox.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_sandbox.after_fork)

"""Ctrl-C: the first finishes the update and saves, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

_NOTICE = b"\nCtrl-C: finishing this step and saving; once more leaves at once\n"


class TrainingInterrupted(KeyboardInterrupt):
    """Training stopped after Ctrl-C with everything saved; the message says how to go on.

    checkpoint : Path of the checkpoint that was written
    exit_code : 130, what a program should exit with
    """

    exit_code = 130

    def __init__(self, step: int, checkpoint: Path):
        super().__init__(
            f"stopped by Ctrl-C after step {step} and saved {checkpoint}; to go on, run the same "
            "command with --resume-from-checkpoint (in Python: resume_from_checkpoint=True)"
        )
        self.step = step
        self.checkpoint = checkpoint


class InterruptGuard:
    """Context in which the first SIGINT only sets `requested`; the second raises.

    Signals belong to the main thread: in any other one, and where a program around Python handles
    them itself, this does nothing, and Ctrl-C stays what the program made of it.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None
        self._active = False

    def __enter__(self) -> InterruptGuard:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is not None:  # None cannot be set back
            self._previous = signal.signal(signal.SIGINT, self._handle)
            self._active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        os.write(2, _NOTICE)  # a handler may interrupt a logger in the middle of a line

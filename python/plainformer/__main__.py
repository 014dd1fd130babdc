"""`python -m plainformer`, which is what the command `plainformer` runs."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130


def run() -> None:
    """Run the command line.

    While its modules are imported, Ctrl-C ends the process without a traceback of ours; after
    that a command tells what became of its work.
    """
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not under nohup
    if listens:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    from .cli import main  # once Ctrl-C is listened to

    if listens:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main(prog_name="plainformer")


if __name__ == "__main__":
    run()

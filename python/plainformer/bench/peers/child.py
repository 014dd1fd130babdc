"""The process of one peer: a JSON request a line on standard input, an answer a line back.

Run as a file (`python child.py MODULE THREADS`), it imports `plainformer.bench` and nothing else of
plainformer, so that a peer's interpreter needs only NumPy, ml_dtypes and the peer itself.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import IO, Any

OWN = "plainformer.bench.peers.plainformer_peer"  # needs the whole package


def bare_package(directory: str) -> None:
    """Make `import plainformer.bench` work without running plainformer/__init__.py."""
    package = types.ModuleType("plainformer")
    package.__path__ = [directory]
    sys.modules["plainformer"] = package


def answers() -> IO[str]:
    """The real standard output; whatever else prints goes to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def serve(handlers: dict[str, Callable[..., Any]], channel: IO[str]) -> None:
    """Answer requests {"do": NAME, ...} until the input ends; an exception is an answer too."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = handlers[request.pop("do")](**request)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        channel.write(json.dumps(reply) + "\n")
        channel.flush()


def main() -> None:
    """Become the peer named on the command line."""
    module_name, threads = sys.argv[1], int(sys.argv[2])
    package = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    sys.path[0] = os.path.dirname(package)  # was this directory, whose names are not modules
    if module_name != OWN:
        bare_package(package)
    channel = answers()
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        channel.write(json.dumps({"missing": str(error)}) + "\n")
        channel.flush()
        return
    module.set_threads(threads)
    bench = importlib.import_module("plainformer.bench.peers.server").Server(module)
    channel.write(json.dumps({"ready": module.describe()}) + "\n")
    channel.flush()
    serve(bench.handlers(), channel)


if __name__ == "__main__":
    main()

"""The process of one peer: a JSON request a line on standard input, an answer a line back.

Run as a file: `python child.py MODULE THREADS whole|bare`. MODULE is a module's name or a file;
what it answers is its HANDLERS and, with WAYS, the requests of server.py. `bare` imports
`plainformer.bench` and nothing else of plainformer, so that a peer's interpreter needs only NumPy,
ml_dtypes and the peer itself.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import IO, Any


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


def load(module: str) -> types.ModuleType:
    """The module of that name, or in that file (which may import its neighbors)."""
    if not module.endswith(".py"):
        return importlib.import_module(module)
    folder, name = os.path.split(os.path.abspath(module))
    sys.path.insert(0, folder)
    return importlib.import_module(name.removesuffix(".py"))


def handlers_of(module: types.ModuleType) -> dict[str, Callable[..., Any]]:
    """What the peer answers to."""
    handlers: dict[str, Callable[..., Any]] = dict(getattr(module, "HANDLERS", {}))
    if hasattr(module, "WAYS"):
        server = importlib.import_module("plainformer.bench.peers.server")
        handlers |= server.Server(module).handlers()
    return handlers


def main() -> None:
    """Become the peer named on the command line."""
    name, threads, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    package = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    sys.path[0] = os.path.dirname(package)  # was this directory, whose names are not modules
    if kind == "bare":
        del sys.path[0]  # may be the site-packages of another interpreter
        bare_package(package)
    channel = answers()
    try:
        module = load(name)
        module.set_threads(threads)
        greeting = {"ready": module.describe()}
    except ImportError as error:
        greeting = {"missing": str(error)}
    channel.write(json.dumps(greeting) + "\n")
    channel.flush()
    if "ready" in greeting:
        serve(handlers_of(module), channel)


if __name__ == "__main__":
    main()

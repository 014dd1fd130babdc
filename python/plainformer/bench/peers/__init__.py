"""Who is measured. Each runs in a child process (child.py) under its own module here.

A peer's module has
    WAYS                    a `Ways`: how it computes each operation
    describe() -> dict      versions, and what it runs on
    set_threads(n)          called once, first
and, where its arrays are not NumPy's,
    load(array)             a NumPy array as the peer's own kind
    to_numpy(array)         and back; bfloat16 may come back as float32
    finish()                wait until the device has done what it was asked
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

from ..case import Case

# The outputs of one call: an array, or arrays in the order of the operation's reference.
Call = Callable[[], Any]
Way = Callable[..., Call]

DEVICE = os.environ.get("PLAINFORMER_BENCH_DEVICE", "cpu")
"""Where the peer of this process computes."""

MODULES = {
    "plainformer": "plainformer.bench.peers.plainformer_peer",
    "numpy": "plainformer.bench.peers.numpy_peer",
    "torch": "plainformer.bench.peers.torch_peer",
    "mkl": "plainformer.bench.peers.mkl_peer",
    "blis": "plainformer.bench.peers.blis_peer",
}


class Ways:
    """A peer's functions by operation and variant; several for one cell compete, the best counts.

    A function names what it uses of the case and its inputs, and returns the call that is timed;
    what it does before (copies, forward passes whose results a backward needs) is not.
    """

    def __init__(self, *dtypes: str):
        self.dtypes = dtypes
        self._ways: dict[tuple[str, str], dict[str, Way]] = {}

    def __call__(self, operation: str, *variants: str, name: str = "") -> Callable[[Way], Way]:
        """Decorator: this function computes these variants of `operation`."""

        def register(function: Way) -> Way:
            names = inspect.signature(function).parameters

            def way(case: Case, **inputs: Any) -> Call:
                given = {"case": case, **inputs}
                return function(**{name: given[name] for name in names if name in given})

            for variant in variants or ("forward",):
                self._ways.setdefault((operation, variant), {})[name] = way
            return function

        return register

    def of(self, case: Case) -> dict[str, Way]:
        """The ways to compute `case`, by name; none where the peer has not the dtype."""
        if case.dtype not in self.dtypes:
            return {}
        return self._ways.get((case.operation, case.variant), {})

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._ways)

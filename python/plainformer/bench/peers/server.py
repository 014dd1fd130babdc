"""What the process of a peer can be asked to do with a case."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..case import Arrays, Case, make_inputs
from ..cases import operation
from ..timing import sample, wait_until_idle
from . import Call


class Server:
    """Holds one case at a time: its inputs as the peer's arrays, and the calls that are timed."""

    def __init__(self, module: ModuleType):
        self.module = module
        self.load = getattr(module, "load", lambda array: array)
        self.to_numpy = getattr(module, "to_numpy", np.asarray)
        self.finish = getattr(module, "finish", None)
        self.case = Case("", "", "float32")
        self.arrays: Arrays = {}
        self.calls: dict[str, Call] = {}

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """The requests by name."""
        return {
            "prepare": self.prepare,
            "outputs": self.outputs,
            "time": self.time,
            "release": self.release,
        }

    def prepare(self, case: dict[str, Any], seed: int) -> dict[str, Any]:
        """Make the inputs of a case; answers the names of the ways to compute it."""
        self.release()
        self.case = Case(**case)
        ways = self.module.WAYS.of(self.case)
        if ways:
            inputs = make_inputs(operation(self.case.operation), self.case, seed)
            self.arrays = {name: self._load(a) for name, a in inputs.items()}
        return {"ways": list(ways)}

    def outputs(self, way: str, path: str) -> dict[str, Any]:
        """Compute once from fresh state and write the results to the npz file `path`."""
        result = self._call(way)()
        results = result if isinstance(result, (tuple, list)) else (result,)
        named = {str(i): _savable(self.to_numpy(a)) for i, a in enumerate(results)}
        np.savez(path, **named)
        return {"count": len(named)}

    def time(self, way: str, seconds: float, clock: str) -> dict[str, Any]:
        """Samples of one way, in seconds; answers when this process is idle again."""
        if way not in self.calls:
            self.calls[way] = self._call(way)
        samples = sample(self.calls[way], seconds, clock, self.finish)
        return {"samples": samples, "idle": wait_until_idle()}

    def release(self) -> dict[str, Any]:
        """Forget the case and its arrays."""
        self.arrays, self.calls = {}, {}
        return {}

    def _call(self, way: str) -> Call:
        return self.module.WAYS.of(self.case)[way](self.case, **self.arrays)

    def _load(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.load(item) for item in value]
        return self.load(value)


def _savable(array: Any) -> Any:
    """bfloat16, which the npz format lacks, as float32."""
    return array if array.dtype.kind in "fiub" else array.astype(np.float32)

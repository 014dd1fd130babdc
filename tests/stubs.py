"""The type stub of the compiled module, written from its functions' own signatures.

`python -m tests.stubs` rewrites python/plainformer/_cpu.pyi after a binding changed;
tests/test_package.py fails until that is done.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import plainformer
from plainformer import _cpu

PATH = Path(plainformer.__file__).parent / "_cpu.pyi"
HEADER = '''"""The compiled CPU kernels; plainformer.kernels and plainformer.runtime call them.

Arrays are positional. A kernel returns None when its arguments are not the canonical case.
"""

from typing import Any

import numpy

'''
# pybind11's spelling of its own casters, and what a reader wants to see
PLAIN = {
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "object": "Any",
    "list": "list[Any]",
    "dict": "dict[str, Any]",
}


def class_lines(cls: type) -> list[str]:
    """A class of read-only properties, which are all our classes have."""
    lines = [f"class {cls.__name__}:"]
    for name, attribute in sorted(vars(cls).items()):
        if isinstance(attribute, property):
            kind = attribute.fget.__doc__.splitlines()[0].rpartition("-> ")[2]
            lines += ["    @property", f"    def {name}(self) -> {PLAIN.get(kind, kind)}: ..."]
    return lines


def stub_text() -> str:
    lines = []
    for name in sorted(n for n in dir(_cpu) if not n.startswith("_")):
        if isinstance(getattr(_cpu, name), type):
            lines.extend(class_lines(getattr(_cpu, name)))
            continue
        if not callable(getattr(_cpu, name)):
            lines.append(f"{name}: {type(getattr(_cpu, name)).__name__}")
            continue
        signature = getattr(_cpu, name).__doc__.splitlines()[0]
        for spelled, plain in PLAIN.items():
            signature = re.sub(rf"(?<=[ \[]){re.escape(spelled)}(?=[,)\]= ]|$)", plain, signature)
        arguments = re.findall(r"(\w+):", signature)
        assert not any(keyword.iskeyword(a) for a in arguments), f"{name}: an argument is a keyword"
        lines.append(f"def {signature}: ...")
    return HEADER + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(stub_text(), encoding="utf-8")

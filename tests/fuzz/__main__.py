"""`python -m tests.fuzz NAME [FIRST [COUNT]]`: run cases, show what went wrong, each kind once.

NAME is a reader, a function, one of `_cpu`, a glob of them, or a part of a name with its slash
(`config/`).
"""

from __future__ import annotations

import fnmatch
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from .bindings import BINDINGS
from .child import Child
from .functions import FUNCTIONS
from .readers import READERS


def main(pattern: str, first: int = 0, count: int = 300) -> int:
    tables = {"readers": READERS, "functions": FUNCTIONS, "bindings": BINDINGS}
    total = 0
    with tempfile.TemporaryDirectory() as folder, Child(Path(folder)) as child:
        for table, entries in tables.items():
            for name in entries:
                if not fnmatch.fnmatchcase(name, pattern) and not name.startswith(pattern):
                    continue
                start = time.monotonic()
                faults = child.run(table, name, first, count)
                total += len(faults)
                print(
                    f"{name}: {count} cases, {len(faults)} faults, {time.monotonic() - start:.1f} s"
                )
                kinds = defaultdict(list)
                for fault in faults:
                    kinds[fault["kind"], fault["where"]].append(fault)
                for (kind, where), own in sorted(kinds.items(), key=lambda item: -len(item[1])):
                    case, message = own[0]["case"], own[0]["message"][:160]
                    print(f"  {len(own):4} {kind} at {where}, case {case}: {message}")
    return total


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[2:4]]
    sys.exit(main(sys.argv[1], *numbers) > 0)

"""Open a wheel and look: size, types, the compiled module, and nothing that does not belong."""

import sys
import zipfile
from pathlib import Path

LARGEST = 5 << 20


def problems(path: Path) -> list[str]:
    names = zipfile.ZipFile(path).namelist()
    found = []
    if path.stat().st_size >= LARGEST:
        found.append(f"{path.stat().st_size} bytes, expected below {LARGEST}")
    typed = ("plainformer/py.typed", "plainformer/_cpu.pyi", "plainformer/__init__.pyi")
    for wanted in (*typed, "plainformer/__init__.py"):
        if wanted not in names:
            found.append(f"{wanted} is missing")
    if sum(n.startswith("plainformer/_cpu.") and n.endswith((".so", ".pyd")) for n in names) != 1:
        found.append("expected one compiled module plainformer/_cpu.*")
    if any("_cuda" in n and n.endswith((".so", ".pyd")) for n in names):
        found.append("CUDA kernels are inside, which belong into a wheel of their own")
    roots = {n.split("/")[0] for n in names}
    strangers = {r for r in roots if r != "plainformer" and not r.endswith(".dist-info")}
    if strangers:
        found.append(f"unexpected top-level names {sorted(strangers)}")
    if any(n.endswith((".cpp", ".h", ".cu", ".cuh", ".pyc")) for n in names):
        found.append("sources of the compiled module or byte code are inside")
    return found


if __name__ == "__main__":
    wheel = Path(sys.argv[1])
    found = problems(wheel)
    print(f"{wheel.name}: {wheel.stat().st_size / (1 << 20):.2f} MB", *found, sep="\n  ")
    sys.exit(bool(found))

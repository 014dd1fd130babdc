"""What compiled CUDA code must be, without a GPU: the gates of every change.

Builds `_cuda` for sm_80 and sm_90a and looks into it (cuobjdump): no spills, no more registers a
kernel than `.ci/cuda_registers.json` allows, no wgmma serialized or setmaxnreg ignored, the
instructions each kernel is built on, and the module's size. A change that needs more registers
writes the table anew with --write, and says why.

    python .ci/cuda_gates.py [--write] [--module FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = ROOT / ".ci/cuda_registers.json"
LARGEST_MODULE = 12 << 20  # bytes, stripped
LONGEST_BUILD = 8 * 60  # seconds on two quiet cores
COMPLAINT = "Potential Performance Loss"  # ptxas: serialized wgmma, setmaxnreg ignored

# Kernels by name, the architecture, and the instructions that such a kernel is built on.
EXPECTED = [
    (r"^gemm_sm80", "sm_80", {"HMMA", "LDSM", "LDGSTS"}),
    (r"^gemm_sm80", "sm_90a", {"HMMA", "LDSM", "LDGSTS"}),
    (r"^gemm_sm90", "sm_90a", {"HGMMA", "UTMALDG", "SYNCS"}),
    (r"^attention_(backward_)?sm80", "sm_80", {"HMMA", "LDSM", "LDGSTS"}),
    (r"^attention_(backward_)?sm80", "sm_90a", {"HMMA", "LDSM", "LDGSTS"}),
    (r"^attention_(backward_)?sm90", "sm_90a", {"HGMMA", "UTMALDG", "SYNCS"}),
]


def find_tool(name: str) -> str:
    """A tool of the CUDA toolkit: on the PATH, beside nvcc, or of PyPI's package."""
    found = shutil.which(name)
    if found:
        return found
    nvcc = shutil.which("nvcc")
    folders = [Path(nvcc).resolve().parent] if nvcc else []
    folders += Path(sys.prefix).glob("lib/python*/site-packages/nvidia/cu13/bin")
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    raise SystemExit(f"no {name}: install a CUDA toolkit, or pip install nvidia-cuda-{name}")


def build(folder: Path) -> tuple[Path, str, float]:
    """The module, built in `folder`, what the compilers said, and the seconds it took."""
    import pybind11

    begin = time.monotonic()
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja",
                 "-DPLAINFORMER_CUDA=ON", f"-DPython_EXECUTABLE={sys.executable}",
                 f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]  # fmt: skip
    said = ""
    for command in (configure, ["cmake", "--build", str(folder), "--target", "_cuda", "-j2"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said += done.stdout
        if done.returncode != 0:
            sys.stdout.write(said[-20000:])
            raise SystemExit("the CUDA build failed")
    return next(folder.glob("_cuda*.so")), said, time.monotonic() - begin


def short_names(mangled: list[str]) -> dict[str, str]:
    """Kernels' names without namespaces and arguments: `softmax_rows<plainformer::bfloat16, 4>`."""
    demangled = subprocess.run(
        ["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    names = {}
    for name, full in zip(mangled, demangled):
        full = re.sub(r"^void ", "", full).replace("(anonymous namespace)::", "")
        full = full.replace("plainformer::cuda::", "").replace("plainformer::", "")
        names[name] = re.sub(r"\((?:bool|int)\)", "", _without_arguments(full))
    return names


def _without_arguments(signature: str) -> str:
    """A signature up to the bracket of its arguments, which stands outside of any <>."""
    depth = 0
    for i, letter in enumerate(signature):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return signature[:i]
    return signature


def resources(module: Path) -> dict[tuple[str, str], dict[str, int]]:
    """(mangled kernel, architecture) -> REG, STACK, LOCAL, ..."""
    text = subprocess.run(
        [find_tool("cuobjdump"), "-res-usage", str(module)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found, architecture, kernel = {}, "", ""
    for line in text.splitlines():
        if match := re.search(r"arch = (sm_\w+)", line):
            architecture = match[1]
        elif match := re.search(r"Function (\S+):", line):
            kernel = match[1]
        elif "REG:" in line and kernel:
            found[kernel, architecture] = {
                key: int(value) for key, value in re.findall(r"(\w+):(\d+)", line)
            }
    return found


def instructions(module: Path) -> dict[tuple[str, str], set[str]]:
    """(mangled kernel, architecture) -> names of the instructions it has."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    key, architecture = ("", ""), ""
    with subprocess.Popen(
        [find_tool("cuobjdump"), "-sass", str(module)], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if match := re.search(r"code for (sm_\w+)", line):
                architecture = match[1]
            elif match := re.search(r"Function : (\S+)", line):
                key = match[1], architecture
            elif match := re.match(
                r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9]+)", line
            ):
                found[key].add(match[1])
    return found


def check(module: Path, said: str, seconds: float, write: bool) -> list[str]:
    """What is wrong, a line each."""
    wrong = []
    used = resources(module)
    names = short_names(sorted({kernel for kernel, _ in used}))
    registers: dict[str, dict[str, int]] = defaultdict(dict)
    for (kernel, architecture), numbers in used.items():
        name = names[kernel]
        registers[name][architecture] = max(registers[name].get(architecture, 0), numbers["REG"])
        if numbers.get("STACK", 0) or numbers.get("LOCAL", 0):
            wrong.append(f"{name} {architecture}: {numbers['STACK']} bytes of stack (spills?)")
    if write:
        ceilings = {name: {arch: -(-n // 8) * 8 for arch, n in sorted(by.items())}
                    for name, by in sorted(registers.items())}  # fmt: skip
        TABLE.write_text(json.dumps(ceilings, indent=1) + "\n")
    allowed = json.loads(TABLE.read_text())
    for name, by in registers.items():
        for architecture, count in by.items():
            ceiling = allowed.get(name, {}).get(architecture)
            if ceiling is None:
                wrong.append(f"{name} {architecture}: not in {TABLE.name}; run with --write")
            elif count > ceiling:
                wrong.append(f"{name} {architecture}: {count} registers, allowed are {ceiling}")
    wrong += [f"{name}: in {TABLE.name}, but no kernel" for name in allowed.keys() - registers]
    wrong += {line for line in said.splitlines() if COMPLAINT in line}
    wrong += _missing_instructions(instructions(module), names)
    size = _stripped_size(module)
    if size > LARGEST_MODULE:
        wrong.append(f"the module has {size} bytes, allowed are {LARGEST_MODULE}")
    print(f"{len(registers)} kernels, {size / 2**20:.1f} MiB, built in {seconds:.0f} s")
    if seconds > LONGEST_BUILD:
        print(f"note: on quiet cores a build must take less than {LONGEST_BUILD} s")
    return wrong


def _missing_instructions(found: dict, names: dict[str, str]) -> list[str]:
    wrong = []
    for pattern, architecture, expected in EXPECTED:
        kernels = [
            key for key in found if key[1] == architecture and re.search(pattern, names[key[0]])
        ]
        if not kernels:
            wrong.append(f"no kernel {pattern} for {architecture}")
        for key in kernels:
            if missing := expected - found[key]:
                wrong.append(f"{names[key[0]]} {architecture}: has no {', '.join(sorted(missing))}")
    return wrong


def _stripped_size(module: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / module.name
        subprocess.run(["strip", "-o", str(stripped), str(module)], check=True)
        return stripped.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table of registers anew")
    parser.add_argument("--module", type=Path, help="look at this one instead of building")
    options = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        module, said, seconds = (options.module, "", 0.0) if options.module else build(Path(folder))
        wrong = check(module, said, seconds, options.write)
    print("\n".join(sorted(wrong)) or "all gates passed")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()

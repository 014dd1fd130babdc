"""Test programs of kernels (tests/cpp/cuda) on the emulation, built once for each state of them."""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import os
import subprocess
from pathlib import Path

from tests.emulated import cache_folder

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = ROOT / "tests/cpp/cuda"
CUDA = ROOT / "csrc/cuda"
RUNTIME = sorted((CUDA / "emulation").glob("*.cpp"))
INCLUDES = ["-Icsrc/include", "-Icsrc", "-Icsrc/cuda"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-psabi"]
COMPILER = os.environ.get("CXX", "g++")

# What the program's own code is compiled with, and what its runtime is told. Sanitizers do not
# watch the runtime itself: its fibers would be taken for mistakes.
VARIANTS = {
    None: ([], []),
    "address": (["-g", "-fsanitize=address"], ["-DPLAINFORMER_EMULATION_ASAN"]),
    "thread": (["-g", "-fsanitize=thread"], ["-DPLAINFORMER_EMULATION_TSAN"]),
    "ucontext": ([], ["-DPLAINFORMER_EMULATION_UCONTEXT"]),  # as on other processors
}


def hash_of(files, *flags: str) -> str:
    digest = hashlib.sha256(repr((COMPILER, flags)).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def headers() -> list[Path]:
    folders = (CUDA, ROOT / "csrc/include", PROGRAMS)
    return sorted(f for folder in folders for f in folder.rglob("*") if f.suffix in (".h", ".cuh"))


def compile_object(source: Path, folder: Path, *flags: str) -> Path:
    """The object of a file in `folder`, built unless it is there."""
    flags = ("-std=c++20", *INCLUDES, *flags)
    built = folder / f"{source.stem}-{hash_of([source, *headers()], *flags)}.o"
    if not built.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = built.with_suffix(f".{os.getpid()}.o")  # other processes may build the same
        run([COMPILER, *flags, "-x", "c++", "-c", str(source.relative_to(ROOT)), "-o", str(part)])
        part.replace(built)
    return built


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def runtime(variant: str | None = None) -> list[tuple[Path, tuple[str, ...]]]:
    """The files of the emulation's runtime, each with its flags."""
    told = VARIANTS[variant][1]
    return [(file, ("-O3", *WARNINGS, *told)) for file in RUNTIME]


@functools.cache
def build(name: str, variant: str | None = None) -> Path:
    """The program of tests/cpp/cuda/NAME.cu."""
    folder = cache_folder() / "programs"
    watched = VARIANTS[variant][0]
    own = (PROGRAMS / f"{name}.cu", ("-O1", "-g1", *WARNINGS, *watched))
    sources = [own, *runtime(variant)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda s: compile_object(s[0], folder, *s[1]), sources))
    program = folder / f"{name}-{hash_of(objects)}"
    if not program.exists():
        part = program.with_suffix(f".{os.getpid()}")
        run([COMPILER, *watched, *map(str, objects), "-pthread", "-o", str(part)])
        part.replace(program)
    return program


def environment_with(**variables: str) -> dict[str, str]:
    """This process's environment, with `EMU_...` only from here."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("EMU_")}, **variables}


def execute(name, *arguments, variant=None, timeout=120, **variables):
    """Run a program; its environment has `EMU_...` only from here."""
    return subprocess.run(
        [str(build(name, variant)), *arguments],
        env=environment_with(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def output(program: Path, **variables: str) -> str:
    """What a program that is built prints."""
    return subprocess.run(
        [str(program)], env=environment_with(**variables), stdout=subprocess.PIPE, text=True,
        check=True, timeout=120,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    import sys

    done = execute(*sys.argv[1:])
    print(done.stdout + done.stderr, end="")

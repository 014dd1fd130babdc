"""What another value of a size in csrc/cpu/tuning.h does to the kernels.

    python benchmarks/tuning.py strip_keys=512 'attention.*.float32'
    python benchmarks/tuning.py task_elements='int64_t{1} << 12' softmax norm --threads 2

Builds the kernels of one level with the header as it stands and with the other value, each in a
folder of its own, and takes turns: for each cell of `plainformer bench` the time with the other
value as a part of the time without, the median over rounds and its 20th and 80th percentile. On a
busy machine `--clock thread --threads 1` counts processor time; what only shows where tasks are
shared out needs a quiet one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from plainformer import _cpu, runtime
from plainformer.bench.case import Case
from plainformer.bench.process import Child
from plainformer.bench.session import select

ROOT = Path(__file__).parent.parent
HEADER = "csrc/cpu/tuning.h"


def with_value(header: str, name: str, value: str) -> str:
    """The header's text with another value of one of its sizes."""
    changed, count = re.subn(rf"(?<=\b{name} = )[^,;]+", lambda _: value, header)
    if count == 0:
        raise click.BadParameter(f"{name}: no size of {HEADER}")
    return changed


def build(folder: Path, header: str, level: str) -> Path:
    """The package in `folder`, its kernels built from that header; returns its directory."""
    for part in ("csrc", "cmake", "python", "tests/cpp"):
        skip = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=skip)
    for file in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(ROOT / file, folder)
    (folder / HEADER).write_text(header)
    pybind11 = [sys.executable, "-m", "pybind11", "--cmakedir"]
    found = subprocess.run(pybind11, capture_output=True, text=True, check=True).stdout.strip()
    levels = dict.fromkeys(("generic", level))
    configure = ["cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja"]
    options = {
        "PLAINFORMER_IN_PLACE": "ON",
        "PLAINFORMER_LEVELS": ";".join(levels),
        "pybind11_DIR": found,
        "Python_EXECUTABLE": sys.executable,
    }
    if shutil.which("ccache"):
        options["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
    flags = [f"-D{key}={word}" for key, word in options.items()]
    environment = os.environ | {"CCACHE_BASEDIR": str(folder), "CCACHE_NOHASHDIR": "1"}
    for command in ([*configure, *flags], ["ninja", "-C", folder / "build"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return folder / "python/plainformer"


def rounds_of(
    children: Sequence[Child], case: Case, rounds: int, seconds: float, clock: str
) -> Iterator[list[float]]:
    """Median seconds of each child, round by round."""
    for child in children:
        [way, *_] = child.ask("prepare", case=asdict(case), seed=0)["ways"]
    for _ in range(rounds):
        answers = [child.ask("time", way=way, seconds=seconds, clock=clock) for child in children]
        yield [float(np.median(answer["samples"])) for answer in answers]
    for child in children:
        child.ask("release")


@click.command()
@click.argument("other", metavar="NAME=VALUE")
@click.argument("patterns", metavar="OP...", nargs=-1, required=True)
@click.option("--level", default=_cpu.current_level(), show_default=True, help="Whose kernels.")
@click.option("--dtype", default="float32", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=runtime.get_num_threads())
@click.option("--clock", type=click.Choice(["wall", "thread"]), default="wall", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@click.option("--seconds", type=float, default=0.1, show_default=True, help="A turn.")
def main(
    other: str,
    patterns: tuple[str, ...],
    level: str,
    dtype: str,
    threads: int,
    clock: str,
    rounds: int,
    seconds: float,
) -> None:
    """Compare another value of a size with the one in csrc/cpu/tuning.h."""
    name, _, value = other.partition("=")
    cases = select(patterns, [dtype])
    header = (ROOT / HEADER).read_text()
    with tempfile.TemporaryDirectory() as folder:
        texts = {"as-it-is": header, "other": with_value(header, name, value)}
        packages = [build(Path(folder, key), text, level) for key, text in texts.items()]
        extra = {"PLAINFORMER_CPU_ISA": level}
        module = "plainformer.bench.peers.plainformer_peer"
        children = [
            Child(module, threads, bare=False, extra=extra, package=package) for package in packages
        ]
        for case in cases:
            times = np.array(list(rounds_of(children, case, rounds, seconds, clock)))
            low, middle, high = np.percentile(times[:, 1] / times[:, 0], [20, 50, 80])
            click.echo(f"{middle:6.3f}  ({low:.3f} to {high:.3f})  {other}  {case.name}")
        for child in children:
            child.close()


if __name__ == "__main__":
    main()

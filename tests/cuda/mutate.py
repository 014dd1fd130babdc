"""The mutation gate: a kernel without one of its synchronisation lines has to fail its tests.

    python -m tests.cuda.mutate [FILE ...] [--jobs 2] [--list] [--again]

Each barrier, wait, commit, fence and arrival in csrc/cuda can be left out by number in one build of
the emulated module, made from a copy of the sources. For each in turn, the tests that concern it
run in one order of threads after another until one fails. What caught each line is written to
benchmarks/results/mutations.json; files whose hash is there are not tried again without --again. A
line that survives needs a reason in REASONS, below.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KERNELS = ROOT / "csrc/cuda"
RESULTS = ROOT / "benchmarks/results/mutations.json"
NOT_KERNELS = {"primitives.cuh", "primitives_sm90.cuh", "wgmma.cuh"}
CALLS = re.compile(
    r"\b(__syncthreads|__syncwarp|__threadfence|cp_async_commit|cp_async_wait|barrier_sync"
    r"|barrier_arrive|mbarrier_init_fence|mbarrier_arrive\w*|mbarrier_expect_tx|mbarrier_wait"
    r"|tma_store_commit|tma_store_wait|fence_proxy_async|wgmma_fence|wgmma_commit|wgmma_wait"
    r"|cluster_arrive|cluster_wait)\b"
)
# The orders and poisons tried, until one fails.
TRIALS = (("fifo", "0xff"), ("lifo", "0x7e"), ("1", "0xff"), ("2", "0x7e"), ("3", "0xff"),
          ("4", "0x7e"))  # fmt: skip
SECONDS = 600  # a trial that takes longer hangs
# Which tests concern a source file, by the longest prefix of its name.
TESTS = {
    "activation": "elementwise", "add": "elementwise", "dropout": "elementwise",
    "attention": "attention", "attention_backward": "attention_backward",
    "attention_backward_sm90": "attention_backward_sm90", "attention_cached": "attention_cached",
    "attention_sm90": "attention_sm90", "check_values": "check_values",
    "cross_entropy": "cross_entropy",
    "embedding": "embedding", "gemm": "gemm", "gemm_sm90": "gemm_sm90",
    "group_by_id": "embedding", "linear_cross_entropy": "linear_cross_entropy",
    "linear_grad": "linear_grad", "norm": "norm", "optimizer": "optimizer", "rotary": "rotary",
    "softmax": "softmax", "topk": "topk",
}  # fmt: skip

# (file, function, call, how many of them in the function come before): why its absence shows
# nowhere.
REASONS: dict[tuple[str, str, str, int], str] = {
    ("attention_sm90.cuh", "take", "barrier_sync(1 + consumer, both)", 0): (
        "the consumers take turns for speed alone"
    ),
    ("gemm_sm90.cuh", "gemm_sm90_kernel", "__syncwarp()", 0): (
        "gathers the producer's warp for the cluster barrier, whose instruction is .aligned; the"
        " emulation does not model convergence"
    ),
    ("group_by_id.cuh", "for_rounds", "__syncwarp()", 0): (
        "the votes of the next round keep the lanes together in every order, but order no memory"
    ),
    ("attention_backward_sm90.cuh", "attention_backward_sm90_produce", "__syncwarp()", 0): (
        "the warp's row terms are written before one lane arrives for all; the scheduler runs the "
        "lanes of a warp in turn"
    ),
    ("attention_backward_sm90.cuh", "compute", "wgmma_wait<0>(value_sums)", 0): (
        "names accumulators to the compiler; the wait before it was for all groups"
    ),
    ("pipeline_sm90.cuh", "release_by_warp", "__syncwarp()", 0): (
        "orders the lanes' reads before the one arrival; on the host they have read by the shuffles"
        " and waits that come before it, which on a device order no memory"
    ),
}


@dataclass(frozen=True)
class Mutant:
    file: str
    line: int
    function: str
    call: str
    nth: int  # among the same calls of the function
    start: int
    end: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        return (self.file, self.function, self.call, self.nth)


# ---- the lines ---------------------------------------------------------------------------------


def bare(text: str) -> str:
    """The text with comments and bounds blanked, so that places stay what they are."""
    blanked = r"//[^\n]*|__launch_bounds__\([^)]*\)|static_assert\([^\n]*"
    return re.sub(blanked, lambda m: " " * len(m.group()), text)


def end_of_call(text: str, start: int) -> int:
    """Behind the closing bracket of the call that begins at start."""
    depth = 0
    for at in range(text.index("(", start), len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError("no end")


def function_at(text: str, place: int) -> str:
    """The name of the function whose body holds the place: what was last declared before it."""
    declared = (
        r"^__global__ void\s+(\w+)\(",
        r"^(?! |#|\}|template|namespace|struct|using|__global__)[^\n;=(]*?(\w+)\(",
        r"^    (?:__device__|static|PF_DEVICE)[^\n;=(]*?(\w+)\(",
    )
    last = [m for d in declared for m in list(re.finditer(d, text[:place], re.M))[-1:]]
    return max(last, key=lambda m: m.start()).group(1) if last else ""


def mutants_of(path: Path) -> list[Mutant]:
    text = bare(path.read_text())
    found: list[Mutant] = []
    for match in CALLS.finditer(text):
        end = end_of_call(text, match.start())
        if text[end : end + 1] != ";":
            continue  # a definition
        function, call = function_at(text, match.start()), text[match.start() : end]
        line = text.count("\n", 0, match.start()) + 1
        nth = sum(m.function == function and m.call == call for m in found)
        found.append(Mutant(path.name, line, function, call, nth, match.start(), end))
    return found


def kernel_files() -> list[Path]:
    files = sorted(f for f in KERNELS.glob("*.cu*") if f.suffix in (".cu", ".cuh"))
    return [f for f in files if f.name not in NOT_KERNELS and mutants_of(f)]


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


# ---- one build for all -------------------------------------------------------------------------

SWITCH = """// The number of the line that is left out.
#pragma once
#include <cstdlib>

namespace plainformer {
inline const int left_out = [] {
    const char* number = std::getenv("PLAINFORMER_LEFT_OUT");
    return number ? std::atoi(number) : -1;
}();
}
"""


def switched(text: str, mutants: dict[int, Mutant]) -> str:
    """The text with each call left out where its number is asked for."""
    for number, m in sorted(mutants.items(), key=lambda item: -item[1].start):
        call = f"do {{ if (::plainformer::left_out != {number}) {m.call}; }} while (0)"
        text = text[: m.start] + call + text[m.end :]
    return text


def build(folder: Path, mutants: dict[int, Mutant]) -> Path:
    """The emulated module, from sources whose lines can be left out."""
    for name in ("csrc", "cmake"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    (folder / "csrc/cuda/left_out.h").write_text(SWITCH)
    for file in {m.file for m in mutants.values()}:
        path = folder / "csrc/cuda" / file
        of_file = {number: m for number, m in mutants.items() if m.file == file}
        path.write_text('#include "left_out.h"\n' + switched(path.read_text(), of_file))
    import pybind11

    configure = [
        "cmake", "-S", str(folder), "-B", str(folder / "build"),
        "-DPLAINFORMER_CUDA_EMULATED=ON", f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]  # fmt: skip
    environment = dict(os.environ)
    if shutil.which("ccache"):
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        environment |= {"CCACHE_BASEDIR": str(folder), "CCACHE_NOHASHDIR": "1"}
    for command in (configure, ["cmake", "--build", str(folder / "build"), "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return next((folder / "build").glob("_cuda_emulated*.so"))


def dependents(name: str) -> list[str]:
    """Stems of the source files that include the file, themselves or through others."""
    includes = {f.name: set(re.findall(r'#include "(?:\w+/)*([\w.]+)"', f.read_text()))
                for f in KERNELS.iterdir() if f.is_file()}  # fmt: skip
    reached, added = {name}, {name}
    while added:
        added = {f for f, included in includes.items() if included & added} - reached
        reached |= added
    return sorted(f.removesuffix(".cu") for f in reached if f.endswith(".cu"))


def tests_of(stems: list[str]) -> list[str]:
    """The test files that concern the sources."""
    names: dict[str, None] = {}
    for stem in stems:
        prefix = max((p for p in TESTS if stem.startswith(p)), key=len, default=None)
        if prefix:
            names.setdefault(TESTS[prefix])
    files = [f"tests/cuda/test_{name}.py" for name in names]
    return [f for f in files if (ROOT / f).exists()]


# ---- trials ------------------------------------------------------------------------------------


def trial(module: Path, number: int, tests: list[str], order: str, poison: str) -> str | None:
    """The first test that fails, if one does. A process of its own: a mutant may end it."""
    environment = {
        **os.environ,
        "PLAINFORMER_LEFT_OUT": str(number), "PLAINFORMER_CUDA_EMULATED": str(module),
        "EMU_ORDER": order, "EMU_POISON": poison, "PYTHONPATH": f"{ROOT}/python",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m",
               "not slow", *tests]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "it never ends"
    if process.returncode == 0:
        return None
    named = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", said, re.M)
    return named.group(1) if named else f"exit status {process.returncode}"


def try_mutant(module: Path, number: int, mutant: Mutant) -> dict:
    tests = tests_of(dependents(mutant.file))
    result: dict = {"line": mutant.line, "function": mutant.function, "call": mutant.call,
                    "nth": mutant.nth}  # fmt: skip
    for order, poison in TRIALS if tests else ():
        if failed := trial(module, number, tests, order, poison):
            return {**result, "caught": failed, "order": order, "poison": poison}
    return {**result, "caught": None, "tests": tests}


def read_results() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"files": {}}


def write_results(results: dict) -> None:
    for name, entry in results["files"].items():
        for m in entry["mutants"]:
            if m["caught"] is None:
                key = (name, m["function"], m["call"], m["nth"])
                m["reason"] = REASONS.get(key, "not known")
    present = {f.name: hash_of(f) for f in kernel_files()}
    results["files"] = {
        name: entry
        for name, entry in results["files"].items()
        if present.get(name) == entry["hash"]
        and all(m.get("tests") != [] for m in entry["mutants"])
    }
    everything = [m for f in results["files"].values() for m in f["mutants"]]
    results["mutants"] = len(everything)
    results["caught"] = sum(m["caught"] is not None for m in everything)
    results["files"] = dict(sorted(results["files"].items()))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


class Run:
    """Mutants tried several at once; a file's results are written when it is done."""

    def __init__(self, files: list[Path], results: dict):
        self.by_file = {f.name: mutants_of(f) for f in files}
        self.hashes = {f.name: hash_of(f) for f in files}
        self.outcomes: dict[Mutant, dict] = {}
        self.results = results
        self.lock = threading.Lock()

    def all(self, jobs: int) -> None:
        mutants = dict(enumerate(m for of_file in self.by_file.values() for m in of_file))
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            module = build(Path(folder), mutants)
            self.check_that_the_whole_passes(module)
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                list(pool.map(lambda item: self.one(module, *item), mutants.items()))

    def check_that_the_whole_passes(self, module: Path) -> None:
        tests = sorted({t for file in self.by_file for t in tests_of(dependents(file))})
        if failed := trial(module, -1, tests, *TRIALS[0]):
            sys.exit(f"{failed} fails with every line in place")

    def one(self, module: Path, number: int, mutant: Mutant) -> None:
        started = time.monotonic()
        outcome = try_mutant(module, number, mutant)
        took = time.monotonic() - started
        place = f"{mutant.file}:{mutant.line} {mutant.call} in {mutant.function}"
        with self.lock:
            print(f"{place}: {outcome['caught'] or 'ALIVE'} ({took:.0f} s)", flush=True)
            self.outcomes[mutant] = outcome
            self.keep(mutant.file)

    def keep(self, file: str) -> None:
        mutants = self.by_file[file]
        if all(m in self.outcomes for m in mutants):
            done = [self.outcomes[m] for m in mutants]
            self.results["files"][file] = {"hash": self.hashes[file], "mutants": done}
            write_results(self.results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", help="names in csrc/cuda; all that have changed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="say what would be deleted")
    parser.add_argument("--again", action="store_true", help="try files whose hash is known too")
    given = parser.parse_args()
    results = read_results()
    known = {name: entry["hash"] for name, entry in results["files"].items()}
    files = [f for f in kernel_files() if not given.files or f.name in given.files]
    if not (given.again or given.files):
        files = [f for f in files if known.get(f.name) != hash_of(f)]
    if given.list:
        for m in (m for f in files for m in mutants_of(f)):
            print(f"{m.file}:{m.line} {m.function}: {m.call} [{m.nth}]")
        return
    if files:
        Run(files, results).all(given.jobs)
    write_results(results)
    alive = [m for f in results["files"].values() for m in f["mutants"] if m["caught"] is None]
    print(f"{results['mutants']} mutants, {results['caught']} caught")
    sys.exit(any(m["reason"] == "not known" for m in alive))


if __name__ == "__main__":
    main()

"""The mutation gate: a kernel without one of its synchronisation lines has to fail its tests.

    python -m tests.cuda.mutate [FILE ...] [--jobs 2] [--list] [--again]

Each barrier, wait, commit, fence and arrival in csrc/cuda is deleted in turn, in a copy of the
tree; the emulated module is built again, and the tests that concern it run in one order of threads
after another until one fails. What caught each line is written to
benchmarks/results/mutations.json; files whose hash is there are not tried again without --again. A
line that survives needs a reason in REASONS, below.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import queue
import re
import shutil
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
# Which tests concern a source file that is compiled again, by the longest prefix of its name.
TESTS = {
    "activation": "elementwise", "add": "elementwise", "dropout": "elementwise",
    "attention": "attention", "attention_backward": "attention_backward",
    "attention_cached": "attention", "check_values": "gemm", "cross_entropy": "cross_entropy",
    "embedding": "embedding", "gemm": "gemm", "gemm_sm90": "gemm_sm90",
    "group_by_id": "embedding", "linear_cross_entropy": "linear_cross_entropy",
    "linear_grad": "linear_grad", "norm": "norm", "optimizer": "optimizer", "rotary": "rotary",
    "sampling": "sampling", "softmax": "softmax",
}  # fmt: skip

# (file, function, call, how many of them in the function come before): why its absence shows
# nowhere.
REASONS: dict[tuple[str, str, str, int], str] = {}


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


# ---- builds ------------------------------------------------------------------------------------


class Tree:
    """A copy of the sources, with a build of the emulated module that follows its changes."""

    def __init__(self, folder: Path):
        self.folder, self.build = folder, folder / "build"
        for name in ("csrc", "cmake"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "CMakeLists.txt", folder)
        lists = folder / "cmake/cuda.cmake"
        lists.write_text(lists.read_text().replace("-O2 -g1", "-O1"))  # half the time to compile
        self.configure()
        self.make()

    def configure(self) -> None:
        import pybind11

        command = [
            "cmake", "-S", str(self.folder), "-B", str(self.build), "-G", "Ninja",
            "-DPLAINFORMER_CUDA_EMULATED=ON", f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]  # fmt: skip
        if shutil.which("ccache"):
            command.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        subprocess.run(command, check=True, capture_output=True)

    def make(self) -> bool:
        environment = {**os.environ, "CCACHE_BASEDIR": str(self.folder), "CCACHE_NOHASHDIR": "1"}
        command = ["ninja", "-C", str(self.build), "-j1"]
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0

    @property
    def module(self) -> Path:
        return next(self.build.glob("_cuda_emulated*.so"))

    def dependents(self, name: str) -> list[str]:
        """Stems of the source files that are compiled with the file."""
        listed = subprocess.run(
            ["ninja", "-C", str(self.build), "-t", "deps"], capture_output=True, text=True
        ).stdout
        found = set()
        for entry in listed.split("\n\n"):
            object_file = entry.split(":")[0]
            if f"/csrc/cuda/{name}" in entry and (stem := re.search(r"(\w+)\.cu\.o$", object_file)):
                found.add(stem.group(1))
        return sorted(found)


def tests_of(stems: list[str]) -> list[str]:
    """The test files that concern the sources, those of the fewest sources first."""
    names: dict[str, None] = {}
    for stem in stems:
        prefix = max((p for p in TESTS if stem.startswith(p)), key=len, default=None)
        if prefix:
            names.setdefault(TESTS[prefix])
    files = [f"tests/{folder}/test_{name}.py" for folder in ("cuda",) for name in names]
    return [f for f in files if (ROOT / f).exists()]


# ---- trials ------------------------------------------------------------------------------------


def failure(module: Path, tests: list[str], order: str, poison: str) -> str | None:
    """The first test that fails, if one does."""
    environment = {
        **os.environ,
        "PLAINFORMER_CUDA_EMULATED": str(module), "EMU_ORDER": order, "EMU_POISON": poison,
        "PYTHONPATH": f"{ROOT}/python",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m",
               "not slow", *tests]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
        )
    except subprocess.TimeoutExpired:
        return "it never ends"
    if done.returncode == 0:
        return None
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    return named.group(1) if named else f"exit status {done.returncode}"


def try_mutant(tree: Tree, mutant: Mutant) -> dict:
    path = tree.folder / "csrc/cuda" / mutant.file
    original = path.read_text()
    tests = tests_of(tree.dependents(mutant.file))
    result: dict = {"line": mutant.line, "function": mutant.function, "call": mutant.call,
                    "nth": mutant.nth}  # fmt: skip
    path.write_text(original[: mutant.start] + "(void)0" + original[mutant.end :])
    try:
        if not tree.make():
            return {**result, "caught": "it does not compile"}
        for order, poison in TRIALS:
            if failed := failure(tree.module, tests, order, poison):
                return {**result, "caught": failed, "order": order, "poison": poison}
        reason = REASONS.get(mutant.key, "not known")
        return {**result, "caught": None, "tests": tests, "reason": reason}
    finally:
        path.write_text(original)


def read_results() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"files": {}}


def write_results(results: dict) -> None:
    for name, entry in results["files"].items():
        for m in entry["mutants"]:
            if m["caught"] is None:
                key = (name, m["function"], m["call"], m["nth"])
                m["reason"] = REASONS.get(key, "not known")
    everything = [m for f in results["files"].values() for m in f["mutants"]]
    results["mutants"] = len(everything)
    results["caught"] = sum(m["caught"] is not None for m in everything)
    results["files"] = dict(sorted(results["files"].items()))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


class Run:
    """Mutants tried in several trees at once; a file's results are written when it is done."""

    def __init__(self, files: list[Path], results: dict):
        self.mutants = {f.name: mutants_of(f) for f in files}
        self.hashes = {f.name: hash_of(f) for f in files}
        self.outcomes: dict[Mutant, dict] = {}
        self.results = results
        self.trees: queue.Queue[Tree] = queue.Queue()
        self.lock = threading.Lock()

    def all(self, jobs: int) -> None:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            for i in range(jobs):
                self.trees.put(Tree(Path(folder) / f"tree{i}"))
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                list(pool.map(self.one, [m for of_file in self.mutants.values() for m in of_file]))

    def one(self, mutant: Mutant) -> None:
        tree = self.trees.get()
        started = time.monotonic()
        try:
            outcome = try_mutant(tree, mutant)
        finally:
            self.trees.put(tree)
        took = time.monotonic() - started
        place = f"{mutant.file}:{mutant.line} {mutant.call} in {mutant.function}"
        print(f"{place}: {outcome['caught'] or 'ALIVE'} ({took:.0f} s)", flush=True)
        with self.lock:
            self.outcomes[mutant] = outcome
            self.keep(mutant.file)

    def keep(self, file: str) -> None:
        mutants = self.mutants[file]
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
    present = {f.name for f in kernel_files()}
    results["files"] = {n: e for n, e in results["files"].items() if n in present}
    write_results(results)
    alive = [m for f in results["files"].values() for m in f["mutants"] if m["caught"] is None]
    print(f"{results['mutants']} mutants, {results['caught']} caught")
    sys.exit(any(m["reason"] == "not known" for m in alive))


if __name__ == "__main__":
    main()

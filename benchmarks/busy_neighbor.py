"""How much small calls slow down while another process keeps one processor busy.

    python benchmarks/busy_neighbor.py [--torch-python PYTHON] [--output FILE.json]

A library whose threads wait for each other at every call loses a scheduler quantum (milliseconds)
whenever one of them has lost its processor. Our callers do the work that sleeping threads have not
begun, so a neighbor should cost its share of the machine and little more: at most 2.5x on two
processors. Each library runs in a process of its own, alone and beside the neighbor in turn;
PyTorch is measured where it is installed (or where --torch-python finds it).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

CALLS = ("add", "layer_norm", "linear")
LIMIT = 2.5  # slowdown that we allow ourselves


def inputs() -> dict[str, np.ndarray]:
    """One sentence in a small encoder: 128 tokens of width 384, feed-forward width 1536."""
    rng = np.random.default_rng(0)
    shapes = {"x": (128, 384), "weight": (1536, 384), "scale": (384,), "bias": (384,)}
    return {name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def our_calls(threads: int) -> dict[str, Callable[[], Any]]:
    import plainformer as pf

    pf.set_num_threads(threads)
    x, weight, scale, bias = inputs().values()
    return {
        "add": lambda: pf.kernels.add(x, x),
        "layer_norm": lambda: pf.kernels.layer_norm(x, 384, scale, bias),
        "linear": lambda: pf.kernels.linear(x, weight),
    }


def torch_calls(threads: int) -> dict[str, Callable[[], Any]]:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    x, weight, scale, bias = (torch.from_numpy(array) for array in inputs().values())
    return {
        "add": lambda: x + x,
        "layer_norm": lambda: torch.nn.functional.layer_norm(x, (384,), scale, bias),
        "linear": lambda: torch.nn.functional.linear(x, weight),
    }


LIBRARIES = {"plainformer": our_calls, "torch": torch_calls}


# ---- in a child: time one library ------------------------------------------------------------


def time_calls(call: Callable[[], Any], seconds: float) -> list[float]:
    """Microseconds of each call, for about that long."""
    times = []
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        call()
        times.append((time.perf_counter() - begin) * 1e6)
    return times


def measure(library: str, threads: int, seconds: float) -> None:
    """Print median and mean microseconds of every call as one JSON object."""
    report = {}
    for name, call in LIBRARIES[library](threads).items():
        time_calls(call, seconds / 10)
        times = time_calls(call, seconds)
        report[name] = {"median": statistics.median(times), "mean": statistics.fmean(times)}
    print(json.dumps(report))


# ---- in the parent: compare ------------------------------------------------------------------


@contextmanager
def neighbor() -> Iterator[None]:
    """A process that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.2)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run_child(python: str, library: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [python, __file__, "--measure", library]
    command += ["--threads", str(options.threads), "--seconds", str(options.seconds)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def compare(python: str, library: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each call: median over rounds of its times alone and beside the neighbor."""
    alone, beside = [], []
    for _ in range(options.rounds):
        alone.append(run_child(python, library, options))
        with neighbor():
            beside.append(run_child(python, library, options))
    return [row(library, name, alone, beside) for name in CALLS]


def row(library: str, name: str, alone: list[Any], beside: list[Any]) -> dict[str, Any]:
    """Times in microseconds, and how many times longer they got."""
    cells: dict[str, Any] = {"library": library, "call": name}
    for statistic in ("median", "mean"):
        before = statistics.median(times[name][statistic] for times in alone)
        after = statistics.median(times[name][statistic] for times in beside)
        cells[f"{statistic}_alone"] = round(before, 2)
        cells[f"{statistic}_beside"] = round(after, 2)
        cells[f"{statistic}_slowdown"] = round(after / before, 2)
    return cells


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'library':<12}{'call':<12}{'alone':>10}{'beside':>10}{'slowdown':>10}{'(mean)':>10}")
    for cells in rows:
        print(
            f"{cells['library']:<12}{cells['call']:<12}"
            f"{cells['median_alone']:>7.1f} us{cells['median_beside']:>7.1f} us"
            f"{cells['median_slowdown']:>9.2f}x{cells['mean_slowdown']:>9.2f}x"
        )


def has_torch(python: str) -> bool:
    find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([python, "-c", find], check=False).returncode == 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=1.0, help="time of each call a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with PyTorch")
    parser.add_argument("--output", help="write the rows and the machine as JSON")
    parser.add_argument("--measure", choices=LIBRARIES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """0 if our own calls stayed within the limit, 1 otherwise."""
    options = parse()
    if options.measure:
        measure(options.measure, options.threads, options.seconds)
        return 0
    rows = compare(sys.executable, "plainformer", options)
    ours_within_limit = all(cells["mean_slowdown"] <= LIMIT for cells in rows)
    if has_torch(options.torch_python):
        rows += compare(options.torch_python, "torch", options)
    else:
        print("torch is not installed: not compared")
    show(rows)
    if options.output:
        with open(options.output, "w") as file:
            json.dump({"threads": options.threads, "rows": rows}, file, indent=1)
    return 0 if ours_within_limit else 1


if __name__ == "__main__":
    sys.exit(main())

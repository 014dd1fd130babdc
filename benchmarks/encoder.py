"""Time a sentence encoder of MiniLM's size beside PyTorch: inference, and a training step.

    python benchmarks/encoder.py [--case NAME ...] [--dtype float32] [--peer-python PYTHON]
                                 [--rounds N] [--output F.json]

Both load one directory (random weights of MiniLM-L6's shape, or --model DIR) and see the same
padded batches; PyTorch runs transformers' model with scaled dot product attention under the best
of its thread settings. Each library has its own process, and rounds alternate. The outputs are
compared before anything is timed.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from plainformer import runtime
from plainformer.bench import machine
from plainformer.bench.process import TORCH_SETTINGS, Child, PeerMissingError
from plainformer.bench.session import write_json
from plainformer.models import from_config

HERE = Path(__file__).parent
MINILM = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
SECONDS = 0.4  # a turn of one side


@dataclass(frozen=True)
class Case:
    """One batch shape. `lengths` are tokens a sentence; `limit` is our time over PyTorch's."""

    lengths: tuple[int, ...]
    limit: float
    trains: bool = False

    def batch(self, rng: np.random.Generator) -> dict[str, list[Any]]:
        """Padded ids, mask and, to train, labels."""
        longest = max(self.lengths)
        mask = (np.arange(longest) < np.array(self.lengths)[:, None]).astype(np.int64)
        ids = rng.integers(1000, 30000, mask.shape) * mask
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.trains:
            batch["labels"] = rng.integers(0, 2, len(self.lengths))
        return {name: array.tolist() for name, array in batch.items()}


MIXED = tuple(int(n) for n in np.random.default_rng(1).integers(8, 129, 32))
CASES = {
    "B1 T16": Case((16,), 0.5),
    "B1 T128": Case((128,), 0.8),
    "B32 T8-128": Case(MIXED, 0.6),
    "B32 T64": Case((64,) * 32, 0.85),
    "train B32 T64": Case((64,) * 32, 0.85, trains=True),
}


def start_sides(
    threads: int, python: str, request: dict[str, Any], script: str = "encoder"
) -> dict[str, Child]:
    """Our process, and PyTorch's under each thread setting, with the model loaded.

    script : the sides are `<script>_plainformer.py` and `<script>_torch.py`
    """
    sides = {"plainformer": Child(str(HERE / f"{script}_plainformer.py"), threads, bare=False)}
    try:
        settings = TORCH_SETTINGS if threads > 1 else {"default": {}}
        for name, extra in settings.items():
            file = str(HERE / f"{script}_torch.py")
            sides[f"torch, {name}"] = Child(file, threads, interpreter=python, extra=extra)
    except PeerMissingError as absent:
        click.echo(f"torch: not measured, {absent}")
    for child in sides.values():
        child.ask("load", **request)
    return sides


def check_outputs(sides: dict[str, Child], batch: dict[str, Any], dtype: str) -> float:
    """The largest difference of our sentence vectors from PyTorch's, over their scale."""
    outputs = [np.array(child.ask("output", batch=batch)["output"]) for child in sides.values()]
    difference = float(np.abs(outputs[0] - outputs[-1]).max() / np.abs(outputs[-1]).max())
    if not difference < (1e-4 if dtype == "float32" else 0.1):
        raise click.ClickException(f"the outputs differ by {difference:.1e}")
    return difference


def measure(case: Case, sides: dict[str, Child], rounds: int, dtype: str) -> dict[str, Any]:
    """Milliseconds of each side in interleaved rounds, and the ratios of neighbors."""
    batch = case.batch(np.random.default_rng(0))
    difference = check_outputs(sides, batch, dtype)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(rounds + 1):  # the first round warms up
        for name, child in sides.items():
            answer = child.ask("time", batch=batch, trains=case.trains, seconds=SECONDS)
            if i:
                times[name].append(1e3 * answer["median"])
    result: dict[str, Any] = {"difference": difference, "limit": case.limit}
    ours = times.pop("plainformer")
    result["plainformer_ms"] = float(np.median(ours))
    if times:
        best = min(times, key=lambda name: float(np.median(times[name])))
        ratios = np.divide(ours, times[best])
        result |= {"torch_setting": best, "torch_ms": float(np.median(times[best]))}
        result["ratio"] = float(np.median(ratios))
        result["ratio_p20"], result["ratio_p80"] = map(float, np.percentile(ratios, [20, 80]))
    return result


def show(name: str, dtype: str, result: dict[str, Any]) -> None:
    """One line."""
    line = f"{name:<14} {dtype:<9} {result['plainformer_ms']:8.2f} ms"
    if "ratio" in result:
        held = "held" if result["ratio"] <= result["limit"] else "MISSED"
        line += (
            f", PyTorch {result['torch_ms']:8.2f} ms ({result['torch_setting']}): "
            f"{result['ratio']:.2f} of its time (p20 {result['ratio_p20']:.2f}, "
            f"p80 {result['ratio_p80']:.2f}), limit {result['limit']:.2f} {held}"
        )
    click.echo(line)


@click.command()
@click.option("--case", "names", type=click.Choice([*CASES]), multiple=True, help="Default: all.")
@click.option("--dtype", "dtypes", type=click.Choice(["float32", "bfloat16"]), multiple=True)
@click.option("--model", type=click.Path(exists=True, file_okay=False), help="A BERT directory.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads of both [default: ours].")
@click.option("--peer-python", envvar="PLAINFORMER_PEER_PYTHON", default=sys.executable)
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    model: str | None,
    rounds: int,
    threads: int | None,
    peer_python: str,
    output: str | None,
) -> None:
    """Time a sentence encoder of MiniLM's size beside PyTorch."""
    threads = threads or runtime.get_num_threads()
    results: dict[str, Any] = {"machine": machine.describe(), "threads": threads}
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = folder
            from_config(MINILM, task="sequence-classification").save_pretrained(folder)
        for dtype in dtypes or ("float32", "bfloat16"):
            sides = start_sides(threads, peer_python, {"path": model, "dtype": dtype})
            try:
                for name in names or CASES:
                    result = measure(CASES[name], sides, rounds, dtype)
                    results[f"{name} {dtype}"] = result
                    show(name, dtype, result)
            finally:
                for child in sides.values():
                    child.close()
    if output:
        write_json(results, output)


if __name__ == "__main__":
    main()

"""Train the same GPT with plainformer and with eager PyTorch: time of a step, and quality.

    python benchmarks/train_gpt.py [--config nano|small] [--peer-python PYTHON] [--output F.json]
    python benchmarks/train_gpt.py --quality --data DIR     # validation loss of 3 seeds as well

Both start from the same weights, see the same batches and take turns, each in its own process with
the same number of threads. PyTorch runs under the best of its thread settings. DIR (or the variable
PLAINFORMER_DATA) holds train.txt and validation.txt, read as characters; without it the batches are
random ids, which cost the same time.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import gpt_recipe as recipe
import numpy as np

from plainformer import runtime
from plainformer.bench import machine
from plainformer.bench.process import TORCH_SETTINGS, Child, PeerMissingError
from plainformer.bench.session import write_json
from plainformer.data.batches import TokenBlocks
from plainformer.training.batches import EpochView

HERE = Path(__file__).parent
RANDOM_VOCAB = 65  # as many ids as tinyshakespeare has characters
TURNS = {"nano": 20, "small": 2}  # steps a turn: about a second


@dataclass
class Run:
    """One configuration on some tokens."""

    config: str
    train: np.ndarray
    validation: np.ndarray
    vocab_size: int
    folder: Path
    sizes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = recipe.CONFIGS[self.config]

    def start(self, child: Child, weights: Path) -> None:
        """A fresh model and optimizer in `child`."""
        child.ask("start", sizes=self.sizes, vocab_size=self.vocab_size, weights=str(weights))

    def initial_weights(self, ours: Child, seed: int) -> Path:
        """A file with our initialization from `seed`."""
        path = self.folder / f"weights-{seed}.npz"
        sizes, vocab_size = self.sizes, self.vocab_size
        ours.ask("create", sizes=sizes, vocab_size=vocab_size, seed=seed, path=str(path))
        return path

    def batches(self, seed: int, count: int) -> np.ndarray:
        """The first `count` training batches of `seed`, (count, B, T + 1) int64."""
        blocks = TokenBlocks(self.train, self.sizes["block_size"])
        size, rows = self.sizes["batch_size"], []
        for epoch in range(count):
            view = EpochView(blocks, seed, epoch)
            for start in range(0, len(blocks) - size + 1, size):
                examples = view.examples(start, start + size)
                rows.append([[*one["input_ids"], one["shift_labels"][-1]] for one in examples])
                if len(rows) == count:
                    return np.array(rows, np.int64)
        raise click.UsageError(f"--data: fewer than {size} blocks")

    def steps(self, child: Child, batches: np.ndarray, first: int) -> dict[str, Any]:
        """Updates on `batches`, the first one numbered `first`."""
        path = self.folder / "blocks.npy"
        np.save(path, batches)
        return child.ask("steps", blocks=str(path), first=first)


def read_characters(data: str | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Training and validation ids and the number of ids: of DIR's characters, or random ones."""
    if data is None:
        ids = np.random.default_rng(0).integers(0, RANDOM_VOCAB, 200_000)
        return ids[:190_000], ids[190_000:], RANDOM_VOCAB
    texts = []
    for name in ("train.txt", "validation.txt"):
        path = Path(data) / name
        if not path.is_file():
            raise click.UsageError(f"--data: {path} is not there")
        texts.append(np.array(list(path.read_text(encoding="utf-8"))))
    characters, ids = np.unique(np.concatenate(texts), return_inverse=True)
    return ids[: len(texts[0])], ids[len(texts[0]) :], len(characters)


def start_torch(run: Run, threads: int, python: str, weights: Path) -> Child:
    """PyTorch under the thread setting with the shortest step; the others are ended."""
    settings = TORCH_SETTINGS if threads > 1 else {"default": {}}
    batches = run.batches(0, 2 * TURNS[run.config])
    children, seconds = {}, {}
    for name, extra in settings.items():
        child = Child(str(HERE / "gpt_torch.py"), threads, interpreter=python, extra=extra)
        run.start(child, weights)
        seconds[name] = float(np.median(run.steps(child, batches, 0)["seconds"]))
        children[name] = child
    best = min(seconds, key=lambda name: seconds[name])
    for name, child in children.items():
        if name != best:
            child.close()
    click.echo(f"torch {children[best].description['torch']}, threads wait: {best}")
    return children[best]


def compare_losses(run: Run, sides: dict[str, Child], weights: Path) -> float:
    """The first losses from the same weights on the same batch; their relative difference."""
    losses = []
    for child in sides.values():
        run.start(child, weights)
        losses.append(run.steps(child, run.batches(0, 1), 0)["losses"][0])
    difference = abs(losses[0] - losses[-1]) / abs(losses[-1])
    click.echo(f"first loss {losses[0]:.6f}, relative difference {difference:.1e}")
    return difference


def measure_steps(run: Run, sides: dict[str, Child], weights: Path, rounds: int) -> dict[str, Any]:
    """Seconds a step of each side, in interleaved turns after one turn that warms up."""
    turn = TURNS[run.config]
    parts = np.split(run.batches(0, turn * (rounds + 1)), rounds + 1)
    for child in sides.values():
        run.start(child, weights)
    medians: dict[str, list[float]] = {name: [] for name in sides}
    for i, part in enumerate(parts):
        for name, child in sides.items():
            seconds = run.steps(child, part, i * turn)["seconds"]
            if i:
                medians[name].append(float(np.median(seconds)))
    return summarize_steps(run, medians)


def summarize_steps(run: Run, medians: dict[str, list[float]]) -> dict[str, Any]:
    """Percentiles of a step's time over rounds, and of the ratio of neighbors."""
    result: dict[str, Any] = {}
    for name, values in medians.items():
        p20, median, p80 = (1e3 * float(x) for x in np.percentile(values, [20, 50, 80]))
        result[name] = {"median_ms": median, "p20_ms": p20, "p80_ms": p80}
        click.echo(f"{run.config} {name:<12}{median:8.1f} ms a step (p20 {p20:.1f}, p80 {p80:.1f})")
    if "torch" in medians:
        ratios = np.divide(medians["plainformer"], medians["torch"])
        result["ratio"] = float(np.median(ratios))
        result["ratio_p20"], result["ratio_p80"] = map(float, np.percentile(ratios, [20, 80]))
        click.echo(
            f"{run.config} our step takes {result['ratio']:.2f} of PyTorch's time "
            f"(p20 {result['ratio_p20']:.2f}, p80 {result['ratio_p80']:.2f})"
        )
    return result


def measure_quality(run: Run, sides: dict[str, Child], seeds: int) -> dict[str, Any]:
    """Validation loss after the whole recipe, for each side and seed."""
    tokens = run.folder / "validation.npy"
    np.save(tokens, run.validation.astype(np.int64))
    losses: dict[str, list[float]] = {name: [] for name in sides}
    for seed in range(seeds):
        weights = run.initial_weights(sides["plainformer"], seed)
        batches = run.batches(seed, recipe.STEPS)
        for name, child in sides.items():
            run.start(child, weights)
            run.steps(child, batches, 0)
            block_size = run.sizes["block_size"]
            loss = child.ask("evaluate", tokens=str(tokens), block_size=block_size)["loss"]
            losses[name].append(loss)
            click.echo(f"{run.config} seed {seed} {name:<12} validation loss {loss:.4f}")
    for name, values in losses.items():
        click.echo(f"{run.config} {name:<12} mean of {seeds} seeds {np.mean(values):.4f}")
    return {name: {"losses": v, "mean": float(np.mean(v))} for name, v in losses.items()}


def measure(run: Run, threads: int, python: str, rounds: int, seeds: int) -> dict[str, Any]:
    """Everything about one configuration."""
    sides = {"plainformer": Child(str(HERE / "gpt_plainformer.py"), threads, bare=False)}
    try:
        weights = run.initial_weights(sides["plainformer"], 0)
        try:
            sides["torch"] = start_torch(run, threads, python, weights)
        except PeerMissingError as absent:
            click.echo(f"torch: not measured, {absent}")
        results = {"first_loss_difference": compare_losses(run, sides, weights)}
        results["steps"] = measure_steps(run, sides, weights, rounds)
        if seeds:
            results["quality"] = measure_quality(run, sides, seeds)
        return results
    finally:
        for child in sides.values():
            child.close()


@click.command()
@click.option("--config", type=click.Choice([*recipe.CONFIGS]), multiple=True, help="Default: all.")
@click.option("--data", envvar="PLAINFORMER_DATA", help="Folder of train.txt and validation.txt.")
@click.option("--quality", is_flag=True, help="Train to the end and compare validation losses.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads of both [default: ours].")
@click.option("--peer-python", envvar="PLAINFORMER_PEER_PYTHON", default=sys.executable)
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(
    config: tuple[str, ...],
    data: str | None,
    quality: bool,
    seeds: int,
    rounds: int,
    threads: int | None,
    peer_python: str,
    output: str | None,
) -> None:
    """Train the same GPT with plainformer and with eager PyTorch."""
    if quality and data is None:
        raise click.UsageError("--quality: needs --data")
    threads = threads or runtime.get_num_threads()
    train, validation, vocab_size = read_characters(data)
    results: dict[str, Any] = {"machine": machine.describe(), "threads": threads}
    for name in config or recipe.CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(name, train, validation, vocab_size, Path(folder))
            results[name] = measure(run, threads, peer_python, rounds, seeds if quality else 0)
        if output:
            write_json(results, output)


if __name__ == "__main__":
    main()

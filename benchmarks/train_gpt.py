"""Train the same GPT with plainformer and with PyTorch: time of a step, memory, and quality.

    python benchmarks/train_gpt.py [--config nano ...] [--dtype float32] [--level LEVEL]
        [--compiled] [--peer-python PYTHON] [--busy] [--output F.json | --record]
    python benchmarks/train_gpt.py --quality --data DIR     # validation loss of 3 seeds as well

Both start from the same weights, see the same batches and take turns, each in its own process with
the same number of threads. PyTorch is eager under the best of its thread settings and, with
--compiled, also what torch.compile makes of the model. DIR (or the variable PLAINFORMER_DATA)
holds train.txt and validation.txt, read as characters; without it, and for GPT-2's vocabulary, the
batches are random ids, which cost the same time.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import gpt_recipe as recipe
import numpy as np
from running import OURS, Results, Setup, Sides, closing, measuring
from turns import Side, at_most, comparison, show, take_turns

from plainformer.bench.process import TORCH_SETTINGS, Child, PeerError, PeerMissingError
from plainformer.data.batches import TokenBlocks
from plainformer.training.batches import EpochView

RANDOM_VOCAB = 65  # as many ids as tinyshakespeare has characters
TURNS = {"nano": 20, "small": 2}  # steps a turn, about a second; of GPT-2 one
SLOWEST = 60.0  # seconds after which a peer is out
DTYPES = ("float32", "bfloat16")


@dataclass
class Run:
    """One configuration on some tokens."""

    config: str
    train: np.ndarray
    validation: np.ndarray
    vocab_size: int
    folder: Path
    dtype: str = "float32"
    sizes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = dict(recipe.CONFIGS[self.config])
        own_vocab = self.sizes.pop("vocab_size", None)
        if own_vocab:
            self.vocab_size = own_vocab
            ids = np.random.default_rng(0).integers(0, own_vocab, 200_000)
            self.train, self.validation = ids[:190_000], ids[190_000:]

    @property
    def turn(self) -> int:
        """Steps of a turn."""
        return TURNS.get(self.config, 1)

    def start(self, child: Child, weights: Path) -> None:
        """A fresh model and optimizer in `child`."""
        sizes, vocab_size = self.sizes, self.vocab_size
        request = {"sizes": sizes, "vocab_size": vocab_size, "dtype": self.dtype}
        child.ask("start", weights=str(weights), **request)

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

    def steps(
        self, child: Child, batches: np.ndarray, first: int, limit: float | None = SLOWEST
    ) -> dict[str, Any]:
        """Updates on `batches`, the first one numbered `first`, in `limit` seconds."""
        path = self.folder / "blocks.npy"
        np.save(path, batches)
        return child.ask("steps", timeout=limit, blocks=str(path), first=first)


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


def start_torch(run: Run, setup: Setup, weights: Path, compiled: bool) -> Sides:
    """PyTorch under the eager thread setting with the shortest step, and compiled where that is
    asked; the others are ended, and what cannot be measured is named."""
    settings = TORCH_SETTINGS if setup.threads > 1 else {"default": {}}
    seconds: dict[str, float] = {}
    children: dict[str, Child] = {}
    if compiled:
        settings = {**settings, "compiled": {"PLAINFORMER_BENCH_COMPILED": "1"}}
    for name, extra in settings.items():
        try:
            children[name] = setup.child("gpt_torch.py", "torch", extra)
            seconds[name] = first_seconds(run, children[name], weights)
        except (PeerMissingError, PeerError) as absent:
            click.echo(f"torch, {name}: not measured, {absent}")
            if name in children:
                children.pop(name).close()
            if name != "compiled":  # too slow for one, too slow for all
                break
    eager = [name for name in seconds if name != "compiled"]
    kept = {min(eager, key=lambda name: seconds[name]), "compiled"} if eager else {"compiled"}
    for name in set(children) - kept:
        children.pop(name).close()
    return {("torch", name): child for name, child in children.items()}


def first_seconds(run: Run, child: Child, weights: Path) -> float:
    """The median step of a first turn or two, in which torch.compile compiles."""
    timeout = 10 * SLOWEST if child.description.get("compiled") else SLOWEST
    run.start(child, weights)
    path = run.folder / "blocks.npy"
    np.save(path, run.batches(0, 1))
    child.ask("steps", timeout=timeout, blocks=str(path), first=0)
    return float(np.median(run.steps(child, run.batches(0, 2 * run.turn), 0)["seconds"]))


def compare_losses(run: Run, sides: Sides, weights: Path) -> float:
    """The first losses from the same weights on the same batch; their relative difference."""
    losses = []
    for child in sides.values():
        run.start(child, weights)
        losses.append(run.steps(child, run.batches(0, 1), 0, None)["losses"][0])
    difference = abs(losses[0] - losses[-1]) / abs(losses[-1])
    click.echo(f"first loss {losses[0]:.6f}, relative difference {difference:.1e}")
    return difference


def measure_steps(
    run: Run, sides: Sides, setup: Setup, weights: Path, rounds: int
) -> dict[str, Any]:
    """Time of a step of each side, and the most memory that its process has had."""
    parts = np.split(run.batches(0, run.turn * (rounds + 1)), rounds + 1)
    for child in sides.values():
        run.start(child, weights)

    def turn(side: Side, child: Child) -> Callable[[int], float]:
        def timed(number: int) -> float:
            limit = at_most(side, SLOWEST)
            seconds = run.steps(child, parts[number], number * run.turn, limit)["seconds"]
            return float(np.median(seconds))

        return timed

    quiet, busy = take_turns(
        setup, rounds, {side: turn(side, child) for side, child in sides.items()}
    )
    peaks = {", ".join(side): sides[side].ask("peak")["bytes"] for side in quiet}
    return {**comparison(quiet, busy), "peak_bytes": peaks}


def measure_quality(run: Run, sides: Sides, seeds: int) -> dict[str, Any]:
    """Validation loss after the whole recipe, for each side and seed."""
    tokens = run.folder / "validation.npy"
    np.save(tokens, run.validation.astype(np.int64))
    losses: dict[str, list[float]] = {side[0]: [] for side in sides}
    for seed in range(seeds):
        weights = run.initial_weights(sides[OURS, "default"], seed)
        batches = run.batches(seed, recipe.STEPS)
        for (name, _), child in sides.items():
            run.start(child, weights)
            for first in range(0, recipe.STEPS, run.turn):
                run.steps(child, batches[first : first + run.turn], first, None)
            block_size = run.sizes["block_size"]
            loss = child.ask("evaluate", tokens=str(tokens), block_size=block_size)["loss"]
            losses[name].append(loss)
            click.echo(f"{run.config} seed {seed} {name:<12} validation loss {loss:.4f}")
    for name, values in losses.items():
        click.echo(f"{run.config} {name:<12} mean of {seeds} seeds {np.mean(values):.4f}")
    return {name: {"losses": v, "mean": float(np.mean(v))} for name, v in losses.items()}


def measure(run: Run, setup: Setup, rounds: int, seeds: int, compiled: bool) -> dict[str, Any]:
    """Everything about one configuration."""
    sides: Sides = {(OURS, "default"): setup.child("gpt_plainformer.py", OURS)}
    with closing(sides):
        weights = run.initial_weights(sides[OURS, "default"], 0)
        sides |= start_torch(run, setup, weights, compiled)
        results = {"first_loss_difference": compare_losses(run, sides, weights)}
        results |= measure_steps(run, sides, setup, weights, rounds)
        if seeds:
            eager = {side: child for side, child in sides.items() if side[1] != "compiled"}
            results["quality"] = measure_quality(run, eager, seeds)
        return results


@click.command()
@click.option("--config", type=click.Choice([*recipe.CONFIGS]), multiple=True, help="Default: all.")
@click.option("--dtype", "dtypes", type=click.Choice(DTYPES), multiple=True, help="Default: all.")
@click.option("--compiled", is_flag=True, help="PyTorch compiled as well, where it is faster.")
@click.option("--data", envvar="PLAINFORMER_DATA", help="Folder of train.txt and validation.txt.")
@click.option("--quality", is_flag=True, help="Train to the end and compare validation losses.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@measuring
def main(
    config: tuple[str, ...],
    dtypes: tuple[str, ...],
    compiled: bool,
    data: str | None,
    quality: bool,
    seeds: int,
    rounds: int,
    setup: Setup,
) -> None:
    """Train the same GPT with plainformer and with PyTorch."""
    if quality and data is None:
        raise click.UsageError("--quality: needs --data")
    train, validation, vocab_size = read_characters(data)
    results = Results("train_gpt", setup)
    for name, dtype in itertools.product(config or recipe.CONFIGS, dtypes or DTYPES):
        with tempfile.TemporaryDirectory() as folder:
            run = Run(name, train, validation, vocab_size, Path(folder), dtype)
            cell = measure(run, setup, rounds, seeds if quality else 0, compiled)
        show(f"{name} {dtype}", cell, recipe.GOALS.get(name))
        results.add(f"{name} {dtype}", cell)


if __name__ == "__main__":
    main()

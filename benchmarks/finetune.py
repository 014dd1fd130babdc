"""Time fine-tuning steps on texts of many lengths beside PyTorch, each with its best batching.

    python benchmarks/finetune.py [--data F.jsonl --model DIR] [--steps N] [--rounds N]
                                  [--peer-python PYTHON] [--output F.json]

PyTorch computes padding, so it gets batches of like lengths: chunks of 50 batches sorted by length,
the batches in random order. We compute real tokens only, and take the same texts plainly shuffled,
and for comparison in PyTorch's batches too. Both make the same number of steps on the same texts;
rounds alternate between processes. Without --data, lengths are drawn like those of sentences
(median 22 tokens, at most 64), and without --model weights are random, of MiniLM-L6's shape.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
from encoder import MINILM, start_sides

from plainformer import runtime
from plainformer.bench import machine
from plainformer.bench.process import Child
from plainformer.bench.session import write_json
from plainformer.data import TextEncoder, read_examples, read_tokenizer
from plainformer.models import from_config

BATCH, LIMIT, CHUNK = 32, 64, 50
GOAL = 0.8  # our time over PyTorch's


def token_rows(data: str | None, model: str | None, count: int) -> list[np.ndarray]:
    """Ids of `count` texts, of a file or drawn."""
    rng = np.random.default_rng(0)
    if data is None:
        lengths = np.clip(np.exp(rng.normal(np.log(22), 0.5, count)), 4, LIMIT).astype(int)
        return [rng.integers(1000, 30000, length) for length in lengths]
    examples = read_examples(data, "text-classification")
    texts = [examples[int(i)].text for i in rng.permutation(len(examples))[:count]]
    encoded = TextEncoder(read_tokenizer(model or "")).encode(texts, max_length=LIMIT)
    return [one.input_ids for one in encoded]


def grouped(lengths: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of like lengths in random order."""
    order = rng.permutation(len(lengths))
    for start in range(0, len(order), CHUNK * BATCH):
        chunk = order[start : start + CHUNK * BATCH]
        chunk = chunk[np.argsort(-lengths[chunk], kind="stable")]
        cuts = [chunk[i : i + BATCH] for i in range(0, len(chunk), BATCH)]
        yield from (cuts[int(i)] for i in rng.permutation(len(cuts)))


def shuffled(lengths: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches in random order of texts."""
    order = rng.permutation(len(lengths))
    yield from (order[i : i + BATCH] for i in range(0, len(order), BATCH))


def padded(rows: list[np.ndarray], chosen: np.ndarray) -> dict[str, Any]:
    """A batch with padding, as both sides take it."""
    own = [rows[int(i)] for i in chosen]
    longest = max(map(len, own))
    ids = np.zeros((len(own), longest), np.int64)
    for row, values in zip(ids, own):
        row[: len(values)] = values
    mask = np.arange(longest) < np.array([len(values) for values in own])[:, None]
    labels = [int(values.sum()) % 2 for values in own]
    return {
        "input_ids": ids.tolist(),
        "attention_mask": mask.astype(int).tolist(),
        "labels": labels,
    }


def measure(
    sides: dict[str, Child], batches: dict[str, list[dict[str, Any]]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of all steps, by side and batching, a figure a round."""
    plans = [("plainformer", name) for name in batches]
    plans += [(name, "grouped") for name in sides if name != "plainformer"]
    times: dict[str, list[float]] = {f"{side} {name}": [] for side, name in plans}
    for i in range(rounds + 1):  # the first round warms up
        for side, name in plans:
            answer = sides[side].ask("steps", batches=batches[name][: 2 if i == 0 else None])
            if i:
                times[f"{side} {name}"].append(answer["seconds"])
    return times


@click.command()
@click.option("--data", type=click.Path(exists=True, dir_okay=False), help="JSONL of text, label.")
@click.option("--model", type=click.Path(exists=True, file_okay=False), help="A BERT directory.")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads of both [default: ours].")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32")
@click.option("--peer-python", envvar="PLAINFORMER_PEER_PYTHON", default=sys.executable)
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(
    data: str | None,
    model: str | None,
    steps: int,
    rounds: int,
    threads: int | None,
    dtype: str,
    peer_python: str,
    output: str | None,
) -> None:
    """Time fine-tuning steps beside PyTorch."""
    if data is not None and model is None:
        raise click.UsageError("--data: needs --model, for its tokenizer")
    threads = threads or runtime.get_num_threads()
    rows = token_rows(data, model, steps * BATCH)
    lengths = np.array([len(row) for row in rows])
    batches = {
        name: [padded(rows, c) for c in cut(lengths, np.random.default_rng(1))][:steps]
        for name, cut in (("shuffled", shuffled), ("grouped", grouped))
    }
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            from_config(MINILM, task="sequence-classification").save_pretrained(folder)
        request = {"path": model or folder, "dtype": dtype}
        sides = start_sides(threads, peer_python, request)
        try:
            times = measure(sides, batches, rounds)
        finally:
            for child in sides.values():
                child.close()
    result: dict[str, Any] = {"machine": machine.describe(), "threads": threads, "steps": steps}
    for name, seconds in times.items():
        result[name] = float(np.median(seconds))
        click.echo(f"{name:<28} {1e3 * result[name] / steps:8.1f} ms a step")
    peers = [name for name in times if name.startswith("torch")]
    if peers:
        best = min(peers, key=lambda name: result[name])
        ratios = np.divide(times["plainformer shuffled"], times[best])
        result["ratio"] = float(np.median(ratios))
        held = "held" if result["ratio"] <= GOAL else "MISSED"
        click.echo(
            f"{result['ratio']:.2f} of PyTorch's time ({best}; p20 {np.percentile(ratios, 20):.2f},"
            f" p80 {np.percentile(ratios, 80):.2f}), goal {GOAL:.2f} {held}"
        )
    if output:
        write_json(result, output)


if __name__ == "__main__":
    main()

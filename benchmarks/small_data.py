"""Which learning rate and how many epochs suit a few hundred examples, on five public data sets.

    python benchmarks/small_data.py run --data DIR --minilm DIR [--sizes 128,512] [--rates ...]
    python benchmarks/small_data.py show

Each run fine-tunes all-MiniLM-L6-v2 on the first examples of a shuffled part of a data set and
tests it on others; its figure is appended to `benchmarks/results/small_data.jsonl`, and a run that
is there already is not made again. `show` prints the table of `docs/notes/fine-tuning.md`.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

import plainformer as pf
from plainformer.data import read_examples
from plainformer.data.labels import labels_of

RESULTS = Path(__file__).parent / "results" / "small_data.jsonl"
TESTED = 300  # examples: a standard error of 2 to 3 points, the same examples for all runs


class DataSet(NamedTuple):
    """A data set: its folder, its task, the figure that counts, and how many labels are kept."""

    folder: str
    task: str
    metric: str
    labels: int | None = None


DATA_SETS = {
    "sst2": DataSet("cls_sst2", "text-classification", "accuracy"),
    "agnews": DataSet("cls_agnews", "text-classification", "accuracy"),
    "clinc16": DataSet("cls_clinc150", "text-classification", "accuracy", 16),
    "semeval": DataSet("rel_semeval2010_task8", "relation-extraction", "f1"),
    "conll": DataSet("ner_conll2003", "token-classification", "f1"),
}


class Setting(NamedTuple):
    """One run."""

    data: str
    size: int
    rate: float
    epochs: int
    warmup: float
    seed: int


def chosen(data: DataSet, folder: Path, size: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Examples to learn from, of each label one at least, and those that are tested."""
    files = {p.stem: p for p in (folder / data.folder).iterdir()}
    train, test = (list(read_examples(files[n], data.task)) for n in ("train", "validation"))
    rng = np.random.default_rng(seed)
    if data.labels is not None:
        kept = set(sorted({e.label for e in train} - {"oos"})[: data.labels])
        train, test = ([e for e in part if e.label in kept] for part in (train, test))
    order = rng.permutation(len(train))
    first = {label: i for i in reversed(order) for label in labels_of(train[i])}
    wanted = list(dict.fromkeys([*first.values(), *order]))[:size]
    known = set(first)
    test = [test[i] for i in np.random.default_rng(0).permutation(len(test))]
    test = [e for e in test if known.issuperset(labels_of(e))]
    return [train[i] for i in wanted], test[:TESTED]


def run_one(setting: Setting, folder: Path, minilm: str) -> dict[str, Any]:
    """The figure of one run, before and after."""
    data = DATA_SETS[setting.data]
    train, test = chosen(data, folder, setting.size, setting.seed)
    with tempfile.TemporaryDirectory() as output:
        found = pf.finetune(
            data.task, minilm, train, test, output_dir=output, learning_rate=setting.rate,
            num_train_epochs=setting.epochs, warmup_steps=setting.warmup, seed=setting.seed,
            eval_strategy="no", save_strategy="no", per_device_eval_batch_size=32,
            disable_tqdm=True,
        )  # fmt: skip
    figures = found.metrics
    return {
        **setting._asdict(),
        "before": figures[f"before_eval_{data.metric}"],
        "after": figures[f"eval_{data.metric}"],
        "loss": figures["eval_loss"],
        "steps": figures["steps"],
    }


def known_runs() -> dict[Setting, float]:
    """What was measured."""
    if not RESULTS.exists():
        return {}
    rows = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    return {Setting(*(row[n] for n in Setting._fields)): row["after"] for row in rows}


def numbers(text: str, kind: type = float) -> list[Any]:
    """The numbers of a list with commas."""
    return [kind(part) for part in text.split(",")]


@click.group()
def main() -> None:
    """Fine-tuning on little data."""


@main.command("run")
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--minilm", required=True, help="A directory of all-MiniLM-L6-v2.")
@click.option("--names", default=",".join(DATA_SETS))
@click.option("--sizes", default="128,512")
@click.option("--rates", default="5e-5,1e-4,2e-4,5e-4")
@click.option("--epochs", default="3,10,20")
@click.option("--warmups", default="0")
@click.option("--seeds", default="0")
@click.option("--lock", help="A command before each run, such as `flock FILE`.")
def run_all(
    data: Path, minilm: str, names: str, sizes: str, rates: str, epochs: str, warmups: str,
    seeds: str, lock: str | None,
) -> None:  # fmt: skip
    """Every combination that was not measured yet, a process each."""
    grid = product(
        numbers(seeds, int), numbers(sizes, int), numbers(epochs, int), numbers(warmups),
        numbers(rates), names.split(","),
    )  # fmt: skip
    for seed, size, many, warmup, rate, name in grid:
        setting = Setting(name, size, rate, many, warmup, seed)
        if setting in known_runs():
            continue
        command = [*(lock or "").split(), sys.executable, __file__, "one", str(data), minilm]
        subprocess.run([*command, json.dumps(setting)], check=True)


@main.command("one")
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("minilm")
@click.argument("setting")
def one(data: Path, minilm: str, setting: str) -> None:
    """One run; appends what it gave."""
    logging.getLogger("plainformer").setLevel(logging.ERROR)
    row = run_one(Setting(*json.loads(setting)), data, minilm)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    click.echo(json.dumps(row))


@main.command("show")
def show() -> None:
    """The table of `docs/notes/fine-tuning.md`."""
    click.echo("\n".join(table(known_runs())))


def table(runs: dict[Setting, float]) -> Iterator[str]:
    """A row for each size, learning rate and number of epochs: each data set and the mean."""
    yield f"| examples | learning rate | epochs | {' | '.join(DATA_SETS)} | mean |"
    yield "| --- | --- | --- |" + " --- |" * (len(DATA_SETS) + 1)
    for size, epochs, rate in sorted({(s.size, s.epochs, s.rate) for s in runs if not s.warmup}):
        cells = [_mean(runs, name, size, rate, epochs) for name in DATA_SETS]
        if None in cells:
            continue
        told = " | ".join(f"{100 * value:.1f}" for value in [*cells, np.mean(cells)])  # type: ignore[list-item,operator]
        yield f"| {size} | {rate:g} | {epochs} | {told} |"


def _mean(
    runs: dict[Setting, float], name: str, size: int, rate: float, epochs: int
) -> float | None:
    wanted = (name, size, rate, epochs, 0.0)
    found = [value for setting, value in runs.items() if tuple(setting[:5]) == wanted]
    return float(np.mean(found)) if found else None


if __name__ == "__main__":
    main()

"""Run the fine-tuning recipes on public data, and write `docs/recipes.md` from what they gave.

    python benchmarks/run_recipes.py run [NAME...] --data DIR --minilm DIR [--seeds 0,1,2]
    python benchmarks/run_recipes.py write

A recipe is a run file in `benchmarks/recipes/` and a line in its `index.yaml`. Each run is a
process of `plainformer finetune`; its figures, wall and processor time and peak memory are appended
to `benchmarks/results/recipes.jsonl`. DIR holds a folder a data set, whose name ends with its
public name, with train and validation files in it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import few_labels
import numpy as np
import yaml

from plainformer import _cpu, runtime

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "benchmarks" / "recipes"
RESULTS = ROOT / "benchmarks" / "results" / "recipes.jsonl"
PAGE = ROOT / "docs" / "recipes.md"
PROGRAM = "from plainformer.cli import main; main()"
FIGURES = (
    "accuracy",
    "f1",
    "macro_f1",
    "exact_match",
    "in_scope_accuracy",
    "out_of_scope_recall",
    "bleu",
    "chrf",
    "rouge1",
    "rouge2",
    "rougeL",
    "perplexity",
    "bits_per_character",
    "loss",
)


def index() -> dict[str, dict[str, Any]]:
    """All recipes by name."""
    return yaml.safe_load((RECIPES / "index.yaml").read_text(encoding="utf-8"))


def data_files(data: Path, name: str) -> tuple[Path, Path]:
    """The train and validation files of a data set."""
    folder = next((p for p in sorted(data.iterdir()) if p.name.endswith(name)), None)
    if folder is None:
        raise click.UsageError(f"--data: {data} has no folder whose name ends with {name}")
    train, validation = (next(iter(folder.glob(f"{part}.*")), None) for part in ("train", "valid*"))
    if train is None or validation is None:
        raise click.UsageError(f"--data: {folder} has no train.* or no validation.*")
    return train, validation


def run(name: str, recipe: dict[str, Any], data: Path, minilm: str | None, seed: int) -> dict:
    """One run of a recipe: what `finetune --json` printed, with time and memory."""
    train, validation = data_files(data, recipe["data"])
    model = minilm if recipe["model"] == "minilm" else str(RECIPES / recipe["model"])
    if model is None:
        raise click.UsageError(f"{name}: needs --minilm")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-c", PROGRAM, "finetune", recipe["task"],
            "--run", str(RECIPES / f"{name}.yaml"), "--model", model, "--train", str(train),
            "--validation", str(validation), "--seed", str(seed), "--output-dir", folder, "--json",
        ]  # fmt: skip
        started = time.perf_counter()
        with open(Path(folder, "printed"), "w+", encoding="utf-8") as printed:
            process = subprocess.Popen(command, stdout=printed)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            last = printed.read().strip().rpartition("\n")[2]
        wall = time.perf_counter() - started
    if status:
        raise click.ClickException(f"{name}: {last or 'failed'}")
    return {"recipe": name, **told(json.loads(last)), **cost(wall, usage)}


def told(values: dict[str, Any]) -> dict[str, Any]:
    """What of the figures is kept: none names a place on this machine."""
    left_out = ("command", "version", "output_dir")
    return {key: value for key, value in values.items() if key not in left_out}


def cost(wall: float, usage: resource.struct_rusage) -> dict[str, Any]:
    """Time and memory of a process."""
    return {
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "threads": runtime.get_num_threads(),
        "cpu": _cpu.cpu_summary()["name"],
    }


def results() -> dict[str, list[dict[str, Any]]]:
    """Kept runs by recipe, the newest of each seed."""
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        newest[entry["recipe"], entry["seed"]] = entry
    grouped: dict[str, list[dict[str, Any]]] = {}
    for (name, _), entry in sorted(newest.items()):
        grouped.setdefault(name, []).append(entry)
    return grouped


def bar(recipe: dict[str, Any]) -> float | None:
    """PyTorch's figure less one binomial standard error, where one is counted."""
    if "torch" not in recipe:
        return None
    share = recipe["torch"] / 100
    return recipe["torch"] - (
        100 * np.sqrt(share * (1 - share) / recipe["of"]) if "of" in recipe else 0.0
    )


def spread(values: list[float]) -> str:
    """Mean and, of several, the sample standard deviation."""
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.2f}"


def row(recipe: dict[str, Any], runs: list[dict[str, Any]]) -> list[str]:
    """A line of the table of figures."""
    key, scale = recipe["metric"], recipe["scale"]
    after = [scale * entry[f"eval_{key}"] for entry in runs]
    before = [scale * entry[f"before_eval_{key}"] for entry in runs]
    limit = bar(recipe)
    held = "" if limit is None else ("yes" if np.mean(after) >= limit else "**no**")
    return [
        recipe["title"], key, spread(before), spread(after), str(len(runs)),
        "" if limit is None else f"{recipe['torch']:.2f}", held,
        f"{np.mean([entry['cpu_seconds'] for entry in runs]):.0f}",
        f"{np.mean([entry['wall_seconds'] for entry in runs]):.0f}",
        f"{max(entry['peak_mib'] for entry in runs)}",
    ]  # fmt: skip


def count(threads: int) -> str:
    """As people write it."""
    return f"{threads} thread{'s' * (threads > 1)} a run"


def table(lines: list[list[str]], head: list[str]) -> list[str]:
    """Markdown."""
    rule = ["---"] * len(head)
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *lines)]


def section(name: str, recipe: dict[str, Any], runs: list[dict[str, Any]]) -> Iterator[str]:
    """What a reader needs to repeat a recipe."""
    model = "$MINILM" if recipe["model"] == "minilm" else f"benchmarks/recipes/{recipe['model']}"
    kind = "conll" if recipe["task"] == "token-classification" else "jsonl"
    kind = "json" if recipe["task"] == "question-answering" else kind
    folder = f"$PLAINFORMER_DATA/{recipe['data']}"
    seeds = ", ".join(str(entry["seed"]) for entry in runs)
    yield f"## {recipe['title']}"
    yield ""
    yield "```sh"
    yield f"plainformer finetune {recipe['task']} --run benchmarks/recipes/{name}.yaml \\"
    yield f"    --model {model} --train {folder}/train.{kind} \\"
    yield f"    --validation {folder}/validation.{kind} --seed 0 --output-dir runs/{name}"
    yield "```"
    yield ""
    if "about" in recipe:
        yield recipe["about"]
        yield ""
    first = runs[0]
    yield (
        f"Seeds {seeds}; {first['steps']:,} steps of {first['epochs']:g} epochs; "
        f"{first['parameters']:,} parameters."
    )
    yield ""
    shown = [key for key in FIGURES if f"eval_{key}" in first]
    cells = [[key, *(f"{entry[f'eval_{key}']:.4f}" for entry in runs)] for key in shown]
    yield from table(cells, ["metric", *(f"seed {entry['seed']}" for entry in runs)])
    yield ""


HEAD = """# Recipes and what they give

Written by `python benchmarks/run_recipes.py write` from `benchmarks/results/recipes.jsonl`; `run`
makes that file. Figures are of the validation part, after the last epoch, no epoch chosen by it;
several seeds give mean ± sample standard deviation. `torch` is what the same recipe reached with
PyTorch 2.13 and transformers 5.23, one run; the bar is that figure less one binomial standard error
of the validation set (nothing less where there is none). Seconds are those of the whole command,
tests before and after included: processor time of all threads, and the clock beside other work on
the machine. `$MINILM` is a directory of all-MiniLM-L6-v2; `$PLAINFORMER_DATA` holds a folder a data
set, in the formats that `plainformer finetune` reads.
"""


@click.group()
def main() -> None:
    """Recipes: run them, and write the page about them."""


@main.command("run")
@click.argument("names", nargs=-1)
@click.option("--data", envvar="PLAINFORMER_DATA", required=True, type=click.Path(path_type=Path))
@click.option("--minilm", envvar="PLAINFORMER_MINILM", help="A directory of all-MiniLM-L6-v2.")
@click.option(
    "--seeds", default="0,1,2", show_default=True, help="Those of one seed take the first."
)
def run_command(names: tuple[str, ...], data: Path, minilm: str | None, seeds: str) -> None:
    """Run recipes, all by default, and append what they give to the results."""
    known = index()
    for name in names or known:
        if name not in known:
            raise click.UsageError(f"{name}: no such recipe; there are {', '.join(known)}")
    for i, seed in enumerate(map(int, seeds.split(","))):
        for name in names or known:
            if i < known[name].get("seeds", 3):
                entry = run(name, known[name], data, minilm, seed)
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
                click.echo(f"{name} seed {seed}: {entry['eval_' + known[name]['metric']]:.4f}")


@main.command()
def write() -> None:
    """Write docs/recipes.md."""
    found, known = results(), index()
    names = [name for name in known if name in found]
    head = ["task", "metric", "before", "after", "seeds", "torch", "bar held", "CPU s", "wall s",
            "peak MiB"]  # fmt: skip
    lines = [HEAD, *table([row(known[name], found[name]) for name in names], head), ""]
    machines = sorted(
        {f"{e['cpu']}, {count(e['threads'])}" for runs in found.values() for e in runs}
    )
    lines += [f"Measured on: {'; '.join(machines)}.", ""]
    for name in names:
        lines += section(name, known[name], found[name])
    lines += few_labels.section()
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

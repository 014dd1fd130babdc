"""What int8 weights cost in accuracy, and what they save in bytes and time.

    python benchmarks/quantization.py --data DIR --minilm DIR [--parts accuracy,perplexity,speed]
        [--recipe sst2] [--epochs N] [--steps N] [--rounds N] [--output F.json]

accuracy    MiniLM fine-tuned on SST-2 and CoNLL-2003 by the recipes, tested with float32 weights
            and with each form of int8
perplexity  a small GPT trained on Tiny Shakespeare, the same
speed       MiniLM on 32 texts of 64 tokens: float32, bfloat16 and int8 in turn, at each level

DIR holds a folder a data set, as for run_recipes.py. Decoding is timed by decode_gpt.py.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from run_recipes import PROGRAM, RECIPES, data_files, index

import plainformer as pf
from plainformer import _cpu, runtime
from plainformer.bench.session import write_json

FORMS = {  # how the weights of a directory are held: options of `plainformer quantize`
    "float32": None,
    "int8 weight-only": ("weight-only", None),
    "int8 weight-only, groups of 128": ("weight-only", 128),
    "int8 dynamic": ("dynamic", None),
}
FIGURES = {"sst2": "eval_accuracy", "conll2003": "eval_f1"}
GPT = {  # nanoGPT's configuration for a CPU
    "model_type": "gpt2", "n_layer": 4, "n_head": 4, "n_embd": 128, "n_positions": 64,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
BATCH, LENGTH = 32, 64


def command(*words: Any) -> dict[str, Any]:
    """What a command of plainformer printed as JSON."""
    called = [sys.executable, "-c", PROGRAM, *map(str, words), "--json"]
    done = subprocess.run(called, stdout=subprocess.PIPE, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode:
        raise click.ClickException(f"{words[0]}: {last or 'failed'}")
    return json.loads(last)


def each_form(directory: Path, measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` finds of the directory in each form, and the bytes of its weights."""
    found = {}
    for form, options in FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            place = directory
            if options is not None:
                mode, group = options
                place = Path(folder, "quantized")
                size = [] if group is None else ["--group-size", group]
                command("quantize", directory, place, "--mode", mode, *size)
            weights = (place / "model.safetensors").stat().st_size
            found[form] = {**measure(place), "weights_mib": round(weights / 2**20, 1)}
    return found


def accuracy(name: str, data: Path, minilm: str, epochs: float | None) -> dict[str, Any]:
    """One recipe's figure with each form of weights."""
    recipe = index()[name]
    train, validation = data_files(data, recipe["data"])
    shorter = [] if epochs is None else ["--num-train-epochs", epochs]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command(
            "finetune", recipe["task"], "--run", RECIPES / f"{name}.yaml", "--model", minilm,
            "--train", train, *shorter, "--seed", 0, "--output-dir", out,
        )  # fmt: skip

        def measure(place: Path) -> dict[str, Any]:
            figures = command("evaluate", place, "--data", validation)
            return {"figure": figures[FIGURES[name]]}

        found = each_form(out, measure)
    exact = found["float32"]["figure"]
    for values in found.values():
        values["points"] = round(100 * (values["figure"] - exact), 3)
    return found


def perplexity(data: Path, steps: int) -> dict[str, Any]:
    """The perplexity of a small GPT with each form of weights."""
    folder_of_data = next(p for p in sorted(data.iterdir()) if p.name.endswith("tinyshakespeare"))
    train, validation = (next(iter(folder_of_data.glob(f"{p}*"))) for p in ("train", "valid"))
    with tempfile.TemporaryDirectory() as folder:
        out, config = Path(folder, "out"), Path(folder, "config.json")
        config.write_text(json.dumps(GPT))
        command(
            "pretrain", "--data", train, "--config", config, "--tokenizer", "char",
            "--block-size", 64, "--max-steps", steps, "--per-device-train-batch-size", 12,
            "--learning-rate", 1e-3, "--output-dir", out,
        )  # fmt: skip
        ids = np.array(pf.load_tokenizer(out).encode(validation.read_text(encoding="utf-8")))
        ids = ids[: len(ids) // 64 * 64].reshape(-1, 64)

        def measure(place: Path) -> dict[str, Any]:
            model = pf.load(place)
            with pf.no_grad():
                losses = [
                    float(model(part, labels=part).loss.data)
                    for part in np.array_split(ids, max(1, len(ids) // 64))
                ]
            return {"perplexity": float(np.exp(np.mean(losses)))}

        found = each_form(out, measure)
    exact = found["float32"]["perplexity"]
    for values in found.values():
        values["percent"] = round(100 * (values["perplexity"] / exact - 1), 3)
    return found


def speed(minilm: str, rounds: int) -> dict[str, Any]:
    """Seconds of a batch through MiniLM, in turn, at each level; ratios to float32."""
    models = {
        "float32": pf.load(minilm, "feature-extraction"),
        "bfloat16": pf.load(minilm, "feature-extraction", "bfloat16"),
        "int8 dynamic": pf.load(minilm, "feature-extraction", quantize="dynamic"),
        "int8 weight-only": pf.load(minilm, "feature-extraction", quantize="weight-only"),
    }
    ids = np.random.default_rng(0).integers(1000, 20000, (BATCH, LENGTH))
    found: dict[str, Any] = {}
    for level in runtime.available_levels()[1:]:
        with runtime.use_level(level):
            times: dict[str, list[float]] = {name: [] for name in models}
            for number in range(rounds + 1):
                for name, model in models.items():
                    seconds = timed(model, ids)
                    if number:  # the first packs weights
                        times[name].append(seconds)
        exact = np.array(times["float32"])
        found[level] = {
            name: {
                "ms": round(1e3 * statistics.median(seconds), 2),
                "speed": round(float(np.median(exact / np.array(seconds))), 3),
            }
            for name, seconds in times.items()
        }
    return found


def timed(model: Any, ids: np.ndarray) -> float:
    """Seconds of one forward pass."""
    start = time.perf_counter()
    with pf.no_grad():
        model(ids)
    return time.perf_counter() - start


def show(title: str, found: dict[str, Any]) -> None:
    """A line a form."""
    click.echo(title)
    for form, values in found.items():
        said = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        click.echo(f"    {form:32} {said}")


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path))
@click.option("--minilm", type=click.Path(exists=True))
@click.option("--parts", default="accuracy,perplexity,speed", show_default=True)
@click.option(
    "--recipe", "recipes", type=click.Choice(list(FIGURES)), multiple=True, help="Default: all."
)
@click.option("--epochs", type=float, help="Fewer than the recipes have.")
@click.option("--steps", default=2000, show_default=True, help="Of the small GPT.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--output", type=click.Path(dir_okay=False), help="Add to JSON here.")
def main(
    data: Path | None, minilm: str | None, parts: str, recipes: tuple[str, ...],
    epochs: float | None, steps: int, rounds: int, output: str | None,
) -> None:  # fmt: skip
    """Measure what int8 weights cost and save."""
    wanted = parts.split(",")
    if data is None and set(wanted) & {"accuracy", "perplexity"}:
        raise click.UsageError("--data: needed for accuracy and perplexity")
    if minilm is None and set(wanted) & {"accuracy", "speed"}:
        raise click.UsageError("--minilm: needed for accuracy and speed")
    results = (
        {} if not output or not Path(output).exists() else json.loads(Path(output).read_text())
    )
    results["cpu"], results["threads"] = _cpu.cpu_summary()["name"], runtime.get_num_threads()
    for name in (recipes or FIGURES) if "accuracy" in wanted else ():
        results[name] = accuracy(name, data, minilm, epochs)  # type: ignore[arg-type]
        show(name, results[name])
    if "perplexity" in wanted:
        results["tinyshakespeare"] = perplexity(data, steps)  # type: ignore[arg-type]
        show("tinyshakespeare", results["tinyshakespeare"])
    if "speed" in wanted:
        results["minilm_b32_t64"] = speed(minilm, rounds)  # type: ignore[arg-type]
        for level, found in results["minilm_b32_t64"].items():
            show(f"MiniLM B{BATCH} T{LENGTH}, {level}", found)
    if output:
        write_json(results, output)


if __name__ == "__main__":
    main()

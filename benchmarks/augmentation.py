"""What new examples by masked infilling add to a classifier that has few labels.

    python benchmarks/augmentation.py --data F.jsonl --validation F.jsonl --model DIR
        [--shots N] [--seeds N] [--first-seed N] [--masked-lm DIR] [--output F.json]

Of each label `--shots` examples are drawn, anew for each seed. A masked language model goes on from
`--model` on all texts of --data without their labels (or is given), learns the labels of the few,
and writes new texts. The same classifier is fine-tuned for the same number of steps on the few,
on the few with the new, and on the few with those of the new that the first classifier gives their
label; all are tested on --validation.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

import plainformer as pf
from plainformer import runtime
from plainformer.augmentation import Augmenter
from plainformer.bench import machine
from plainformer.bench.session import write_json
from plainformer.data import TextExample, read_examples

TASK, LIMIT = "text-classification", 64
ARMS = ("few", "augmented", "filtered")
PRETRAINING = {
    "objective": "mlm", "block-size": LIMIT, "per-device-train-batch-size": 32,
    "learning-rate": 5e-4, "warmup-steps": 0.1, "logging-steps": 50, "seed": 0,
}  # fmt: skip
FINETUNING = {
    "per_device_train_batch_size": 16, "learning_rate": 2e-4, "warmup_steps": 0.1,
    "weight_decay": 0.01, "max_length": LIMIT, "save_strategy": "no", "disable_tqdm": True,
}  # fmt: skip


def few(examples: Any, shots: int, seed: int) -> list[TextExample]:
    """`shots` examples of each label."""
    order = np.random.default_rng(seed).permutation(len(examples))
    found: dict[str, list[TextExample]] = {}
    for i in order:
        own = found.setdefault(examples[int(i)].label, [])
        if len(own) < shots:
            own.append(examples[int(i)])
    return [example for label in sorted(found) for example in found[label]]


def pretrained(model: str, examples: Any, epochs: float, folder: Path) -> Path:
    """A masked language model of these texts, trained as a user would."""
    texts, out = folder / "texts.jsonl", folder / "masked-lm"
    rows = (json.dumps({"text": example.text}) for example in examples)
    texts.write_text("\n".join(rows) + "\n", encoding="utf-8")
    flags = {**PRETRAINING, "model": model, "data": texts, "output-dir": out}
    flags |= {"num-train-epochs": epochs}
    words = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
    command = "from plainformer.cli import main; main()"
    subprocess.run([sys.executable, "-c", command, "pretrain", "--packing", *words], check=True)
    return out


def accuracy(
    model: str, train: list[TextExample], test: Any, steps: int, seed: int, out: Path
) -> float:
    """Of a classifier trained on some examples and left in `out`."""
    pf.finetune(TASK, model, train, output_dir=out, max_steps=steps, seed=seed, **FINETUNING)
    return float(pf.tasks.open_task(out).evaluate(test)["accuracy"])


def measure(
    writer: str, model: str, labelled: list[TextExample], test: Any, steps: int, seed: int,
    options: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Accuracy from the few, with all new texts, and with those that the few's classifier keeps."""
    with tempfile.TemporaryDirectory() as name:
        few_dir = Path(name, "few")
        result: dict[str, Any] = {
            "seed": seed, "few": accuracy(model, labelled, test, steps, seed, few_dir)
        }  # fmt: skip
        for arm, more in (("augmented", {}), ("filtered", {"classifier": few_dir})):
            augmenter = Augmenter(writer, seed=seed, **options, **more)
            new = list(augmenter.stream(labelled))
            with tempfile.TemporaryDirectory(dir=name) as out:
                result[arm] = accuracy(model, [*labelled, *new], test, steps, seed, Path(out))
            result[f"{arm}_counts"] = augmenter.counts.to_dict()
    return result


def deviation(values: np.ndarray) -> float:
    """Sample standard deviation; 0 for one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


@click.command()
@click.option("--data", required=True, help="JSONL of text, label.")
@click.option("--validation", required=True, help="JSONL of text, label, to test on.")
@click.option("--model", required=True, help="The encoder that is fine-tuned.")
@click.option("--masked-lm", help="A masked language model  [default: trained here from --model]")
@click.option("--mlm-epochs", type=float, default=4, show_default=True)
@click.option("--shots", type=click.IntRange(1), default=10, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=60, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--copies", type=click.IntRange(1), default=8, show_default=True)
@click.option("--mask-fraction", type=float, default=0.3, show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("--top-k", type=int, default=50, show_default=True)
@click.option("--label-epochs", type=int, default=10, show_default=True)
@click.option("--learning-rate", type=float, default=1e-4, show_default=True, help="Of these.")
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(
    data: str,
    validation: str,
    model: str,
    masked_lm: str | None,
    mlm_epochs: float,
    shots: int,
    steps: int,
    seeds: int,
    first_seed: int,
    output: str | None,
    **options: Any,
) -> None:
    """Measure the gain of masked infilling where labels are few."""
    logging.getLogger("plainformer").setLevel(logging.WARNING)
    start = time.perf_counter()
    pool, test = read_examples(data, TASK), read_examples(validation, TASK)
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        writer = masked_lm or str(pretrained(model, pool, mlm_epochs, Path(folder)))
        for seed in range(first_seed, first_seed + seeds):
            labelled = few(pool, shots, seed)
            rounds.append(measure(writer, model, labelled, test, steps, seed, options))
            shown = ", ".join(f"{arm} {rounds[-1][arm]:.4f}" for arm in ARMS)
            click.echo(f"seed {seed}: {len(labelled)} labels: {shown}")
    result: dict[str, Any] = {
        "machine": machine.describe(), "threads": runtime.get_num_threads(),
        "shots": shots, "steps": steps, **options, "rounds": rounds,
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip
    for arm in ARMS:
        values = np.array([r[arm] for r in rounds])
        gains = values - [r["few"] for r in rounds]
        result[arm] = {
            "mean": float(values.mean()), "deviation": deviation(values),
            "gain": float(gains.mean()), "gain_deviation": deviation(gains),
        }  # fmt: skip
        click.echo(
            f"{arm:<10} {values.mean():.4f} +- {deviation(values):.4f}, "
            f"gain {gains.mean():+.4f} +- {deviation(gains):.4f} ({seeds} seeds)"
        )
    if output:
        write_json(result, output)


if __name__ == "__main__":
    main()

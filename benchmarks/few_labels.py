"""What few labels give: SST-2 with 8 and 16 texts a label, several draws, three ways to learn.

    python benchmarks/few_labels.py --data DIR --minilm DIR [--sizes 8,16] [--draws 5]

Each draw takes the texts of each label from the training part; all are tested on the whole
validation part. A line a draw is appended to `results/few_labels.jsonl`, from which
`run_recipes.py write` makes its section of docs/recipes.md.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

import plainformer as pf

TASK = "text-classification"
RESULTS = Path(__file__).parent / "results" / "few_labels.jsonl"
WAYS = {"plain": "fine-tuning", "frozen": "logistic regression on frozen vectors",
        "few_shot": "`--few-shot`"}  # fmt: skip
# As usual for so few: ten epochs.
PLAIN = {"num_train_epochs": 10, "learning_rate": 2e-4, "per_device_train_batch_size": 8}
HEAD = """## Sentiment with few labels, SST-2

```sh
plainformer finetune text-classification --few-shot --model $MINILM --train few.jsonl \\
    --test $PLAINFORMER_DATA/sst2/validation.jsonl --output-dir runs/few
```

`few.jsonl` has 8 or 16 texts a label, drawn from the training part (`benchmarks/few_labels.py`).
Accuracy on the whole validation part, mean ± sample standard deviation of the draws. Fine-tuning is
the usual one, 10 epochs in batches of 8 at 2e-4; the logistic regression is what `--few-shot` tells
as the figure before training.
"""


def drawn(rows: list[dict[str, Any]], size: int, seed: int) -> list[dict[str, Any]]:
    """So many rows of each label."""
    draw, labels = random.Random(seed), sorted({row["label"] for row in rows})
    return [
        row
        for label in labels
        for row in draw.sample([r for r in rows if r["label"] == label], size)
    ]


def measure(
    minilm: str, train: list[dict[str, Any]], test: list[dict[str, Any]], seed: int
) -> dict[str, float]:
    """The accuracy that each way reaches."""
    common: dict[str, Any] = {"seed": seed, "save_strategy": "no", "disable_tqdm": True}
    with tempfile.TemporaryDirectory() as folder:
        few = pf.finetune(TASK, minilm, train, test=test, output_dir=f"{folder}/few",
                          few_shot=True, **common)  # fmt: skip
        plain = pf.finetune(TASK, minilm, train, output_dir=f"{folder}/plain", **PLAIN, **common)
        examples = pf.data.examples_of(test, TASK)
        return {
            "plain": plain.task.evaluate(examples)["accuracy"],
            "frozen": few.metrics["before_test_accuracy"],
            "few_shot": few.metrics["test_accuracy"],
        }


def section() -> Iterator[str]:
    """The lines of docs/recipes.md about them; none without results."""
    if not RESULTS.exists():
        return
    found = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    yield from HEAD.splitlines()
    yield ""
    yield "| texts a label | draws | " + " | ".join(WAYS.values()) + " |"
    yield "| --- " * (2 + len(WAYS)) + "|"
    for size in sorted({row["size"] for row in found}):
        rows = [row for row in found if row["size"] == size]
        cells = [_cell([100 * row[way] for row in rows]) for way in WAYS]
        yield f"| {size} | {len(rows)} | " + " | ".join(cells) + " |"
    yield ""


def _cell(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Has sst2 in it.")
@click.option("--minilm", required=True, help="A directory of all-MiniLM-L6-v2.")
@click.option("--sizes", default="8,16", show_default=True, help="Texts a label.")
@click.option("--draws", default=5, show_default=True)
def main(data: Path, minilm: str, sizes: str, draws: int) -> None:
    """Measure what few labels give, and append it to the results."""
    train, test = (
        [json.loads(line) for line in (data / "sst2" / f"{part}.jsonl").open(encoding="utf-8")]
        for part in ("train", "validation")
    )
    for size in map(int, sizes.split(",")):
        for seed in range(draws):
            figures = measure(minilm, drawn(train, size, seed), test, seed)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"size": size, "draw": seed, **figures}) + "\n")
            click.echo(f"{size} texts a label, draw {seed}: {figures}")


if __name__ == "__main__":
    main()

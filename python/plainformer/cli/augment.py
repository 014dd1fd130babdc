"""`plainformer augment MODEL`: labelled texts to new labelled texts, a line of JSON each."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from ..augmentation import Augmenter
from ..data import ExampleReader
from ._common import Command, FilesOption, ModelDirectory, usage_errors, wants_json
from ._output import OUTPUT, output_of, refuse_overwriting

TASK = "text-classification"
EPILOG = (
    "MODEL holds a masked language model; plainformer pretrain --objective mlm makes one of "
    "unlabelled text, from a config.json or from an encoder (--model DIR)."
)


@click.command(cls=Command, epilog=EPILOG)
@click.argument("model", type=ModelDirectory())
@click.option("--data", cls=FilesOption, required=True, help="Labelled files or globs.")
@click.option(
    "--output",
    "output_file",
    type=OUTPUT,
    help="Where new examples go, JSONL.  [default: standard output]",
)
@click.option("--copies", type=int, default=4, show_default=True, help="New texts an example.")
@click.option(
    "--mask-fraction",
    type=float,
    default=0.15,
    show_default=True,
    help="Share of the words of a text that are replaced, at least one.",
)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Of drawing words.")
@click.option(
    "--top-k", type=int, default=50, show_default=True, help="Draw among so many words; 0: all."
)
@click.option(
    "--label-epochs",
    type=int,
    default=10,
    show_default=True,
    help="Passes over the data in which the model first learns labels; 0: it sees none.",
)
@click.option("--learning-rate", type=float, help="Of these passes.  [default: 5e-05]")
@click.option(
    "--classifier",
    type=ModelDirectory(),
    help="A fine-tuned directory; keep new texts to which it gives the same label.",
)
@click.option("--min-score", type=float, help="And at least this probability.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Texts at once.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--skip-bad-lines", is_flag=True, help="Count bad lines and leave them out.")
def augment(
    model: Path,
    data: tuple[str, ...],
    output_file: str | None,
    top_k: int,
    skip_bad_lines: bool,
    **options: Any,
) -> dict[str, Any]:
    """Write new examples of text classification by masked infilling.

    Words of each text are hidden and a masked language model writes others in their places; the
    label stays. Learn from both: finetune text-classification --train OLD NEW
    """
    start = time.perf_counter()
    with usage_errors():
        augmenter = Augmenter(model, top_k=top_k or None, **options)
    reader = ExampleReader(data, TASK, skip_bad_lines=skip_bad_lines)
    refuse_overwriting(output_file, reader.files, "--data")
    new = augmenter.stream(reader)
    with output_of(output_file) as file:
        for example in new:
            row = {"text": example.text, "label": example.label}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
    counts = augmenter.counts.to_dict()
    report(counts, output_file)
    return {
        "output": output_file,
        **counts,
        "seed": options["seed"],
        "seconds": round(time.perf_counter() - start, 3),
    }


def report(counts: dict[str, int], output: str | None) -> None:
    """Say what became of all texts, on standard error if new texts went to standard output."""
    click.echo(
        f"{counts['examples']} examples, {counts['wordless']} without a word to replace; "
        f"{counts['written']} new texts written to {output or 'standard output'}; left out: "
        f"{counts['doubles']} doubles, {counts['rejected']} rejected by the classifier",
        err=output is None or wants_json(),
    )

"""`plainformer quickstart`: tells what `plainformer.quickstart` does, while it does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import DataError
from ..pipelines import pipeline
from ..quickstart.chart import draw_png, read_curves, text_chart
from ..quickstart.clock import Clock
from ..quickstart.corpus import python_documents, split_documents
from ..quickstart.directory import mark, own_directory
from ..quickstart.docstrings import (
    LABELS,
    MODULES,
    DocstringTask,
    docstring_task,
    from_scratch,
    pretrained,
)
from ..quickstart.language_model import PROMPT, language_model, sample
from ..quickstart.size import SIZES, VOCABULARY, Choice, Size, choose
from ..runtime import is_installed
from ..training import TrainingArguments, TrainingInterrupted
from ._common import Command, Seconds, echo, usage_errors
from ._option_flags import option_flags

PRETRAINING_SHARE = 0.75  # of --max-seconds; the rest is for fine-tuning


@click.command(cls=Command)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default="quickstart",
    show_default=True,
    help="Where model, checkpoints, log and loss curve go.",
)
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    help="How much to train.  [default: as much as this machine does in a minute and a half]",
)
@click.option("--max-seconds", type=Seconds(), help="Stop earlier.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Of weights and data order.",
)
@option_flags(TrainingArguments, only=("device",))
def quickstart(
    output_dir: Path, size: str | None, max_seconds: float | None, seed: int, device: str | None
) -> dict[str, Any]:
    """Train a small GPT on Python's own documentation, let it write, and fine-tune it.

    It measures the machine and trains as much as that does in a minute and a half; where even the
    least takes longer, it says how long before it begins.
    """
    with usage_errors():
        TrainingArguments(device=device).check_device()
    with own_directory(output_dir):
        clock = Clock(max_seconds)
        choice = choose(size, max_seconds)
        say_size(choice)
        mark(output_dir, choice.size, seed)
        try:
            return run(output_dir, choice.size, clock, seed, device)
        except TrainingInterrupted as stop:
            raise KeyboardInterrupt(
                f"stopped by Ctrl-C after step {stop.step}; quickstart begins anew each time"
            ) from None


def say_size(choice: Choice) -> None:
    """Which size it is, how long that takes, and how to have the same again."""
    size, seconds = choice.size, choice.seconds
    echo(f"Size {size.name}: a model of width {size.width}, {size.steps} steps")
    if seconds is not None:
        minutes = f"{seconds / 60:.0f} minutes" if seconds > 150 else f"{seconds:.0f} seconds"
        echo(f"   about {minutes} on this machine as it is now; --size {size.name} repeats it")


def run(
    output_dir: Path, size: Size, clock: Clock, seed: int, device: str | None
) -> dict[str, Any]:
    """The five steps; what the command prints with `--json`."""
    task, reason = task_or_reason()
    model, tokenizer, result = pretrain(output_dir, task, size, seed, clock, device)
    result["size"] = size.name

    echo(f"\n4. What it writes after {PROMPT!r}:\n")
    result["sample"] = sample(model, tokenizer, seed, lambda text: echo(text, nl=False))
    echo()

    echo(f"\n5. Fine-tuning: which of {len(MODULES)} modules does a docstring come from?")
    if task is None:
        echo(f"   left out: {reason}")
    elif clock.is_over():
        echo("   left out: the time limit has passed")
    else:
        result |= learn_modules(task, output_dir, seed, clock, device)
    echo(NEXT.format(output_dir=output_dir))
    if "eval_accuracy" in result:
        echo(NEXT_TASK.format(output_dir=output_dir))
    return result


def task_or_reason() -> tuple[DocstringTask | None, str]:
    """The labelled docstrings, or why this Python has none."""
    try:
        return docstring_task(), ""
    except DataError as error:
        return None, str(error)


def pretrain(
    output_dir: Path,
    task: DocstringTask | None,
    size: Size,
    seed: int,
    clock: Clock,
    device: str | None,
) -> tuple[Any, Any, dict[str, Any]]:
    """The language model, its tokenizer, and what the command prints with `--json`."""
    echo("1. Text: the documentation that this Python carries")
    held_back = set() if task is None else task.held_back()
    training, validation = split_documents(python_documents(without=held_back))
    characters = sum(len(document.text) for document in training)
    echo(f"   {len(training)} documents, {characters:,} characters; {len(validation)} held back")

    echo(f"2. Tokenizer: byte-level BPE of at most {VOCABULARY:,} tokens")
    run = language_model(training, validation, size, output_dir, seed, device)

    parameters = run.model.num_parameters()
    echo(f"3. Training: GPT-2 with {parameters:,} parameters, {size.steps} steps")
    result = run.run(clock.limits(PRETRAINING_SHARE))
    echo(f"\n{result}")
    show_curve(output_dir)
    return run.model, run.tokenizer, result.metrics


def show_curve(output_dir: Path) -> None:
    """The loss over the steps: a PNG with matplotlib, in the terminal without."""
    curves = read_curves(output_dir / "log.jsonl")
    if is_installed("matplotlib"):
        path = output_dir / "loss.png"
        draw_png(*curves, path)
        echo(f"loss curve in {path}")
    else:
        echo(text_chart(*curves))


def learn_modules(
    task: DocstringTask, directory: Path, seed: int, clock: Clock, device: str | None
) -> dict[str, float]:
    """Fine-tune the model, and the same without pre-training; compare and show.

    Returns what the command adds to its `--json`.
    """
    echo(f"   {LABELS} labelled docstrings a module, {len(task.validation)} others to test on.")
    echo("   The others were kept out of the text above. None of them names a module.\n")
    tuned = pretrained(task, directory, seed, clock, device)
    echo("\n   Once more, from new weights instead of the pre-trained ones:")
    scratch = from_scratch(task, directory, seed, clock, device)
    result = {
        "before_eval_accuracy": tuned["before_eval_accuracy"],
        "eval_accuracy": tuned["eval_accuracy"],
        "scratch_eval_accuracy": scratch["eval_accuracy"],
    }
    show_accuracies(result, task)
    show_answers(directory / "classifier", task)
    return result


def show_accuracies(result: dict[str, float], task: DocstringTask) -> None:
    """The three figures, a line each, with what guessing gives."""
    rows = {
        "before fine-tuning": "before_eval_accuracy",
        "after": "eval_accuracy",
        "after, without pre-training": "scratch_eval_accuracy",
    }
    echo(f"\n   accuracy on {len(task.validation)} docstrings (guessing: {1 / len(MODULES):.1%})")
    for words, name in rows.items():
        echo(f"   {words:<28}{result[name]:6.1%}")


def show_answers(model: Path, task: DocstringTask) -> None:
    """What the fine-tuned model says of one docstring of each of the first and last module."""
    classify = pipeline("text-classification", model)
    for example in (task.validation[0], task.validation[-1]):
        (best,) = classify(example.text)
        echo(f"\n   {example.text!r}")
        echo(f"   {best['label']} ({best['score']:.0%}); it is from {example.label}")


NEXT = """
Next:
  plainformer generate {output_dir} "The string" --temperature 0.8
  plainformer pretrain --help            # the same on your own text, every knob a flag
  plainformer bench --quick              # how fast the kernels are on this machine
  plainformer info                       # processor, threads and memory as plainformer sees them"""
NEXT_TASK = """\
  plainformer predict {output_dir}/classifier "True if the address is for private networks."
  plainformer finetune text-classification --help   # the same for your own labels"""

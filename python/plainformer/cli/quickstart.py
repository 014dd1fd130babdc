"""`plainformer quickstart`: the main job, whole and small, on text that every Python carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..checkpoints.atomic import write_json_atomic
from ..checkpoints.locks import lock_directory
from ..data.corpus import python_documents, split_documents
from ..data.tokenizer import encode_text
from ..errors import ConfigError, DataError
from ..generation import TextStreamer
from ..pretraining import Pretraining
from ..training import TrainingInterrupted
from ._chart import draw_png, has_matplotlib, read_curves, text_chart
from ._common import Command, Seconds, echo
from ._quickstart_size import BATCH_SIZE, SIZES, VOCABULARY, Choice, Size, choose
from ._quickstart_task import MODULES, Clock, DocstringTask, docstring_task, learn_modules

# One page of settings. The step count of a size is fixed, so two runs of one seed and size are the
# same run. Small batches and a vocabulary near whole words teach most in the time:
# docs/notes/quickstart.md.
TRAINING: dict[str, Any] = {
    "per_device_train_batch_size": BATCH_SIZE,
    "per_device_eval_batch_size": 16,
    "learning_rate": 3e-3,
    "lr_scheduler_type": "cosine_with_min_lr",
    "min_lr": 1e-4,
    "warmup_steps": 100,
    "adam_beta2": 0.99,
    "weight_decay": 0.1,
    "logging_steps": 100,
    "eval_strategy": "steps",
    "eval_steps": 0.25,
    "save_steps": 0.5,
}
MARK = "quickstart.json"  # what the directory is, and with which size and seed
PROMPT = "Return a new"
SAMPLE_TOKENS = 120
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
def quickstart(
    output_dir: Path, size: str | None, max_seconds: float | None, seed: int
) -> dict[str, Any]:
    """Train a small GPT on Python's own documentation, let it write, and fine-tune it.

    It measures the machine and trains as much as that does in a minute and a half; where even the
    least takes longer, it says how long before it begins.
    """
    with lock_directory(output_dir):
        check_own(output_dir)
        clock = Clock(max_seconds)
        choice = choose(size, max_seconds)
        say_size(choice)
        write_json_atomic(output_dir / MARK, {"size": choice.size.name, "seed": seed})
        try:
            return run(output_dir, choice.size, clock, seed)
        except TrainingInterrupted as stop:
            raise KeyboardInterrupt(
                f"stopped by Ctrl-C after step {stop.step}; quickstart begins anew each time"
            ) from None


def check_own(output_dir: Path) -> None:
    """Raise ConfigError where a model stands that was not made here: this begins anew each time."""
    found = [name for name in ("model.safetensors", "latest") if (output_dir / name).exists()]
    if found and not (output_dir / MARK).exists():
        raise ConfigError(
            f"output_dir: {output_dir} holds a model or checkpoints of another run ({found[0]}), "
            "which quickstart would replace; choose another output_dir"
        )


def say_size(choice: Choice) -> None:
    """Which size it is, how long that takes, and how to have the same again."""
    size, seconds = choice.size, choice.seconds
    echo(f"Size {size.name}: a model of width {size.width}, {size.steps} steps")
    if seconds is not None:
        minutes = f"{seconds / 60:.0f} minutes" if seconds > 150 else f"{seconds:.0f} seconds"
        echo(f"   about {minutes} on this machine as it is now; --size {size.name} repeats it")


def run(output_dir: Path, size: Size, clock: Clock, seed: int) -> dict[str, Any]:
    """The five steps; what the command prints with `--json`."""
    task, reason = task_or_reason()
    model, tokenizer, result = pretrain(output_dir, task, size, seed, clock)
    result["size"] = size.name

    echo(f"\n4. What it writes after {PROMPT!r}:\n")
    result["sample"] = sample(model, tokenizer, seed)

    echo(f"\n5. Fine-tuning: which of {len(MODULES)} modules does a docstring come from?")
    if task is None:
        echo(f"   left out: {reason}")
    elif clock.is_over():
        echo("   left out: the time limit has passed")
    else:
        result |= learn_modules(task, output_dir, seed, clock)
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
    output_dir: Path, task: DocstringTask | None, size: Size, seed: int, clock: Clock
) -> tuple[Any, Any, dict[str, Any]]:
    """The language model, its tokenizer, and what the command prints with `--json`."""
    echo("1. Text: the documentation that this Python carries")
    held_back = set() if task is None else task.held_back()
    training, validation = split_documents(python_documents(without=held_back))
    characters = sum(len(document.text) for document in training)
    echo(f"   {len(training)} documents, {characters:,} characters; {len(validation)} held back")

    echo(f"2. Tokenizer: byte-level BPE of at most {VOCABULARY:,} tokens")
    run = Pretraining(
        training,
        validation,
        config=size.config,
        tokenizer=f"bpe:{VOCABULARY}",
        output_dir=output_dir,
        overwrite_output_dir=True,
        seed=seed,
        max_steps=size.steps,
        **TRAINING,
    )
    run.build()
    run.read()

    parameters = run.model.num_parameters()
    echo(f"3. Training: GPT-2 with {parameters:,} parameters, {size.steps} steps")
    result = run.run(clock.limits(PRETRAINING_SHARE))
    echo(f"\n{result}")
    show_curve(output_dir)
    return run.model, run.tokenizer, dict(result.metrics)


def show_curve(output_dir: Path) -> None:
    """The loss over the steps: a PNG with matplotlib, in the terminal without."""
    curves = read_curves(output_dir / "log.jsonl")
    if has_matplotlib():
        path = output_dir / "loss.png"
        draw_png(*curves, path)
        echo(f"loss curve in {path}")
    else:
        echo(text_chart(*curves))


def sample(model: Any, tokenizer: Any, seed: int) -> str:
    """Stream a continuation of PROMPT and return it whole."""
    streamer = TextStreamer(tokenizer, lambda text: echo(text, nl=False))
    ids = model.eval().generate(
        encode_text(tokenizer, PROMPT).tolist(),
        SAMPLE_TOKENS,
        do_sample=True,
        temperature=0.7,
        top_k=50,
        seed=seed,
        streamer=streamer,
    )
    echo()
    return tokenizer.decode(ids.tolist())


NEXT = """
Next:
  plainformer generate {output_dir} "The string" --temperature 0.8
  plainformer pretrain --help            # the same on your own text, every knob a flag
  plainformer bench --quick              # how fast the kernels are on this machine
  plainformer info                       # processor, threads and memory as plainformer sees them"""
NEXT_TASK = """\
  plainformer predict {output_dir}/classifier "True if the address is for private networks."
  plainformer finetune text-classification --help   # the same for your own labels"""

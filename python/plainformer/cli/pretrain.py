"""`plainformer pretrain`: train a model on unlabelled text, from scratch or from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..pretraining import PretrainingOptions
from ..pretraining import pretrain as run_pretraining
from ..pretraining.options import MODEL_TASK_OF
from ..training import TrainingArguments
from ._common import Command, FilesOption, echo, required, usage_errors
from ._option_flags import option_flags
from ._run_file import run_file_option, with_run_file
from ._sweep_flag import sweep_option

REQUIRED = ("data", "output_dir")
FROM_NOTHING = ("config", "tokenizer")  # what a model is built from; or there is `model`
EPILOG = "Text is .txt, .md, .jsonl, .csv or .tsv; a .bin file holds tokens already."


@click.command(cls=Command, epilog=EPILOG)
@click.option(
    "--objective",
    type=click.Choice(list(MODEL_TASK_OF)),
    help="clm: the next token (default); mlm: hidden tokens (BERT); span: spans cut out (T5); "
    "denoise: the text behind a damaged one (BART).",
)
@click.option("--data", cls=FilesOption, help="Files, directories or globs to train on.")
@click.option("--validation", cls=FilesOption, help="Files, directories or globs to evaluate on.")
@click.option("--model", help="A Hugging Face directory to go on from, with its tokenizer.")
@click.option("--config", help="The model: a Hugging Face config.json without vocab_size.")
@click.option(
    "--tokenizer", help="A directory, or char[:SIZE], bpe:SIZE, wordpiece:SIZE to train one."
)
@click.option("--block-size", type=int, help="Tokens in a training example.  [default: positions]")
@click.option("--output-dir", help="Where model, checkpoints and logs go.")
@option_flags(PretrainingOptions)
@sweep_option
@run_file_option
@option_flags(TrainingArguments, exclude=("output_dir",))
def pretrain(run_file: Path | None, **flags: Any) -> dict[str, Any]:
    """Train a model on unlabelled text, from scratch or from where a checkpoint stands."""
    with usage_errors():
        values = with_run_file(flags, run_file)
        built = () if values.get("model") else FROM_NOTHING
        required(values, REQUIRED[0], *built, REQUIRED[1])
        result = run_pretraining(**values)
    echo(f"\n{result}")
    return result.metrics

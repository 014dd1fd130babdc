"""`plainformer quantize DIR OUT`: a model's directory with int8 weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from .. import models, nn
from ..checkpoints.huggingface import is_of_model
from ..errors import ConfigError
from ..nn.quantization import MODES
from ._common import Command, ModelDirectory, echo, usage_errors
from .info import size

EPILOG = (
    "Weights of linear layers and of the head become int8 with a scale for each output (or group); "
    "embeddings that are no head, norms, biases and small heads stay as they are."
)


@click.command(cls=Command, epilog=EPILOG)
@click.argument("directory", type=ModelDirectory())
@click.argument("output_dir", type=click.Path(path_type=Path))
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="weight-only: a quarter of the bytes to read; dynamic: inputs of layers become int8 too. "
    " [default: weight-only for models that write, dynamic for those that read]",
)
@click.option(
    "--group-size",
    type=click.IntRange(4),
    help="Neighbors along a row of a weight that share a scale, such as 128.  [default: the row]",
)
def quantize(
    directory: Path, output_dir: Path, mode: str | None, group_size: int | None
) -> dict[str, Any]:
    """Write the model in DIRECTORY to OUTPUT_DIR with int8 weights."""
    if output_dir.resolve() == directory.resolve():
        raise ConfigError("output_dir: got the model's own directory, expected another")
    model = models.load(directory)
    before = stored_bytes(model)
    with usage_errors():
        count = nn.quantize(model, mode, group_size)
    model.save_pretrained(output_dir)
    copy_others(directory, output_dir)
    after, how = stored_bytes(model), model.config.quantization
    echo(f"{count} weights {how.mode}: {size(before)} became {size(after)} in {output_dir}")
    return {
        "output_dir": str(output_dir),
        "mode": how.mode,
        "group_size": how.group_size,
        "weights": count,
        "bytes_before": before,
        "bytes_after": after,
    }


def stored_bytes(model: Any) -> int:
    return sum(array.nbytes for array in model.state_dict().values())


def copy_others(directory: Path, output_dir: Path) -> None:
    """Tokenizer, task and the like, as they are."""
    for path in sorted(directory.iterdir()):
        if path.is_file() and not is_of_model(path.name):
            shutil.copy2(path, output_dir / path.name)

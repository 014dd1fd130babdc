"""`plainformer tokenizer train|encode`: make a tokenizer, or show how one cuts text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ..checkpoints.locks import lock_directory
from ..data.text import Documents
from ..data.tokenizer import (
    encode_text,
    make_tokenizer,
    parse_spec,
    read_tokenizer,
    save_tokenizer,
    vocab_size,
)
from ..errors import ConfigError, shown
from ..pretraining.options import MODEL_TASK_OF
from . import Group
from ._common import Command, FilesOption, echo, usage_errors


@click.group(cls=Group)
def tokenizer() -> None:
    """Train a tokenizer, or show how it cuts text."""


@tokenizer.command(cls=Command)
@click.option("--data", cls=FilesOption, required=True, help="Files, directories or globs.")
@click.option(
    "--tokenizer", "spec_text", required=True, help="char[:SIZE], bpe:SIZE or wordpiece:SIZE."
)
@click.option(
    "--output-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where tokenizer.json and tokenizer_config.json go.",
)
@click.option(
    "--objective",
    type=click.Choice(list(MODEL_TASK_OF)),
    default="clm",
    show_default=True,
    help="What a model will learn with it; decides the special tokens.",
)
@click.option("--text-column", default="text", show_default=True, help="JSONL field or column.")
@click.option("--skip-bad-lines", is_flag=True, help="Count bad lines and leave them out.")
def train(
    data: tuple[str, ...],
    spec_text: str,
    output_dir: Path,
    objective: str,
    text_column: str,
    skip_bad_lines: bool,
) -> dict[str, Any]:
    """Train a tokenizer on text and write it as tokenizer.json."""
    with usage_errors():
        spec = parse_spec(spec_text)
        if spec.kind == "directory":
            raise ConfigError(f"tokenizer: got {shown(spec_text)}, which is trained already")
    start = time.perf_counter()
    with lock_directory(output_dir):  # before what takes time
        documents = Documents(data, column=text_column, skip_bad_lines=skip_bad_lines)
        with usage_errors():
            trained = make_tokenizer(spec, documents, objective)
        save_tokenizer(trained, output_dir)
    seconds = time.perf_counter() - start
    size = vocab_size(trained)
    echo(f"{size:,} tokens in the vocabulary, {seconds:.1f} s; written to {output_dir}")
    return {
        "output_dir": str(output_dir),
        "vocab_size": size,
        "skipped_lines": documents.skipped,
        "seconds": round(seconds, 3),
    }


@tokenizer.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("text")
def encode(directory: Path, text: str) -> dict[str, Any]:
    """Show the tokens of TEXT, cut by the tokenizer in DIRECTORY."""
    loaded = read_tokenizer(directory)
    ids = encode_text(loaded, text).tolist()
    tokens = [loaded.decode([i], skip_special_tokens=False) for i in ids]
    for i, token in zip(ids, tokens):
        echo(f"{i:7d}  {token!r}")
    echo(f"{len(text)} characters, {len(ids)} tokens")
    return {"ids": ids, "tokens": tokens, "characters": len(text), "count": len(ids)}

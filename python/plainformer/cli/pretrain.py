"""`plainformer pretrain`: train a model from scratch on unlabelled text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from tokenizers import Tokenizer

from plainformer.checkpoints.files import read_json
from plainformer.data.shards import open_shard
from plainformer.data.text import Documents
from plainformer.data.tokenizer import make_tokenizer, parse_spec, vocab_size
from plainformer.errors import ConfigError
from plainformer.models.registry import from_config

from ._common import Command, FilesOption, echo, usage_errors
from ._language_model import config_for, report, tokens_on_disk, train_language_model
from ._training_flags import make_arguments, run_file_option, training_flags, with_run_file

REQUIRED = ("data", "config", "tokenizer", "output_dir")
EPILOG = "Text is .txt, .md, .jsonl, .csv or .tsv; a .bin file holds tokens already."


@click.command(cls=Command, epilog=EPILOG)
@click.option("--objective", type=click.Choice(["clm"]), help="Predict the next token (clm).")
@click.option("--data", cls=FilesOption, help="Files, directories or globs to train on.")
@click.option("--validation", cls=FilesOption, help="Files, directories or globs to evaluate on.")
@click.option("--config", help="The model: a Hugging Face config.json without vocab_size.")
@click.option("--tokenizer", help="A directory, or char, bpe:SIZE, wordpiece:SIZE to train one.")
@click.option("--block-size", type=int, help="Tokens in a training example  [default: n_positions]")
@click.option("--output-dir", help="Where model, checkpoints and logs go.")
@click.option("--text-column", help="JSONL field or table column with the text  [default: text]")
@click.option("--skip-bad-lines/--no-skip-bad-lines", default=None, help="Count and leave out.")
@run_file_option
@training_flags(exclude=("output_dir",))
def pretrain(run_file: Path | None, **flags: Any) -> dict[str, Any]:
    """Train a model from scratch on unlabelled text."""
    with usage_errors():
        values = with_run_file(flags, run_file)
        missing = [name for name in REQUIRED if not values.get(name)]
        if missing:
            raise ConfigError(f"missing --{', --'.join(n.replace('_', '-') for n in missing)}")
        arguments = make_arguments(values, values["output_dir"])
        spec = parse_spec(values["tokenizer"])
        config = read_json(values["config"])
    options = {
        "column": values.get("text_column", "text"),
        "skip_bad_lines": bool(values.get("skip_bad_lines")),
    }
    tokenizer = make_tokenizer(spec, text_of(values["data"], options))
    with usage_errors():
        model = from_config(config_for(tokenizer, config), seed=arguments.seed)
        block_size = check_block_size(values.get("block_size"), model.config)
    output = Path(arguments.output_dir)
    tokens = load_tokens(output / "tokens" / "train.bin", tokenizer, values["data"], options)
    validation = None
    if values.get("validation"):
        path = output / "tokens" / "validation.bin"
        validation = load_tokens(path, tokenizer, values["validation"], options)
    echo(f"{len(tokens):,} tokens to train on, {vocab_size(tokenizer):,} in the vocabulary")
    result = train_language_model(model, arguments, tokenizer, tokens, validation, block_size)
    report(result)
    return result


def text_of(paths: Any, options: dict[str, Any]) -> Documents:
    """The documents behind `--data`; token files hold no text to train a tokenizer on."""
    texts = [p for p in as_list(paths) if not str(p).endswith(".bin")]
    if not texts:
        return Documents([], **options)
    return Documents(texts, **options)


def load_tokens(
    path: Path, tokenizer: Tokenizer, paths: Any, options: dict[str, Any]
) -> np.ndarray:
    """Tokens of the text behind `paths`, encoded into `path`; or of the one .bin file given."""
    files = as_list(paths)
    if not any(str(f).endswith(".bin") for f in files):
        return tokens_on_disk(path, tokenizer, Documents(files, **options))
    if len(files) > 1:
        raise ConfigError(f"data: got {len(files)} paths, expected a .bin file alone")
    shard = open_shard(files[0])
    size = vocab_size(tokenizer)
    if shard.vocab_size not in (None, size):
        raise ConfigError(
            f"{files[0]}: made with {shard.vocab_size} tokens in the vocabulary, "
            f"but the tokenizer has {size}"
        )
    return shard.tokens


def as_list(paths: Any) -> list[str]:
    """A run file may give one path where the command line gives several."""
    return [paths] if isinstance(paths, str) else list(paths)


def check_block_size(block_size: int | None, config: Any) -> int:
    """The tokens of one example: at most, and by default, what the model has positions for."""
    positions = config.context_length
    if block_size is None:
        return positions
    if not 1 <= block_size <= positions:
        raise ConfigError(f"block_size: got {block_size}, expected 1 to n_positions {positions}")
    return block_size

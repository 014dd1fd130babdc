"""`plainformer pretrain`: train a model on unlabelled text, from scratch or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from tokenizers import Tokenizer

from ..checkpoints.files import read_json
from ..checkpoints.huggingface import read_config
from ..data.fingerprints import digest
from ..data.objectives import Vocabulary
from ..data.shards import Shard, open_shard
from ..data.text import Documents
from ..data.text_shards import encode_to_shard
from ..data.tokenizer import (
    make_tokenizer,
    parse_spec,
    read_tokenizer,
    tell_unknown,
    vocab_size,
)
from ..errors import ConfigError
from ..models.registry import from_config, load
from ..training import TrainingArguments
from ..training.checkpoint import claim_directory
from ._common import Command, FilesOption, echo, usage_errors
from ._language_model import config_for, report, train_language_model
from ._objectives import (
    TASKS,
    check_family,
    check_flags,
    make_objective,
    objective_data,
    objective_flags,
    objective_inputs,
)
from ._run_file import run_file_option, with_run_file
from ._training_flags import make_arguments, training_flags

REQUIRED = ("data", "output_dir")
FROM_NOTHING = ("config", "tokenizer")  # what a model is built from; or there is `model`
UNBOUNDED = 512  # default block size of models whose positions have no end, as T5's
EPILOG = "Text is .txt, .md, .jsonl, .csv or .tsv; a .bin file holds tokens already."


@click.command(cls=Command, epilog=EPILOG)
@objective_flags
@click.option("--data", cls=FilesOption, help="Files, directories or globs to train on.")
@click.option("--validation", cls=FilesOption, help="Files, directories or globs to evaluate on.")
@click.option("--model", help="A Hugging Face directory to go on from, with its tokenizer.")
@click.option("--config", help="The model: a Hugging Face config.json without vocab_size.")
@click.option(
    "--tokenizer", help="A directory, or char[:SIZE], bpe:SIZE, wordpiece:SIZE to train one."
)
@click.option("--block-size", type=int, help="Tokens in a training example  [default: positions]")
@click.option("--output-dir", help="Where model, checkpoints and logs go.")
@click.option("--text-column", help="JSONL field or table column with the text  [default: text]")
@click.option("--skip-bad-lines/--no-skip-bad-lines", default=None, help="Count and leave out.")
@run_file_option
@training_flags(exclude=("output_dir",))
def pretrain(run_file: Path | None, **flags: Any) -> dict[str, Any]:
    """Train a model on unlabelled text, from scratch or from where a checkpoint stands."""
    with usage_errors():
        values = with_run_file(flags, run_file)
        check_sources(values)
        name = values.get("objective", "clm")
        check_flags(name, values)
        arguments = make_arguments(values, values["output_dir"])
    with claim_directory(arguments):
        result = train(name, values, arguments)
    report(result)
    return result


def train(name: str, values: Mapping[str, Any], arguments: TrainingArguments) -> dict[str, Any]:
    """Encode the data, build the model, train it on an objective; the command's figures."""
    options = {
        "column": values.get("text_column", "text"),
        "skip_bad_lines": bool(values.get("skip_bad_lines")),
    }
    with usage_errors():
        make = checkpoint_model if values.get("model") else new_model
        tokenizer, model = make(name, values, arguments.seed, options)
        block_size = check_block_size(values.get("block_size"), model.config)
        vocabulary = Vocabulary.of(tokenizer)
        objective = make_objective(name, vocabulary, block_size, values)
    tokens = Path(arguments.output_dir, "tokens")
    shard = load_tokens(tokens / "train.bin", tokenizer, values["data"], options)
    held = None
    if values.get("validation"):
        held = load_tokens(tokens / "validation.bin", tokenizer, values["validation"], options)
        tell_unknown("validation", tokenizer, held.tokens)
    with usage_errors():
        packing = bool(values.get("packing"))
        data = objective_data(objective, vocabulary, shard, held, block_size, packing=packing)
    echo(f"{len(shard.tokens):,} tokens to train on, {vocabulary.size:,} in the vocabulary")
    inputs = {
        "data": shard.fingerprint(),
        **({} if held is None else {"validation": held.fingerprint()}),
        "tokenizer": digest(tokenizer.to_str()),
        "block_size": block_size,
        **objective_inputs(name, values),
    }
    return train_language_model(model, arguments, tokenizer, data, block_size, inputs=inputs)


def check_sources(values: Mapping[str, Any]) -> None:
    """Raise ConfigError unless there is data and one thing that a model comes from."""
    built = [name for name in FROM_NOTHING if values.get(name)]
    if values.get("model") and built:
        raise ConfigError(f"{built[0]}: the directory of --model has one; leave it out")
    required = REQUIRED if values.get("model") else (REQUIRED[0], *FROM_NOTHING, REQUIRED[1])
    missing = [name for name in required if not values.get(name)]
    if missing:
        raise ConfigError(f"missing --{', --'.join(n.replace('_', '-') for n in missing)}")


def new_model(
    name: str, values: Mapping[str, Any], seed: int, options: dict[str, Any]
) -> tuple[Tokenizer, Any]:
    """A model of `--config` for an objective, and the tokenizer that `--tokenizer` asks for."""
    spec = parse_spec(values["tokenizer"])
    config = read_json(values["config"])
    check_family(name, config)
    tokenizer = make_tokenizer(spec, text_of(values["data"], options), name)
    config = config_for(tokenizer, config, name)
    return tokenizer, from_config(config, TASKS[name], seed=seed)


def checkpoint_model(
    name: str, values: Mapping[str, Any], seed: int, options: dict[str, Any]
) -> tuple[Tokenizer, Any]:
    """The model of `--model` for an objective, and its tokenizer. A head that it lacks is drawn."""
    directory = values["model"]
    check_family(name, read_config(directory))
    tokenizer = read_tokenizer(directory)
    model = load(directory, TASKS[name], seed=seed)
    size, rows = vocab_size(tokenizer), model.config.vocab_size
    if size > rows:
        raise ConfigError(
            f"model: {directory} has embeddings for {rows} tokens, but its tokenizer has {size}"
        )
    return tokenizer, model


def text_of(paths: Any, options: dict[str, Any]) -> Documents:
    """The documents behind `--data`; token files hold no text to train a tokenizer on."""
    texts = [p for p in as_list(paths) if not str(p).endswith(".bin")]
    if not texts:
        return Documents([], **options)
    return Documents(texts, **options)


def load_tokens(path: Path, tokenizer: Tokenizer, paths: Any, options: dict[str, Any]) -> Shard:
    """Tokens of the text behind `paths`, encoded into `path`; or of the one .bin file given."""
    files = as_list(paths)
    if not any(str(f).endswith(".bin") for f in files):
        return encode_to_shard(path, tokenizer, Documents(files, **options))
    if len(files) > 1:
        raise ConfigError(f"data: got {len(files)} paths, expected a .bin file alone")
    shard = open_shard(files[0], verify=True)
    size = vocab_size(tokenizer)
    if shard.vocab_size not in (None, size):
        raise ConfigError(
            f"{files[0]}: made with {shard.vocab_size} tokens in the vocabulary, "
            f"but the tokenizer has {size}"
        )
    return shard


def as_list(paths: Any) -> list[str]:
    """A run file may give one path where the command line gives several."""
    return [paths] if isinstance(paths, str) else list(paths)


def check_block_size(block_size: int | None, config: Any) -> int:
    """The tokens of one example: at most, and by default, what the model has positions for."""
    positions = config.context_length
    if block_size is None:
        return positions or UNBOUNDED
    if block_size < 1 or (positions is not None and block_size > positions):
        limit = "at least 1" if positions is None else f"1 to the model's {positions} positions"
        raise ConfigError(f"block_size: got {block_size}, expected {limit}")
    return block_size

"""The model of a pre-training and its tokenizer: new ones, or those of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..checkpoints.files import read_json
from ..checkpoints.huggingface import read_config
from ..data.pretrained_tokenizer import as_backend
from ..data.special_tokens import special_ids
from ..data.text import Document
from ..data.tokenizer import make_tokenizer, parse_spec, read_tokenizer, save_tokenizer, vocab_size
from ..errors import ConfigError, shown
from ..models.registry import MODELS, from_config, load
from ..options import plain
from .options import MODEL_TASK_OF

UNBOUNDED = 512  # default block size of models whose positions have no end, as T5's


@dataclass(frozen=True)
class SavedTokenizer:
    """A tokenizer that the trainer can write beside a model."""

    tokenizer: Tokenizer
    model_max_length: int
    token_types: bool  # whether the model has them

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`."""
        save_tokenizer(
            self.tokenizer,
            directory,
            model_max_length=self.model_max_length,
            token_types=self.token_types,
        )


def new_model(
    config: Any, tokenizer: Any, objective: str, documents: Iterable[Document], seed: int
) -> tuple[Tokenizer, Any]:
    """A model of a configuration for an objective; the tokenizer is given, or trained on text."""
    if not isinstance(config, (str, os.PathLike, Mapping)):
        got = None if config is None else type(config).__name__
        raise ConfigError(
            f"config: got {got}, expected a config.json or its contents, or else a `model`"
        )
    is_spec = isinstance(tokenizer, (str, os.PathLike))
    spec = parse_spec(os.fspath(tokenizer)) if is_spec else None
    values = dict(config) if isinstance(config, Mapping) else read_json(config)
    check_family(objective, values)
    made = as_backend(tokenizer) if spec is None else make_tokenizer(spec, documents, objective)
    values = config_for(made, values, objective)
    return made, from_config(values, MODEL_TASK_OF[objective], seed=seed)


def checkpoint_model(directory: Any, objective: str, seed: int) -> tuple[Tokenizer, Any]:
    """The model of a directory for an objective, and its tokenizer.

    A head that it lacks is drawn.
    """
    config = read_config(directory)
    check_family(objective, config)
    tokenizer = read_tokenizer(directory, config)
    model = load(directory, MODEL_TASK_OF[objective], config=config, seed=seed)
    size, rows = vocab_size(tokenizer), model.config.vocab_size
    if size > rows:
        raise ConfigError(
            f"model: {directory} has embeddings for {rows} tokens, but its tokenizer has {size}"
        )
    return tokenizer, model


def check_family(objective: str, config: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the model of a configuration can learn the objective."""
    family, task = MODELS.get(str(config.get("model_type"))), MODEL_TASK_OF[objective]
    if family is not None and task not in family.models:
        fitting = [kind for kind, other in MODELS.items() if task in other.models]
        raise ConfigError(
            f"objective: {objective} trains a {task} model, which {config['model_type']} has "
            f"not; expected one of {', '.join(sorted(fitting)) or 'none yet'}"
        )


def check_block_size(block_size: Any, config: Any) -> int:
    """The tokens of one example: at most, and by default, what the model has positions for."""
    positions = config.context_length
    if block_size is None:
        return positions or UNBOUNDED
    block_size = plain(block_size)
    limit = "at least 1" if positions is None else f"1 to the model's {positions} positions"
    if type(block_size) is not int or not 1 <= block_size <= (positions or block_size):
        raise ConfigError(f"block_size: got {shown(block_size)}, expected {limit}")
    return block_size


def config_for(
    tokenizer: Tokenizer, values: dict[str, Any], objective: str = "clm"
) -> dict[str, Any]:
    """A model's configuration with the tokenizer's vocabulary and special ids put in.

    Raises ConfigError where the configuration names another vocabulary size, or an id outside it.
    """
    size = vocab_size(tokenizer)
    if values.get("vocab_size", size) != size:
        raise ConfigError(
            f"config: got vocab_size {values['vocab_size']}, but the tokenizer has {size} tokens; "
            "leave it out, the tokenizer sets it"
        )
    for name, value in values.items():
        if name.endswith("_token_id") and isinstance(value, int) and value >= size:
            raise ConfigError(
                f"config: got {name} {value}, but the tokenizer has {size} tokens; leave it out, "
                "the tokenizer sets it"
            )
    return {**named_ids(tokenizer, objective), **values, "vocab_size": size}


def named_ids(tokenizer: Tokenizer, objective: str) -> dict[str, int | None]:
    """The special ids that a configuration names. A decoder starts as the objective's first model
    does: T5's from padding, BART's from the end of text."""
    roles = special_ids(tokenizer)
    end = roles.end_token_id
    first = (i for i in (roles.bos_token_id, roles.cls_token_id, end) if i is not None)
    ids = {"bos_token_id": next(first, None), "eos_token_id": end}
    if roles.pad_token_id is not None:
        ids["pad_token_id"] = roles.pad_token_id
    if objective == "denoise":
        ids["decoder_start_token_id"] = end
    elif objective == "span":
        ids["decoder_start_token_id"] = ids.get("pad_token_id", end)
    return ids

"""What `pretrain` and `quickstart` share: text to tokens on disk, and one training run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from plainformer.data.batches import EvaluationWindows, TokenBlocks
from plainformer.data.shards import open_shard, write_shard
from plainformer.data.text import Document
from plainformer.data.tokenizer import (
    encode_documents,
    end_of_text_id,
    save_tokenizer,
    vocab_size,
)
from plainformer.errors import ConfigError
from plainformer.training import Trainer, TrainerCallback, TrainingArguments

from ._common import echo


@dataclass(frozen=True)
class SavedTokenizer:
    """A tokenizer that the trainer can write beside a model."""

    tokenizer: Tokenizer
    model_max_length: int

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`."""
        save_tokenizer(self.tokenizer, directory, model_max_length=self.model_max_length)


def tokens_on_disk(path: Path, tokenizer: Tokenizer, documents: Iterable[Document]) -> np.ndarray:
    """Encode documents into a shard and map it: training memory does not grow with the text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = encode_documents(tokenizer, documents)
    write_shard(path, ids, vocab_size=vocab_size(tokenizer))
    return open_shard(path).tokens


def config_for(tokenizer: Tokenizer, values: dict[str, Any]) -> dict[str, Any]:
    """A model's configuration with the tokenizer's vocabulary and special ids put in.

    Raises ConfigError where the configuration names another vocabulary size.
    """
    size = vocab_size(tokenizer)
    if values.get("vocab_size", size) != size:
        raise ConfigError(
            f"config: got vocab_size {values['vocab_size']}, but the tokenizer has {size} tokens; "
            "leave it out, the tokenizer sets it"
        )
    end = end_of_text_id(tokenizer)
    return {"bos_token_id": end, "eos_token_id": end, **values, "vocab_size": size}


def train_language_model(
    model: Any,
    arguments: TrainingArguments,
    tokenizer: Tokenizer,
    tokens: np.ndarray,
    validation: np.ndarray | None,
    block_size: int,
    callbacks: Sequence[TrainerCallback] = (),
) -> dict[str, Any]:
    """Train on blocks of `tokens`, evaluate on `validation`, write the model into `output_dir`.

    Returns what the command prints with `--json`.
    """
    trainer = Trainer(
        model,
        arguments,
        TokenBlocks(tokens, block_size),
        None if validation is None else EvaluationWindows(validation, block_size),
        callbacks=callbacks,
        processing_class=SavedTokenizer(tokenizer, block_size),
    )
    output = trainer.train()
    result = {
        "output_dir": arguments.output_dir,
        "seed": arguments.seed,
        "steps": output.global_step,
        "epochs": round(output.metrics["epoch"], 4),
        "seconds": round(output.metrics["train_runtime"], 3),
        "tokens_per_second": round(output.metrics["train_tokens_per_second"], 1),
        "train_loss": output.training_loss,
    }
    if validation is not None:
        loss = trainer.evaluate()["eval_loss"]
        result |= {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0))}
    if trainer.state.best_step is not None:
        result["best_step"] = trainer.state.best_step
    trainer.save_model()
    return result


def report(result: dict[str, Any]) -> None:
    """Say in three lines how the run ended."""
    echo(
        f"\n{result['steps']} steps in {result['seconds']:.1f} s, "
        f"{result['tokens_per_second']:,.0f} tokens a second"
    )
    line = f"training loss {result['train_loss']:.4f} (mean of all steps)"
    if "eval_loss" in result:
        line += (
            f", validation loss {result['eval_loss']:.4f}, "
            f"perplexity {result['eval_perplexity']:.2f}"
        )
    echo(line)
    echo(f"model in {result['output_dir']}")

"""What `pretrain` and `quickstart` share: a configuration, and one training run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..data.special_tokens import special_ids
from ..data.tokenizer import end_of_text_id, save_tokenizer, vocab_size
from ..errors import ConfigError
from ..training import Trainer, TrainerCallback, TrainingArguments
from ._common import echo
from ._objectives import LanguageData


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
    roles, end = special_ids(tokenizer), end_of_text_id(tokenizer)
    first = (i for i in (roles.bos_token_id, roles.cls_token_id, end) if i is not None)
    ids = {"bos_token_id": next(first, None), "eos_token_id": end}
    if roles.pad_token_id is not None:
        ids["pad_token_id"] = roles.pad_token_id
    if objective == "denoise":
        ids["decoder_start_token_id"] = end
    elif objective == "span":
        ids["decoder_start_token_id"] = ids.get("pad_token_id", end)
    return ids


def train_language_model(
    model: Any,
    arguments: TrainingArguments,
    tokenizer: Tokenizer,
    data: LanguageData,
    block_size: int,
    callbacks: Sequence[TrainerCallback] = (),
    inputs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train and evaluate on `data`, write the model into `output_dir`.

    inputs : what resuming compares, see `Trainer`
    Returns what the command prints with `--json`.
    """
    trainer = Trainer(
        model,
        arguments,
        data.train,
        data.evaluation,
        data.collate,
        callbacks=callbacks,
        processing_class=SavedTokenizer(
            tokenizer, block_size, getattr(model, "has_token_types", False)
        ),
        inputs=inputs,
    )
    baselines = measure_baselines(data)
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
    if data.evaluation is not None:
        loss = trainer.evaluate()["eval_loss"]
        result |= {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0)), **baselines}
    if trainer.state.best_step is not None:
        result["best_step"] = trainer.state.best_step
    trainer.save_model()
    return result


def measure_baselines(data: LanguageData) -> dict[str, float]:
    """What the validation labels cost without a model, said before training; empty without them."""
    if data.baselines is None:
        return {}
    found = data.baselines()
    echo(
        f"{found.labels:,} validation labels; without a model, from {found.tokens:,} training "
        f"tokens: unigram loss {found.unigram:.4f}, bigram loss {found.bigram:.4f}"
    )
    return {"unigram_loss": found.unigram, "bigram_loss": found.bigram}


def report(result: dict[str, Any]) -> None:
    """Say in four lines how the run ended."""
    echo(
        f"\n{result['steps']} steps in {result['seconds']:.1f} s, "
        f"{result['tokens_per_second']:,.0f} tokens a second"
    )
    echo(f"training loss {result['train_loss']:.4f} (mean of all steps)")
    if "eval_loss" in result:
        echo(
            f"validation loss {result['eval_loss']:.4f} (unigram {result['unigram_loss']:.4f}, "
            f"bigram {result['bigram_loss']:.4f}), perplexity {result['eval_perplexity']:.2f}"
        )
    echo(f"model in {result['output_dir']}")

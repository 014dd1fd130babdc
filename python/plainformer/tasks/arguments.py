"""The options of a fine-tuning: what each of them is for, and the defaults of training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, shown
from ..kinds import check_kinds
from ..models.config import POOLINGS
from ..training import TrainingArguments
from .data import DataOptions
from .options import check_at_least, names_of, option
from .registry import TASKS
from .strategy import StrategyOptions
from .task import Task


@dataclass(frozen=True)
class ModelOptions:
    """What else is said of a model and of what it learns from."""

    tokenizer: str | None = option(
        None,
        "For a model without one: a directory, or char, char:SIZE, bpe:SIZE, wordpiece:SIZE to "
        "train one on the training data.",
    )
    adapter: str | None = option(
        None, "A LoRA adapter in peft's layout, added to the model before it is trained."
    )
    new_head: bool = option(
        False, "Start the head anew with the labels of the data, instead of adding to its own."
    )
    pooling: str | None = option(
        None,
        "What a new head for texts reads of an encoder: mean, cls or last; default what the model "
        "family reads, and with head_only what a sentence encoder was trained with.",
    )
    class_weights: str | Mapping[str, Any] | None = option(
        None,
        'What the losses of labels are multiplied with: balanced, or {"label": weight} where '
        "others are 1.",
    )
    replay: str | Sequence[Any] | None = option(
        None, "Old examples to mix in, so that old skills stay."
    )
    replay_fraction: float | None = option(
        None, "Old examples in an epoch, of the new ones; others in each epoch  [default: 0.25]"
    )
    replay_validation: str | Sequence[Any] | None = option(
        None,
        "Old examples on which the model is tested before and after. The best model is then that "
        "with the best mean on them and on the validation data.",
    )

    def __post_init__(self) -> None:
        check_kinds(self)
        check_at_least(self, 0, "replay_fraction")
        if self.pooling not in (None, *POOLINGS):
            raise ConfigError(
                f"pooling: got {shown(self.pooling)}, expected one of {', '.join(POOLINGS)}"
            )
        if self.replay_fraction is not None and self.replay is None:
            raise ConfigError("replay_fraction: has no effect without replay")


OPTIONS: tuple[type, ...] = (DataOptions, ModelOptions, StrategyOptions)


def take(kind: Any, options: Mapping[str, Any]) -> Any:
    """An object of a dataclass of options, of those given that are its own; a path is its text."""
    own = {name: options[name] for name in options if name in names_of(kind)}
    return kind(**{n: os.fspath(v) if isinstance(v, os.PathLike) else v for n, v in own.items()})


def training_options(kind: type[Task], options: Mapping[str, Any]) -> dict[str, Any]:
    """What is left for `TrainingArguments`.

    Raises
    ------
    ConfigError : a setting of another task, which TrainingArguments would not know
    """
    taken = {n for c in (*OPTIONS, kind.settings_class) for n in names_of(c)}
    rest = {name: value for name, value in options.items() if name not in taken}
    for name in rest:
        others = [t.name for t in TASKS.values() if name in names_of(t.settings_class)]
        if others and name not in names_of(TrainingArguments):
            raise ConfigError(
                f"{name}: has no effect on {kind.name}; it is for {', '.join(others)}"
            )
    return rest


def training_arguments(
    given: Mapping[str, Any],
    output_dir: str | Path,
    metric: str,
    has_validation: bool,
    has_old: bool = False,
) -> TrainingArguments:
    """TrainingArguments; with validation data the best model of all epochs is kept by default.

    metric : of the task, which decides
    has_old : whether there is validation data of old skills too, which then decides with the new
    """
    if not has_validation:
        return TrainingArguments(**{**given, "output_dir": os.fspath(output_dir)})
    defaults: dict[str, Any] = {"eval_strategy": "epoch"}
    strategy = given.get("eval_strategy", given.get("evaluation_strategy", "epoch"))
    if "save_strategy" not in given and strategy == "epoch" and "save_steps" not in given:
        defaults["save_strategy"] = "epoch"
    keeps = given.get("save_strategy", "epoch") != "no" and strategy != "no"
    defaults["load_best_model_at_end"] = keeps
    merged = {**defaults, **given}
    watches = merged["load_best_model_at_end"] or merged.get("save_strategy") == "best"
    if watches or merged.get("early_stopping_patience") is not None:
        merged.setdefault("metric_for_best_model", f"both_{metric}" if has_old else metric)
    if "evaluation_strategy" in given:  # version 4's word
        merged.pop("eval_strategy")
    return TrainingArguments(**{**merged, "output_dir": os.fspath(output_dir)})

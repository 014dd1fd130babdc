"""The options of a fine-tuning: what each of them is for, and the defaults of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..models.config import POOLINGS
from ..models.registry import LoadingOptions
from ..options import COUNT, above, borrowed, check, named, names_of, one_of, option, refuse_idle
from ..training import TrainingArguments
from ..training.words import LACKING
from .data import DataOptions
from .registry import TASKS
from .strategy import StrategyOptions
from .task import Task


@dataclass(frozen=True)
class OpeningOptions:
    """How a fine-tuned model is opened, and asked."""

    task: str | None = option(None, "What the model is for; default what it was fine-tuned for.")
    batch_size: int = option(32, "Inputs at once; it changes no answer.", COUNT)
    adapter: str | None = option(None, "A LoRA adapter in peft's layout, added to the weights.")
    dtype: str | None = borrowed(LoadingOptions, "dtype")
    device: str | None = borrowed(LoadingOptions, "device")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ModelOptions:
    """What else is said of a model and of what it learns from."""

    tokenizer: str | None = option(
        None,
        "For a model without one: a directory, or char, char:SIZE, bpe:SIZE, wordpiece:SIZE to "
        "train one on the training data.",
    )
    adapter: str | None = borrowed(OpeningOptions, "adapter")
    new_head: bool = option(
        False, "Start the head anew with the labels of the data, instead of adding to its own."
    )
    pooling: str | None = option(
        None,
        "What a new head for texts reads of an encoder: mean, cls or last; default what the model "
        "family reads, and with head_only what a sentence encoder was trained with.",
        one_of(*POOLINGS),
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
        None,
        "Old examples in an epoch, of the new ones; others in each epoch. Default 0.25.",
        above(0),
    )
    replay_validation: str | Sequence[Any] | None = option(
        None,
        "Old examples on which the model is tested before and after. The best model is then that "
        "with the best mean on them and on the validation data.",
    )

    def __post_init__(self) -> None:
        check(self)
        refuse_idle(self, ("replay_fraction", self.replay is None, "without replay"))


OPTIONS: tuple[type, ...] = (DataOptions, ModelOptions, StrategyOptions)


def take_options(kind: Any, options: Mapping[str, Any]) -> Any:
    """An object of a dataclass of options, of those given that are its own."""
    return kind(**{name: options[name] for name in options if name in names_of(kind)})


def own_names(kind: type[Task], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a fine-tuning under their own names.

    Raises
    ------
    ConfigError : an unknown word, or a setting of another task
    """
    known = (kind.settings_class, *OPTIONS, TrainingArguments)
    own = {name for owner in known for name in names_of(owner)}
    for name in options.keys() - own:
        others = [t.name for t in TASKS.values() if name in names_of(t.settings_class)]
        if others:
            raise ConfigError(
                f"{name}: has no effect on {kind.name}; it is for {', '.join(others)}"
            )
    return named(options, *known, owner="an option of fine-tuning", lacking=LACKING)


def training_options(kind: type[Task], options: Mapping[str, Any]) -> dict[str, Any]:
    """What is left for `TrainingArguments`."""
    taken = {n for c in (*OPTIONS, kind.settings_class) for n in names_of(c)}
    return {name: value for name, value in options.items() if name not in taken}


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
    chosen = {**given, "output_dir": output_dir}
    if not has_validation:
        return TrainingArguments(**chosen)
    strategy = chosen.setdefault("eval_strategy", "epoch")
    if strategy == "epoch" and "save_steps" not in given:
        chosen.setdefault("save_strategy", "epoch")
    keeps = given.get("save_strategy", "epoch") != "no" and strategy != "no"
    watches = chosen.setdefault("load_best_model_at_end", keeps)
    if (
        watches
        or chosen.get("save_strategy") == "best"
        or chosen.get("early_stopping_patience") is not None
    ):
        chosen.setdefault("metric_for_best_model", f"both_{metric}" if has_old else metric)
    return TrainingArguments(**chosen)

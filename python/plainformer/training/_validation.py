"""What values the fields of TrainingArguments may have, alone and beside each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, shown
from ..optim.schedules import SCHEDULES, check_options

if TYPE_CHECKING:
    from .arguments import TrainingArguments


class Rule:
    """A test of one value and the words for what it wants."""

    def __init__(self, test: Callable[[Any], bool], wanted: str):
        self.test = test
        self.wanted = wanted

    def optional(self) -> Rule:
        """The same, or None."""
        return Rule(lambda value: value is None or self.test(value), f"{self.wanted} or None")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= sys.float_info.max  # an integer may be larger, NaN is not


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(test: Callable[[float], bool], wanted: str) -> Rule:
    return Rule(lambda value: _is_number(value) and test(value), wanted)


def _integer(test: Callable[[int], bool], wanted: str) -> Rule:
    return Rule(lambda value: _is_int(value) and test(value), wanted)


def _one_of(*words: str) -> Rule:
    return Rule(lambda value: isinstance(value, str) and value in words, f"one of {list(words)}")


def _is_globs(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(glob, str) and glob for glob in value)
    )


def _is_steps_or_ratio(value: float) -> bool:
    return value > 0 and (value < 1 or value == int(value))


COUNT = _integer(lambda v: v >= 1, "an integer of at least 1")
POSITIVE = _number(lambda v: v > 0, "a number above 0")
NOT_NEGATIVE = _number(lambda v: v >= 0, "a number of at least 0")
BELOW_ONE = _number(lambda v: 0 <= v < 1, "a number from 0 to below 1")
FLAG = Rule(lambda v: isinstance(v, bool), "True or False")
WORD = Rule(lambda v: isinstance(v, str) and v != "", "a word")
GLOBS = Rule(_is_globs, "a list of globs")
INTERVAL = _number(_is_steps_or_ratio, "a whole number of at least 1, or a ratio between 0 and 1")

RULES: dict[str, Rule] = {
    "output_dir": Rule(lambda v: isinstance(v, str) and v not in ("", "."), "a directory"),
    "allow_changed_inputs": FLAG,
    "overwrite_output_dir": FLAG,
    "per_device_train_batch_size": COUNT,
    "per_device_eval_batch_size": COUNT,
    "gradient_accumulation_steps": COUNT,
    "num_train_epochs": POSITIVE,
    "max_steps": _integer(lambda v: v == -1 or v >= 1, "an integer of at least 1, or -1"),
    "max_length": COUNT.optional(),
    "optim": _one_of("adamw", "sgd"),
    "learning_rate": POSITIVE,
    "lr_scheduler_type": _one_of(*SCHEDULES),
    "lr_scheduler_kwargs": Rule(lambda v: isinstance(v, Mapping), "a dict").optional(),
    "warmup_steps": _number(
        lambda v: v >= 0 and (v < 1 or v == int(v)), "a whole number, or a ratio from 0 to below 1"
    ),
    "min_lr": NOT_NEGATIVE.optional(),
    "weight_decay": NOT_NEGATIVE,
    "adam_beta1": BELOW_ONE,
    "adam_beta2": BELOW_ONE,
    "adam_epsilon": POSITIVE,
    "momentum": BELOW_ONE,
    "max_grad_norm": NOT_NEGATIVE,
    "label_smoothing_factor": BELOW_ONE,
    "bf16": FLAG,
    "activation_checkpointing": FLAG,
    "dropout": BELOW_ONE.optional(),
    "freeze": GLOBS.optional(),
    "train_only": GLOBS.optional(),
    "logging_steps": INTERVAL,
    "eval_strategy": _one_of("no", "steps", "epoch"),
    "eval_steps": INTERVAL.optional(),
    "disable_tqdm": FLAG.optional(),
    "save_strategy": _one_of("no", "steps", "epoch", "best"),
    "save_steps": INTERVAL,
    "save_total_limit": COUNT.optional(),
    "load_best_model_at_end": FLAG,
    "metric_for_best_model": WORD.optional(),
    "greater_is_better": FLAG.optional(),
    "early_stopping_patience": COUNT.optional(),
    "early_stopping_threshold": NOT_NEGATIVE,
    "seed": _integer(lambda v: 0 <= v < 2**64, "an integer from 0 to 2**64 - 1"),
    "resume_from_checkpoint": Rule(
        lambda v: v is None or isinstance(v, bool) or WORD.test(v), "a directory, True or None"
    ),
}


def check_arguments(args: TrainingArguments) -> None:
    """Raise ConfigError at the first value that is out of range or could have no effect."""
    for name, rule in RULES.items():
        value = getattr(args, name)
        if not rule.test(value):
            raise ConfigError(f"{name}: got {shown(value)}, expected {rule.wanted}")
    _check_schedule(args)
    _check_effects(args)
    _check_best_model(args)


def _check_schedule(args: TrainingArguments) -> None:
    check_options(args.lr_scheduler_type, args.lr_scheduler_kwargs or {})
    if args.min_lr is not None and args.min_lr > args.learning_rate:
        raise ConfigError(
            f"min_lr: got {args.min_lr}, expected at most learning_rate={args.learning_rate}"
        )
    if args.lr_scheduler_type == "cosine_with_min_lr" and args.min_lr is None:
        raise ConfigError("min_lr: got None, lr_scheduler_type='cosine_with_min_lr' needs a number")


def _check_effects(args: TrainingArguments) -> None:
    """An option that would do nothing beside the others is an error, not a silent loss."""
    schedule = SCHEDULES[args.lr_scheduler_type]
    by_schedule = f"lr_scheduler_type={shown(args.lr_scheduler_type)}"
    by_optim = f"optim={shown(args.optim)}"
    idle = [
        ("num_train_epochs", args.max_steps > 0, f"max_steps={args.max_steps}"),
        ("warmup_steps", not schedule.warmup, by_schedule),
        ("min_lr", not schedule.floor, by_schedule),
        ("momentum", args.optim != "sgd", by_optim),
        ("adam_beta1", args.optim != "adamw", by_optim),
        ("adam_beta2", args.optim != "adamw", by_optim),
        ("adam_epsilon", args.optim != "adamw", by_optim),
        ("eval_steps", args.eval_strategy != "steps", f"eval_strategy={shown(args.eval_strategy)}"),
        ("save_steps", args.save_strategy != "steps", f"save_strategy={shown(args.save_strategy)}"),
        ("early_stopping_threshold", args.early_stopping_patience is None,
         "early_stopping_patience=None"),
        ("metric_for_best_model", not args.watches_best, "no best model asked for"),
        ("greater_is_better", not args.watches_best, "no best model asked for"),
        ("train_only", args.freeze is not None, "freeze (give one of the two)"),
    ]  # fmt: skip
    for name, is_idle, because in idle:
        if is_idle and getattr(args, name) != _default(args, name):
            raise ConfigError(
                f"{name}: got {shown(getattr(args, name))}, has no effect with {because}; "
                "leave it out or change the other"
            )


def _default(args: TrainingArguments, name: str) -> Any:
    return type(args).__dataclass_fields__[name].default


def _check_best_model(args: TrainingArguments) -> None:
    asks = {
        "early_stopping_patience": args.early_stopping_patience is not None,
        "load_best_model_at_end": args.load_best_model_at_end,
        "save_strategy='best'": args.save_strategy == "best",
    }
    for name, asked in asks.items():
        if asked and args.eval_strategy == "no":
            raise ConfigError(f"{name}: needs evaluations; set eval_strategy='steps' or 'epoch'")
    if args.load_best_model_at_end and args.save_strategy == "no":
        raise ConfigError("load_best_model_at_end: needs checkpoints; save_strategy is 'no'")

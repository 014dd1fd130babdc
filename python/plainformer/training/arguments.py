"""TrainingArguments: every knob of a training run, checked once, when it is made."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ._aliases import accept_aliases
from ._validation import check_arguments


def _option(default: Any, text: str) -> Any:
    """A dataclass field whose help text also serves the command line."""
    return field(default=default, metadata={"help": text})


@accept_aliases
@dataclass
class TrainingArguments:
    """The options of `Trainer`, with the names and defaults of transformers 5.

    `logging_steps` is 10 and `save_total_limit` 2 here. Words of transformers 4, nanoGPT and
    axolotl that mean the same are accepted (`evaluation_strategy`, `warmup_ratio`, `max_iters`,
    `micro_batch_size`, ...); any other unknown word raises ConfigError with the nearest name.
    So does a value out of range, and an option that could have no effect beside the others.
    """

    output_dir: str = _option(
        "trainer_output", "Where checkpoints, log.jsonl and timing.jsonl are written."
    )
    overwrite_output_dir: bool = _option(
        False, "Delete the checkpoints and logs that a former run left in output_dir."
    )

    # How long, how many at once
    per_device_train_batch_size: int = _option(8, "Examples in one forward and backward pass.")
    per_device_eval_batch_size: int = _option(8, "Examples in one forward pass of an evaluation.")
    gradient_accumulation_steps: int = _option(
        1, "Passes whose gradients are summed before one update."
    )
    num_train_epochs: float = _option(3.0, "Passes over the training data; may be a fraction.")
    max_steps: int = _option(-1, "Number of updates; positive, it replaces num_train_epochs.")
    max_length: int | None = _option(
        None, "Cut examples to this many tokens when they are padded into a batch."
    )

    # Optimizer and schedule
    optim: str = _option("adamw", "The optimizer: adamw or sgd.")
    learning_rate: float = _option(5e-5, "The peak learning rate.")
    lr_scheduler_type: str = _option(
        "linear",
        "linear, cosine, cosine_with_min_lr, constant, constant_with_warmup, polynomial, "
        "inverse_sqrt or warmup_stable_decay.",
    )
    lr_scheduler_kwargs: dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "Options of the schedule itself: num_cycles (cosine), power (polynomial), "
            "timescale (inverse_sqrt), num_decay_steps and decay_type (warmup_stable_decay)."
        },
    )
    warmup_steps: float = _option(
        0, "Updates of linear rise to the peak; below 1, that part of all updates."
    )
    min_lr: float | None = _option(None, "The learning rate that the schedule falls to.")
    weight_decay: float = _option(0.0, "Decoupled decay of matrices; never of bias and norms.")
    adam_beta1: float = _option(0.9, "AdamW: decay of the mean of the gradient.")
    adam_beta2: float = _option(0.999, "AdamW: decay of the mean of its square.")
    adam_epsilon: float = _option(1e-8, "AdamW: added to the denominator.")
    momentum: float = _option(0.0, "SGD: decay of the running sum of gradients.")
    max_grad_norm: float = _option(
        1.0, "Scale gradients so that their global norm is at most this; 0 leaves them alone."
    )
    label_smoothing_factor: float = _option(
        0.0, "Share of the target spread evenly over the classes, in training only."
    )

    # Memory and precision
    bf16: bool = _option(
        False, "Store weights and activations in bfloat16, with float32 master weights."
    )
    activation_checkpointing: bool = _option(
        False, "Keep only block inputs and recompute the rest in backward: less memory."
    )

    # The model
    dropout: float | None = _option(None, "Replace every dropout probability of the model.")
    freeze: Sequence[str] | None = _option(
        None, "Globs of parameters or modules that are not trained."
    )
    train_only: Sequence[str] | None = _option(
        None, "Globs of the only parameters or modules that are trained."
    )

    # Watching
    logging_steps: float = _option(
        10, "A log record every so many updates; below 1, that part of all updates."
    )
    eval_strategy: str = _option("no", "When to evaluate: no, steps or epoch.")
    eval_steps: float | None = _option(
        None, "An evaluation every so many updates; default logging_steps."
    )
    disable_tqdm: bool | None = _option(
        None, "False: a progress bar; True: plain lines; default: a bar on a terminal."
    )

    # Saving and the best model
    save_strategy: str = _option("steps", "When to save: no, steps, epoch or best.")
    save_steps: float = _option(
        500, "A checkpoint every so many updates; below 1, that part of all updates."
    )
    save_total_limit: int | None = _option(
        2, "Checkpoints to keep, the newest; the best one is kept besides. None keeps all."
    )
    load_best_model_at_end: bool = _option(
        False, "Save each new best model and load the best one when training ends."
    )
    metric_for_best_model: str | None = _option(
        None,
        "The evaluation metric that decides, with or without eval_; default loss. Of equal ones "
        "that with the lower loss, then the later.",
    )
    greater_is_better: bool | None = _option(
        None, "Default: True, except for a metric whose name ends in loss or perplexity."
    )
    early_stopping_patience: int | None = _option(
        None,
        "Stop after so many evaluations in a row without improvement; a lower loss at the same "
        "metric is one.",
    )
    early_stopping_threshold: float = _option(
        0.0, "An improvement must be larger than this to count for early stopping."
    )

    # Repeating and resuming
    seed: int = _option(42, "Decides data order and dropout; the same seed gives the same bytes.")
    resume_from_checkpoint: str | bool | None = _option(
        None, "A checkpoint directory, or True for the newest good one in output_dir."
    )
    allow_changed_inputs: bool = _option(
        False,
        "Resume though seed, batch size, data, tokenizer or configuration are not those that the "
        "checkpoint was written with.",
    )

    def __post_init__(self) -> None:
        if isinstance(self.output_dir, os.PathLike):
            self.output_dir = os.fspath(self.output_dir)
        check_arguments(self)

    @property
    def best_metric_name(self) -> str:
        """The key of the metric that decides which model is best, with its eval_ prefix."""
        name = self.metric_for_best_model or "loss"
        return name if name.startswith("eval_") else f"eval_{name}"

    @property
    def best_metric_is_greater(self) -> bool:
        """Whether a larger value of the deciding metric is better."""
        if self.greater_is_better is not None:
            return self.greater_is_better
        return not self.best_metric_name.endswith(("loss", "perplexity"))

    @property
    def watches_best(self) -> bool:
        """Whether evaluations compete for the best model, so that its checkpoint is kept."""
        return (
            self.load_best_model_at_end
            or self.save_strategy == "best"
            or self.early_stopping_patience is not None
        )

    def warmup_updates(self, total_steps: int) -> int:
        """Warmup in updates, for a run of `total_steps` updates."""
        return steps_of(self.warmup_steps, total_steps)

    def to_dict(self) -> dict[str, Any]:
        """All options as plain values that JSON can hold."""
        values = asdict(self)
        return {k: list(v) if _is_list(v) else v for k, v in values.items()}


def steps_of(value: float, total_steps: int) -> int:
    """A number of updates given as such, or below 1 as a part of all updates (rounded up)."""
    return math.ceil(value * total_steps) if value < 1 else int(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, Mapping))

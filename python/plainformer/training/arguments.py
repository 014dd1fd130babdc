"""TrainingArguments: every knob of a training run, checked once, when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigError, shown
from ..kernels.devices import as_device
from ..kinds import fits
from ..models.registry import DEVICE
from ..optim.lr_scheduler import SCHEDULES, check_options, steps_of
from ..options import (
    COUNT,
    NOT_EMPTY,
    NOT_NEGATIVE,
    SEED,
    SHARE,
    SOME_TEXTS,
    above,
    check,
    documented,
    one_of,
    option,
    refuse_idle,
    takes_words,
    that,
)
from ..reprs import brief
from .words import LACKING


def _is_steps(value: float) -> bool:
    return value < 1 or value == int(value)


_OF_ADAMW = ("adam_beta1", "adam_beta2", "adam_epsilon")
_DIRECTORY = that(lambda v: isinstance(v, str) and v not in ("", "."), "a directory", alone=True)
_SOME_STEPS = that(
    lambda v: v > 0 and _is_steps(v), "a whole number of at least 1, or a ratio between 0 and 1"
)
_REPORTS = ("tensorboard", "wandb", "all", "none")
_SOME_REPORTS = that(
    lambda v: (
        fits(v, str | Sequence[str])
        and all(name in _REPORTS for name in ([v] if isinstance(v, str) else v))
    ),
    f"{', '.join(_REPORTS)} or a list of these",
    alone=True,
)


@takes_words("a training argument", LACKING)
@documented()
@dataclass
class TrainingArguments:
    """The options of `Trainer`, with the names and defaults of transformers 5.

    `logging_steps` is 10 and `save_total_limit` 2 here. Words of transformers 4, nanoGPT and
    axolotl that mean the same are accepted (`evaluation_strategy`, `warmup_ratio`, `max_iters`,
    `micro_batch_size`, ...), and so are options of transformers that we lack where they ask for
    nothing (`fp16=False`, `push_to_hub=False`). Any other unknown word raises ConfigError with the
    nearest name; so does a value out of range, and an option that could have no effect beside the
    others.
    """

    output_dir: str = option(
        "trainer_output", "Where checkpoints and logs are written.", _DIRECTORY, words="out_dir"
    )
    overwrite_output_dir: bool = option(
        False, "Delete the checkpoints and logs that a former run left in output_dir."
    )

    # How long, how many at once
    per_device_train_batch_size: int = option(
        8, "Examples in one forward and backward pass.", COUNT,
        words="batch_size micro_batch_size train_batch_size per_gpu_train_batch_size",
    )  # fmt: skip
    per_device_eval_batch_size: int = option(
        8, "Examples in one forward pass of an evaluation.", COUNT,
        words="eval_batch_size per_gpu_eval_batch_size",
    )  # fmt: skip
    gradient_accumulation_steps: int = option(
        1, "Passes whose gradients are summed before one update.", COUNT
    )
    num_train_epochs: float = option(
        3.0, "Passes over the data; may be a fraction.", above(0), words="epochs num_epochs"
    )
    max_steps: int = option(
        -1, "Number of updates; positive, it replaces num_train_epochs.",
        that(lambda v: v == -1 or v >= 1, "at least 1, or -1"), words="max_iters steps",
    )  # fmt: skip
    max_length: int | None = option(
        None, "Cut examples to this many tokens when they are padded into a batch.", COUNT,
        words="sequence_len max_seq_length max_seq_len",
    )  # fmt: skip

    # Optimizer and schedule
    optim: str = option(
        "adamw", "The optimizer: adamw or sgd.",
        one_of("adamw", "sgd", adamw_torch="adamw", adamw_torch_fused="adamw", adamw_hf="adamw"),
        words="optimizer",
    )  # fmt: skip
    learning_rate: float = option(5e-5, "The peak learning rate.", above(0), words="lr")
    lr_scheduler_type: str = option(
        "linear", f"One of {', '.join(SCHEDULES)}.",
        one_of(*SCHEDULES, wsd="warmup_stable_decay"), words="lr_scheduler scheduler",
    )  # fmt: skip
    lr_scheduler_kwargs: Mapping[str, Any] | None = option(
        None, "Options of the schedule itself: num_cycles (cosine), power (polynomial), timescale "
        "(inverse_sqrt), num_decay_steps and decay_type (warmup_stable_decay).",
    )  # fmt: skip
    warmup_steps: float = option(
        0, "Updates of linear rise to the peak; below 1, that part of all updates.",
        that(lambda v: v >= 0 and _is_steps(v), "a whole number, or a ratio from 0 to below 1"),
        words="warmup warmup_iters", ratio="warmup_ratio",
    )  # fmt: skip
    min_lr: float | None = option(
        None, "The learning rate that the schedule falls to.", NOT_NEGATIVE
    )
    weight_decay: float = option(
        0.0, "Decoupled decay of matrices; never of bias and norms.", NOT_NEGATIVE, words="wd"
    )
    adam_beta1: float = option(0.9, "AdamW: decay of the gradient's mean.", SHARE, words="beta1")
    adam_beta2: float = option(0.999, "AdamW: decay of its square's mean.", SHARE, words="beta2")
    adam_epsilon: float = option(1e-8, "AdamW: added to the denominator.", above(0))
    momentum: float = option(0.0, "SGD: decay of the running sum of gradients.", SHARE)
    max_grad_norm: float = option(
        1.0, "Scale gradients so that their global norm is at most this; 0 leaves them alone.",
        NOT_NEGATIVE, words="grad_clip gradient_clipping",
    )  # fmt: skip
    label_smoothing_factor: float = option(
        0.0, "Share of the target spread evenly over the classes, in training only.",
        SHARE, words="label_smoothing",
    )  # fmt: skip

    # Where, memory and precision
    device: str | None = option(
        None, "Where to train and evaluate: cpu, cuda, cuda:N, or auto for a GPU where there is "
        "one; default where the model is, which is the CPU.", DEVICE,
    )  # fmt: skip
    bf16: bool = option(
        False, "Store weights and activations in bfloat16, with float32 master weights."
    )
    activation_checkpointing: bool = option(
        False, "Keep only block inputs and recompute the rest in backward: less memory.",
        words="gradient_checkpointing",
    )  # fmt: skip

    # The model
    dropout: float | None = option(None, "Replace every dropout probability of the model.", SHARE)
    freeze: Sequence[str] | None = option(
        None, "Globs of parameters or modules that are not trained.", SOME_TEXTS
    )
    train_only: Sequence[str] | None = option(
        None, "Globs of the only parameters or modules that are trained.", SOME_TEXTS
    )

    # Watching
    logging_steps: float = option(
        10, "A log record every so many updates; below 1, that part of all updates.",
        _SOME_STEPS, words="log_interval",
    )  # fmt: skip
    eval_strategy: str = option(
        "no", "When to evaluate: no, steps or epoch.", one_of("no", "steps", "epoch"),
        words="evaluation_strategy",
    )  # fmt: skip
    eval_steps: float | None = option(
        None, "An evaluation every so many updates; default logging_steps.",
        _SOME_STEPS, words="eval_interval",
    )  # fmt: skip
    disable_tqdm: bool | None = option(
        None,
        "Plain lines in the place of a progress bar; default a bar on a terminal, a table in a "
        "notebook, lines elsewhere.",
    )
    report_to: str | Sequence[str] | None = option(
        None,
        "What else is told of log.jsonl: tensorboard (extra log; events in output_dir/runs), wandb "
        "where it is installed, all of these or none.",
        _SOME_REPORTS,
    )

    # Saving and the best model
    save_strategy: str = option(
        "steps", "When to save: no, steps, epoch or best.", one_of("no", "steps", "epoch", "best")
    )
    save_steps: float = option(
        500, "A checkpoint every so many updates; below 1, that part of all updates.", _SOME_STEPS
    )
    save_total_limit: int | None = option(
        2,
        "Checkpoints to keep, the newest; the best one is kept besides. 0 keeps all. Where none is "
        "said, finetune and pretrain keep one once a run has ended.",
        NOT_NEGATIVE,
    )
    load_best_model_at_end: bool = option(
        False, "Save each new best model and load the best one when training ends."
    )
    metric_for_best_model: str | None = option(
        None, "The evaluation metric that decides, with or without eval_; default loss, or the "
        "task's. Of equal ones that with the lower loss, then the later.", NOT_EMPTY,
    )  # fmt: skip
    greater_is_better: bool | None = option(
        None,
        "Whether more of the deciding metric is better; default so, except for one whose name ends "
        "in loss or perplexity.",
    )
    early_stopping_patience: int | None = option(
        None, "Stop after so many evaluations in a row without improvement; a lower loss at the "
        "same metric is one.", COUNT,
    )  # fmt: skip
    early_stopping_threshold: float = option(
        0.0, "An improvement must be larger than this to count for early stopping.", NOT_NEGATIVE
    )

    # Repeating and resuming
    seed: int = option(
        42, "Decides data order and dropout; the same seed gives the same bytes.", SEED
    )
    resume_from_checkpoint: str | bool | None = option(
        None, "A checkpoint directory, or true for the newest good one in output_dir.",
        NOT_EMPTY, words="resume",
    )  # fmt: skip
    allow_changed_inputs: bool = option(
        False, "Resume though seed, batch size, data, tokenizer or configuration are not those "
        "that the checkpoint was written with.",
    )  # fmt: skip

    if TYPE_CHECKING:  # what scripts for transformers say most often of what we lack, see `words`
        dataloader_num_workers: InitVar[Literal[0]] = 0
        fp16: InitVar[Literal[False]] = False
        push_to_hub: InitVar[Literal[False]] = False
        remove_unused_columns: InitVar[Literal[True]] = True

    def __post_init__(self, *lacking: Any) -> None:
        self.check()

    def __repr__(self) -> str:
        return brief(self)

    def check(self) -> None:
        """Raise ConfigError at the first value that is out of range or could have no effect.

        Fields may be set after the object is made; `Trainer` looks again.
        """
        check(self)
        _check_schedule(self)
        _check_effects(self)
        _check_best_model(self)

    def check_evaluated(self, name: str, data: Any) -> None:
        """Raise ConfigError where evaluations are asked for and there is no data for them.

        name : the argument that gives it
        """
        if self.eval_strategy != "no" and data is None:
            strategy = shown(self.eval_strategy)
            raise ConfigError(f"{name}: got None, eval_strategy={strategy} needs one")

    def check_device(self) -> None:
        """Raise DeviceError where `device`, or what it needs, is missing: before data are read."""
        if self.device is not None:
            as_device(self.device)

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


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, Mapping))


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
    by_schedule = f"with lr_scheduler_type={shown(args.lr_scheduler_type)}"
    by_optim = f"with optim={shown(args.optim)}"
    by_steps = f"with eval_strategy={shown(args.eval_strategy)}"
    by_saving = f"with save_strategy={shown(args.save_strategy)}"
    refuse_idle(
        args,
        ("num_train_epochs", args.max_steps > 0, f"with max_steps={args.max_steps}"),
        ("warmup_steps", not schedule.warmup, by_schedule),
        ("min_lr", not schedule.floor, by_schedule),
        ("momentum", args.optim != "sgd", by_optim),
        *((name, args.optim != "adamw", by_optim) for name in _OF_ADAMW),
        ("eval_steps", args.eval_strategy != "steps", by_steps),
        ("save_steps", args.save_strategy != "steps", by_saving),
        ("early_stopping_threshold", args.early_stopping_patience is None,
         "with early_stopping_patience=None"),
        ("metric_for_best_model", not args.watches_best, "with no best model asked for"),
        ("greater_is_better", not args.watches_best, "with no best model asked for"),
        ("train_only", args.freeze is not None, "with freeze (give one of the two)"),
    )  # fmt: skip


def _check_best_model(args: TrainingArguments) -> None:
    asks = {
        "early_stopping_patience": args.early_stopping_patience is not None,
        "load_best_model_at_end": args.load_best_model_at_end,
        "save_strategy='best'": args.save_strategy == "best",
    }
    for name, asked in asks.items():
        if asked and args.eval_strategy == "no":
            raise ConfigError(f"{name}: needs evaluations; set eval_strategy to steps or epoch")
    if args.load_best_model_at_end and args.save_strategy == "no":
        raise ConfigError("load_best_model_at_end: needs checkpoints; save_strategy is 'no'")

"""Other people's words for our training arguments.

A word that means the same is translated. A word that means something we do not have is answered
with what to write instead. A typing error is answered with the nearest name. Nothing is ignored.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import Any, TypeVar

from ..errors import ConfigError, short, shown

ALIASES: dict[str, str] = {
    # transformers 4
    "evaluation_strategy": "eval_strategy",
    "warmup_ratio": "warmup_steps",
    "gradient_checkpointing": "activation_checkpointing",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    # nanoGPT
    "out_dir": "output_dir",
    "batch_size": "per_device_train_batch_size",
    "max_iters": "max_steps",
    "warmup_iters": "warmup_steps",
    "eval_interval": "eval_steps",
    "log_interval": "logging_steps",
    "beta1": "adam_beta1",
    "beta2": "adam_beta2",
    "grad_clip": "max_grad_norm",
    # axolotl
    "micro_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size",
    "num_epochs": "num_train_epochs",
    "optimizer": "optim",
    "lr_scheduler": "lr_scheduler_type",
    "sequence_len": "max_length",
    # everybody's short words
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "steps": "max_steps",
    "label_smoothing": "label_smoothing_factor",
    "gradient_clipping": "max_grad_norm",
}

INSTEAD: dict[str, str] = {
    "fp16": "float16 does not train on a CPU; did you mean bf16=True?",
    "dtype": "did you mean bf16=True (bfloat16) or bf16=False (float32)?",
    "decay_lr": "did you mean lr_scheduler_type='cosine' (True) or 'constant' (False)?",
    "lr_decay_iters": "the schedule always spans all updates; did you mean max_steps?",
    "eval_iters": "an evaluation always covers the whole eval_dataset; leave it out",
    "init_from": "did you mean resume_from_checkpoint=True, or from_pretrained for the model?",
    "always_save_checkpoint": "did you mean save_strategy='steps' (True) or 'best' (False)?",
    "evals_per_epoch": "did you mean eval_strategy='steps' with eval_steps?",
    "saves_per_epoch": "did you mean save_strategy='steps' with save_steps?",
    "cosine_min_lr_ratio": "did you mean min_lr, a learning rate and not a ratio?",
    "lr_end": "did you mean min_lr?",
    "min_lr_ratio": "did you mean min_lr, a learning rate and not a ratio?",
    "val_set_size": "did you mean the eval_dataset of Trainer?",
    "report_to": "logs are files: log.jsonl and timing.jsonl in output_dir; leave it out",
    "logging_dir": "logs are files: log.jsonl and timing.jsonl in output_dir; leave it out",
    "logging_strategy": "did you mean logging_steps?",
    "no_cuda": "training runs on the CPU; leave it out",
    "use_cpu": "training runs on the CPU; leave it out",
    "data_seed": "did you mean seed?",
    "compile": "kernels are compiled already; leave it out",
}

_VALUES: dict[str, dict[str, str]] = {
    "optim": {"adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_hf": "adamw"},
    "lr_scheduler_type": {"wsd": "warmup_stable_decay"},
}

T = TypeVar("T", bound=type)


def accept_aliases(cls: T) -> T:
    """Class decorator: let the constructor of a dataclass take the words of ALIASES."""
    original = cls.__init__  # type: ignore[misc]
    names = [name for name in inspect.signature(original).parameters if name != "self"]

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        original(self, *args, **translate(options, names))

    cls.__init__ = __init__  # type: ignore[misc]
    return cls


def translate(options: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Rename aliases in `options` to the fields in `names`; ConfigError for unknown words."""
    known: dict[str, Any] = {}
    for word, value in options.items():
        name = word if word in names else ALIASES.get(word)
        if name is None:
            raise ConfigError(_unknown(word, names))
        if name in known:
            raise ConfigError(f"{word}: {name} is given twice, by two of its names; keep one")
        if word == "warmup_ratio":
            _check_ratio(value)
        known[name] = _VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value
    return known


def _check_ratio(value: Any) -> None:
    """A ratio of 1 or more would silently become a number of steps."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ConfigError(f"warmup_ratio: got {shown(value)}, expected a number from 0 to below 1")


def _unknown(word: str, names: list[str]) -> str:
    if word in INSTEAD:
        return f"{word}: not a training argument; {INSTEAD[word]}"
    near = difflib.get_close_matches(word, [*names, *ALIASES], n=1)
    hint = f"did you mean {near[0]}?" if near else "see plainformer.training.TrainingArguments"
    return f"{short(word)}: not a training argument; {hint}"

"""Preparing a model for a run: precision, what is trained, dropout, recomputation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import ConfigError, listed, shown
from ..nn.freezing import matching
from .arguments import TrainingArguments

logger = logging.getLogger("plainformer")

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


_NEEDED = ("named_parameters", "state_dict", "load_state_dict", "train", "eval", "zero_grad", "to")


def check_model(model: Any) -> None:
    """Raise ConfigError unless `model` offers what every run asks of one."""
    missing = [name for name in ("__call__", *_NEEDED) if not callable(getattr(model, name, None))]
    if missing or isinstance(model, type):
        lacks = f" without {listed(missing)}" if missing else ""
        raise ConfigError(f"model: got {shown(model)}{lacks}, expected a plainformer.nn.Module")


def prepare_model(model: Any, args: TrainingArguments) -> None:
    """Apply `freeze`, `train_only`, `dropout` and `activation_checkpointing` to `model`.

    Raises ConfigError when one of them would change nothing, or nothing is left to train.
    """
    choose_trainable(model, freeze=args.freeze, train_only=args.train_only)
    if args.dropout is not None and _method(model, "set_dropout", "dropout")(args.dropout) == 0:
        raise ConfigError(f"dropout: got {args.dropout}, the model has no dropout; leave it out")
    if args.activation_checkpointing:
        _method(model, "gradient_checkpointing_enable", "activation_checkpointing")()
    elif hasattr(model, "gradient_checkpointing_disable"):
        model.gradient_checkpointing_disable()
    trained, total = count_parameters(model)
    logger.info("training %d of %d parameters", trained, total)


def _method(model: Any, name: str, option: str) -> Any:
    """What an option asks a model to do."""
    found = getattr(model, name, None)
    if found is None:
        raise ConfigError(f"{option}: {type(model).__name__} has no {name}; leave it out")
    return found


def choose_trainable(
    model: Any, *, freeze: Sequence[str] | None, train_only: Sequence[str] | None
) -> None:
    """Set `requires_grad` of every parameter from globs of parameter or module names.

    A glob names a run of whole dotted parts anywhere in a name: `encoder.layer.[0-3]` freezes
    `bert.encoder.layer.2.output.dense.weight`.
    """
    globs = freeze or train_only
    if not globs:
        return
    parameters = dict(model.named_parameters())
    chosen = matching(parameters, globs, "freeze" if freeze else "train_only")
    for name, parameter in parameters.items():
        parameter.requires_grad = (name in chosen) == bool(train_only)
    if not any(p.requires_grad for p in parameters.values()):
        raise ConfigError(f"freeze: got {shown(list(globs))}, which leaves nothing to train")


def count_parameters(model: Any) -> tuple[int, int]:
    """Numbers of trained and of all values; tied parameters count once."""
    sizes = [(p.requires_grad, int(p.data.size)) for _, p in model.named_parameters()]
    return sum(size for trained, size in sizes if trained), sum(size for _, size in sizes)


def float32_values(model: Any) -> dict[str, np.ndarray]:
    """Trained parameters in float32, before storage is rounded: the first master weights."""
    return {
        name: np.array(p.data, dtype=np.float32)
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def set_storage(model: Any, args: TrainingArguments) -> None:
    """Store weights in bfloat16 with `bf16`, and never in bfloat16 without it."""
    is_bf16 = any(p.data.dtype == BFLOAT16 for _, p in model.named_parameters())
    if args.bf16:
        model.to("bfloat16")
    elif is_bf16:
        model.to("float32")

"""Preparing a model for a run: precision, what is trained, dropout, recomputation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import ConfigError, listed, shown
from ..nn import count_parameters, freezing
from ..nn.module import DTYPES
from ..parameter import Parameter
from ..quantized import NOT_TRAINED, QuantizedParameter
from ..tensor import Array
from .arguments import TrainingArguments
from .losses import takes

logger = logging.getLogger("plainformer")


class Trainable(Protocol):
    """What `Trainer` asks of a model; every `nn.Module` with a `forward` has it.

    Calling it with a batch by name returns a loss where the batch has labels: a Tensor of one
    number, alone, first in a tuple, or as `.loss`; and `.logits`, or second in the tuple, for
    `predict`. The loss is a mean over labels, or with an argument `num_items_in_batch` their sum
    over that number. What else a model has is used where it is there:

        count_labels(batch)                 how many labels enter the loss
        label_smoothing=, return_logits=    arguments of a call, given where they are asked for
        save_pretrained(directory)          else the weights alone are saved
        set_dropout(p), gradient_checkpointing_enable(), to(dtype), to(device)
                                            what `dropout`, `activation_checkpointing`, `bf16` and
                                            `device` need
    """

    training: bool

    def __call__(self, **batch: Any) -> Any: ...
    def named_parameters(self) -> Iterable[tuple[str, Parameter]]: ...
    def state_dict(self) -> Mapping[str, Array]: ...
    def load_state_dict(self, state: Mapping[str, Array], /) -> Any: ...
    def train(self) -> Any: ...
    def eval(self) -> Any: ...


_NEEDED = ("training", "named_parameters", "state_dict", "load_state_dict", "train", "eval")


def check_model(model: Any) -> None:
    """Raise ConfigError unless `model` has what every run asks of one, see `Trainable`."""
    missing = [name for name in _NEEDED if not hasattr(model, name)]
    if not callable(model):
        missing.insert(0, "__call__")
    if missing or isinstance(model, type):
        lacks = f" without {listed(missing)}" if missing else ""
        raise ConfigError(
            f"model: got {shown(model)}{lacks}, expected a plainformer.nn.Module, or what has the "
            "same methods"
        )
    others = [name for name, p in model.named_parameters() if not isinstance(p, Parameter)]
    if others:
        raise ConfigError(
            f"model: {type(model).__name__} has {listed(others, 3)}, which are no plainformer "
            "Parameters"
        )
    if any(isinstance(p, QuantizedParameter) for _, p in model.named_parameters()):
        raise ConfigError(f"model: {NOT_TRAINED}")
    if next(iter(model.named_parameters()), None) is None:
        raise ConfigError(f"model: {type(model).__name__} has no parameters to train")


def prepare_model(model: Any, args: TrainingArguments) -> None:
    """Apply `device`, `freeze`, `train_only`, `dropout` and `activation_checkpointing`.

    Raises ConfigError when one of them would change nothing, or nothing is left to train.
    """
    if args.device is not None:
        _method(model, "to", "device")(args.device)
    choose_trainable(model, freeze=args.freeze, train_only=args.train_only)
    if args.dropout is not None and _method(model, "set_dropout", "dropout")(args.dropout) == 0:
        raise ConfigError(f"dropout: got {args.dropout}, the model has no dropout; leave it out")
    if args.activation_checkpointing:
        _method(model, "gradient_checkpointing_enable", "activation_checkpointing")()
    if args.label_smoothing_factor and not takes(model, "label_smoothing"):
        raise ConfigError(
            f"label_smoothing_factor: {type(model).__name__} takes no label_smoothing; leave it out"
        )
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
    """Freeze the parameters that globs of parameter or module names say; what is frozen already
    stays so, unless `train_only` names it.

    A glob names a run of whole dotted parts anywhere in a name: `encoder.layer.[0-3]` freezes
    `bert.encoder.layer.2.output.dense.weight`.
    """
    parameters = dict(model.named_parameters())
    if train_only:
        freezing.train_only(model, freezing.matching(parameters, train_only, "train_only"))
    for name in freezing.matching(parameters, freeze or (), "freeze"):
        parameters[name].requires_grad = False
    if freeze and not any(p.requires_grad for p in parameters.values()):
        raise ConfigError(f"freeze: got {shown(list(freeze))}, which leaves nothing to train")


def float32_values(model: Any) -> dict[str, Array]:
    """Trained parameters in float32, before storage is rounded: the first master weights."""
    trained = ((name, p.data) for name, p in model.named_parameters() if p.requires_grad)
    return {name: data.astype("float32") for name, data in trained}


def set_storage(model: Any, args: TrainingArguments) -> None:
    """Store weights in bfloat16 with `bf16`, and never in bfloat16 without it."""
    is_bf16 = any(p.dtype == DTYPES["bfloat16"] for _, p in model.named_parameters())
    if args.bf16 or is_bf16:
        _method(model, "to", "bf16")("bfloat16" if args.bf16 else "float32")

"""The loss of a batch, in whatever form a model returns it, and how losses of batches add up."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import functional, kernels
from ..data.batches import IGNORE_INDEX
from ..errors import ConfigError, ShapeError, listed
from ..nn.module import Module
from ..tensor import Tensor

Batch = dict[str, Any]
Arrays = tuple[np.ndarray, ...]

_LABELS = (("labels",), ("shift_labels",), ("start_positions", "end_positions"))


def batch_labels(batch: Batch) -> Arrays:
    """The labels of a batch under whatever name, those of spans a pair; empty without any."""
    for names in _LABELS:
        found = [batch[name] for name in names if batch.get(name) is not None]
        if found:
            return tuple(map(kernels.array_of, found))
    return ()


def count_labels(model: Any, batch: Batch) -> int:
    """How many labels of a batch enter the loss.

    The model's own `count_labels(batch)` decides, if it has one: a causal model drops the first
    label of each sequence. Otherwise every label counts that is not -100, or every example where
    labels have names of their own.
    """
    check_inputs(model, batch)
    labels, count = batch_labels(batch), getattr(model, "count_labels", None)
    if count is not None:
        if not labels:
            raise ShapeError(
                f"batch: got {listed(sorted(batch))}, training needs labels or shift_labels"
            )
        return int(count(batch))
    if labels:
        return int((labels[0] != IGNORE_INDEX).sum())
    return len(next(iter(batch.values()), ()))


def compute_loss(model: Any, batch: Batch, items: int, **options: Any) -> tuple[Any, Tensor]:
    """What a model returns for a batch with labels, and the sum of its losses over `items`.

    A model that takes `num_items_in_batch` divides by it. The loss of any other is taken for a
    mean over its labels.

    Raises
    ------
    ConfigError : there is no loss in what it returns, or one that is no Tensor of one number
    """
    if takes(model, "num_items_in_batch"):
        output = model(**batch, num_items_in_batch=items, **options)
        return output, _checked_loss(model, output)
    output = model(**batch, **options)
    loss, count = _checked_loss(model, output), count_labels(model, batch)
    return output, loss if count == items else functional.scale(loss, count / items)


def part_of(output: Any, name: str, place: int) -> Any:
    """A part of what a model returns: an attribute, an entry or, of a tuple, what is in a place."""
    if isinstance(output, Mapping):
        return output.get(name)
    if isinstance(output, tuple) and not hasattr(output, name):
        return output[place] if place < len(output) else None
    return getattr(output, name, None)


def loss_of(output: Any) -> Any:
    """The loss in what a model returns: alone, first in a tuple, or as `loss`; None without one."""
    return output if isinstance(output, Tensor) else part_of(output, "loss", 0)


def _checked_loss(model: Any, output: Any) -> Tensor:
    loss = loss_of(output)
    if isinstance(loss, Tensor) and loss.size == 1:
        return loss
    if isinstance(loss, Tensor):
        got = f"a loss of shape {loss.shape}"
    else:
        kind = type(output if loss is None else loss).__name__
        got = f"{kind} without a loss" if loss is None else f"a loss that is a {kind}"
    raise ConfigError(
        f"model: {type(model).__name__} returned {got}, expected a Tensor of one number: alone, "
        "first in a tuple, or as .loss"
    )


@dataclass
class LossSum:
    """The sum of the losses of labels that count, how many they are, and of how many batches.

    The sum is a Python float over per-batch float32 sums, divided once by all labels that count,
    so that batches of unequal size weigh what they hold.
    """

    total: float = 0.0
    count: int = 0
    batches: int = 0

    @property
    def mean(self) -> float:
        """Mean over all labels that count; NaN without any."""
        return self.total / self.count if self.count else math.nan

    def add(self, model: Any, batch: Batch, *, return_logits: bool = True) -> Any:
        """Run a batch, and count its loss where it has labels; what the model returned."""
        if batch_labels(batch):
            options = {"return_logits": return_logits} if takes(model, "return_logits") else {}
            self._count(model, batch)
            output, loss = compute_loss(model, batch, 1, **options)
            self.total += loss.item()
            return output
        check_inputs(model, batch)
        output = model(**batch)
        found = loss_of(output)
        if isinstance(found, Tensor) and found.shape == ():  # of labels under a name of their own
            self.total += found.item() * self._count(model, batch)
        return output

    def _count(self, model: Any, batch: Batch) -> int:
        count = count_labels(model, batch)
        self.count, self.batches = self.count + count, self.batches + 1
        return count


def check_inputs(model: Any, batch: Batch) -> None:
    """Raise ConfigError where a batch holds what the model does not take."""
    unknown = [name for name in batch if not takes(model, name)]
    if unknown:
        raise ConfigError(
            f"batch: got {listed(unknown)}, which {type(model).__name__} does not take; leave it "
            "out of the examples, or give a data_collator that does"
        )


def takes(model: Any, name: str) -> bool:
    """Whether calling a model takes an argument of this name."""
    taken = _inputs_of(model.__class__)
    return taken is None or name in taken


@lru_cache(maxsize=64)
def _inputs_of(kind: Any) -> frozenset[str] | None:
    """The names that calling a model takes; None where it takes any."""
    is_module = issubclass(kind, Module) and kind.forward is not Module.forward
    parameters = inspect.signature(kind.forward if is_module else kind.__call__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return frozenset(parameters) | {"output_hidden_states", "output_attentions"}

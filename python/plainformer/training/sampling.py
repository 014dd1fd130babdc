"""Which examples make up which update: a pure function of seed and update number.

Nothing here remembers a position, so a resumed run continues in the middle of an epoch by asking
for its next update.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..data.batches import check_examples, epoch_order, of_epoch
from ..errors import ConfigError, ShapeError, listed
from ..nn.module import Module
from .arguments import TrainingArguments

Batch = dict[str, Any]
Collator = Callable[[list[Any]], Batch]

IGNORED = -100
LABELS = ("labels", "shift_labels", "start_positions")  # what a batch to train on has one of


class EpochView:
    """One epoch of a data set, in that epoch's order.

    A data set with `for_epoch(seed, epoch)` gives its own examples for each epoch (language model
    blocks start at a random offset); any other is only permuted.
    """

    def __init__(self, dataset: Any, seed: int, epoch: int):
        self.dataset = of_epoch(dataset, seed, epoch)
        self.order = epoch_order(len(self.dataset), seed, epoch)

    def examples(self, start: int, stop: int) -> list[Any]:
        """The examples at places `start` to `stop` of the epoch."""
        return [self.dataset[int(i)] for i in self.order[start:stop]]


class UpdatePlan:
    """Cuts epochs into updates of `gradient_accumulation_steps` batches.

    The last batch of an epoch may be short and the last update may have fewer batches; an update
    never spans two epochs.
    """

    def __init__(self, dataset: Any, args: TrainingArguments, collate: Collator):
        check_dataset("train_dataset", dataset)
        self.dataset = dataset
        self.collate = collate
        self.seed = args.seed
        self.batch_size = args.per_device_train_batch_size
        self.per_update = self.batch_size * args.gradient_accumulation_steps
        self.steps_per_epoch = math.ceil(len(dataset) / self.per_update)
        self._view: tuple[int, EpochView] | None = None

    def total_steps(self, args: TrainingArguments) -> int:
        """Updates of the whole run."""
        if args.max_steps > 0:
            return args.max_steps
        return math.ceil(args.num_train_epochs * self.steps_per_epoch)

    def batches(self, step: int) -> list[Batch]:
        """The batches of update `step` (0 for the first)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        view = self._epoch(epoch)
        start = place * self.per_update
        stop = min(start + self.per_update, len(view.order))
        cuts = range(start, stop, self.batch_size)
        examples = (view.examples(a, min(a + self.batch_size, stop)) for a in cuts)
        return [make_batch(self.collate, chosen) for chosen in examples]

    def fingerprint(self) -> dict[str, int]:
        """What must not change between a checkpoint and its continuation."""
        return {
            "seed": self.seed,
            "per_device_train_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.per_update // self.batch_size,
            "train_dataset_length": len(self.dataset),
        }

    def _epoch(self, epoch: int) -> EpochView:
        if self._view is None or self._view[0] != epoch:
            self._view = (epoch, EpochView(self.dataset, self.seed, epoch))
        return self._view[1]


def check_dataset(name: str, dataset: Any) -> None:
    """Raise ConfigError unless `dataset` has a length above 0 and can be indexed by numbers."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise ConfigError(f"{name}: got {type(dataset).__name__}, expected __len__ and __getitem__")
    if isinstance(dataset, type):
        raise ConfigError(f"{name}: got the class {dataset.__name__}, expected an object of it")
    if hasattr(dataset, "iloc") or (isinstance(dataset, Mapping) and 0 not in dataset):
        hint = "; its to_dict('records') is one" if hasattr(dataset, "iloc") else ""
        raise ConfigError(
            f"{name}: got a {type(dataset).__name__} of columns, expected a sequence of examples, "
            f"a dict each{hint}"
        )
    if len(dataset) == 0:
        raise ConfigError(f"{name}: got no examples, expected at least one")


def sequential_batches(dataset: Sequence[Any], size: int, collate: Collator) -> Any:
    """The batches of a data set in its own order, the last one perhaps short."""
    for start in range(0, len(dataset), size):
        stop = min(start + size, len(dataset))
        yield make_batch(collate, [dataset[i] for i in range(start, stop)])


def make_batch(collate: Collator, examples: list[Any]) -> Batch:
    """What a collator makes of some examples; ConfigError unless it is a mapping."""
    batch = collate(examples)
    if not isinstance(batch, Mapping):
        raise ConfigError(
            f"data_collator: returned {type(batch).__name__}, expected a dict of arrays"
        )
    return batch


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


def count_tokens(batch: Batch) -> int:
    """Input tokens of a batch, without padding where an attention mask tells."""
    mask = batch.get("attention_mask")
    if mask is not None:
        return int(np.count_nonzero(np.asarray(mask)))
    ids = batch.get("input_ids")
    return 0 if ids is None else int(np.asarray(ids).size)


def count_labels(model: Any, batch: Batch) -> int:
    """How many labels of a batch enter the loss.

    The model's own `count_labels(batch)` decides, if it has one: a causal model drops the first
    label of each sequence. Otherwise every label counts that is not -100.
    """
    check_inputs(model, batch)
    given = [name for name in LABELS if batch.get(name) is not None]
    if not given:
        raise ShapeError(
            f"batch: got {listed(sorted(batch))}, training needs labels or shift_labels"
        )
    count = getattr(model, "count_labels", None)
    if count is not None:
        return int(count(batch))
    return int(np.count_nonzero(np.asarray(batch[given[0]]) != IGNORED))


class Truncation:
    """Cuts the rows of every example to `max_length` before a collator pads them."""

    def __init__(self, collate: Collator, max_length: int):
        self.collate = collate
        self.max_length = max_length

    def __call__(self, examples: list[Any]) -> Batch:
        check_examples(examples)
        cut = [{k: self._cut(v) for k, v in example.items()} for example in examples]
        return self.collate(cut)

    def _cut(self, value: Any) -> Any:
        is_row = isinstance(value, (list, tuple)) or np.ndim(value) == 1
        return value[: self.max_length] if is_row else value

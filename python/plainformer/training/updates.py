"""Which examples make up which update: a pure function of seed and update number.

Nothing here remembers a position, so a resumed run continues in the middle of an epoch by asking
for its next update.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import kernels
from ..data.batches import epoch_order, of_epoch
from ..data.fingerprints import digest
from ..errors import ConfigError, shown
from .arguments import TrainingArguments
from .collators import Collator, make_batch
from .losses import Batch


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
        self.dataset = dataset = as_dataset("train_dataset", dataset)
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


class Columns:
    """Examples of a data set that is a dict of columns: arrays or lists of one length."""

    def __init__(self, name: str, columns: Mapping[str, Any]):
        self.columns = dict(columns)
        other = next((k for k, values in columns.items() if not _is_column(values)), None)
        if other is not None:
            raise ConfigError(
                f"{name}: got a dict with {type(columns[other]).__name__} under {shown(other)}, "
                "expected columns: arrays or lists of one length; or a sequence of dicts"
            )
        lengths = {key: len(values) for key, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ConfigError(f"{name}: got columns of lengths {lengths}, expected one length")
        self._length = max(lengths.values(), default=0)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {key: values[index] for key, values in self.columns.items()}

    def fingerprint(self) -> str:
        """A digest of all columns."""
        return digest(self.columns)


def as_dataset(name: str, dataset: Any) -> Any:
    """A data set as it is indexed; columns become examples.

    Raises
    ------
    ConfigError : no length above 0, or it cannot be indexed by numbers
    """
    if isinstance(dataset, type):
        raise ConfigError(f"{name}: got the class {dataset.__name__}, expected an object of it")
    if hasattr(dataset, "iloc"):
        raise ConfigError(
            f"{name}: got a {type(dataset).__name__} of columns, expected a sequence of examples, "
            "a dict each; its to_dict('records') is one"
        )
    if isinstance(dataset, Mapping) and 0 not in dataset:
        dataset = Columns(name, dataset)
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise ConfigError(f"{name}: got {type(dataset).__name__}, expected __len__ and __getitem__")
    if len(dataset) == 0:
        raise ConfigError(f"{name}: got no examples, expected at least one")
    return dataset


def _is_column(values: Any) -> bool:
    return values.ndim > 0 if hasattr(values, "ndim") else isinstance(values, (list, tuple))


def sequential_batches(dataset: Sequence[Any], size: int, collate: Collator) -> Iterator[Batch]:
    """The batches of a data set in its own order, the last one perhaps short."""
    for start in range(0, len(dataset), size):
        stop = min(start + size, len(dataset))
        yield make_batch(collate, [dataset[i] for i in range(start, stop)])


def count_tokens(batch: Batch) -> int:
    """Input tokens of a batch, without padding where an attention mask tells."""
    mask = batch.get("attention_mask")
    if mask is not None:
        return int((kernels.array_of(mask) != 0).sum())
    ids = batch.get("input_ids")
    return (
        0 if ids is None else int(ids.size if hasattr(ids, "size") else kernels.array_of(ids).size)
    )

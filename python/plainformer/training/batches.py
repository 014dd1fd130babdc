"""Which examples make up which update, and how they become a batch.

The first is a pure function of seed and update number. Nothing here remembers a position, so a
resumed run continues in the middle of an epoch by asking for its next update. A batch is padded and
has masks, for any module, or holds rows of their own lengths, for ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..data.batches import IGNORE_INDEX, check_examples, collate, epoch_order, of_epoch
from ..data.fingerprints import digest
from ..errors import ConfigError, ShapeError, shown
from ..nn import RaggedRows
from .arguments import TrainingArguments
from .losses import Batch, takes

Collator = Callable[[list[Any]], Batch]

_LABELS = ("labels", "shift_labels")
_BESIDE_TOKENS = ("input_ids", "token_type_ids")  # always rows, though they may be equal


def make_batch(collate: Collator, examples: list[Any]) -> Batch:
    """What a collator makes of some examples; ConfigError unless it is a mapping."""
    batch = collate(examples)
    if not isinstance(batch, Mapping):
        raise ConfigError(
            f"data_collator: returned {type(batch).__name__}, expected a dict of arrays"
        )
    return batch


class PaddedCollator:
    """Rows filled up to the longest, with masks that say so; what `Trainer` does by default.

    model : what the batches are for; one that takes no mask gets none where nothing is filled up
    max_length : what the rows of every example are cut to before
    """

    def __init__(self, model: Any, max_length: int | None = None):
        self.model, self.max_length = model, max_length

    def __call__(self, examples: list[Any]) -> Batch:
        check_examples(examples)
        if self.max_length is not None:
            examples = [{k: self._cut(v) for k, v in example.items()} for example in examples]
        batch = collate(examples)
        idle = [name for name in batch.keys() - examples[0].keys() if batch[name].all()]
        return {k: v for k, v in batch.items() if k not in idle or takes(self.model, k)}

    def _cut(self, value: Any) -> Any:
        is_row = isinstance(value, (list, tuple)) or np.ndim(value) == 1
        return value[: self.max_length] if is_row else value


def collate_rows(examples: Iterable[Mapping[str, Any]], group: int = 1) -> Batch:
    """A batch for models of this package: rows of their own lengths, of which nothing is padded.

    Ids and all other arrays of several lengths become `nn.RaggedRows`, other values are stacked.

    group : rows of each example, where it has several

    Raises
    ------
    DataError, ShapeError : examples that are no dicts, none, or of different keys
    """
    found = list(examples)
    check_examples(found)
    return {key: _column(key, [np.asarray(one[key]) for one in found], group) for key in found[0]}


def collate_groups(name: str, examples: Sequence[Mapping[str, Any]]) -> Batch:
    """As `collate_rows`, of examples with several rows each, in lists; labels are one an example.

    Raises
    ------
    ShapeError : examples of another number of rows, which are called `name`
    """
    counts = {len(one["input_ids"]) for one in examples}
    if len(counts) > 1:
        raise ShapeError(f"{name}: got {sorted(counts)} in one batch, expected as many in all")
    [count] = counts
    keys = [key for key in examples[0] if key != "labels"]
    rows = [{key: one[key][i] for key in keys} for one in examples for i in range(count)]
    batch = collate_rows(rows, group=count)
    if "labels" in examples[0]:
        batch["labels"] = np.stack([one["labels"] for one in examples])
    return batch


def _column(key: str, arrays: list[np.ndarray], group: int) -> Any:
    if key in _BESIDE_TOKENS or len({array.shape for array in arrays}) > 1:
        return RaggedRows(arrays, IGNORE_INDEX if key in _LABELS else 0, group)
    return np.stack(arrays)


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

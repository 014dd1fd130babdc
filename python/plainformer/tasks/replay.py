"""Old examples mixed into new ones, so that what a model could do is not forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

from ..data.batches import epoch_order, of_epoch
from ..data.fingerprints import digest
from ..options import above
from .features import TaskExamples

# Another seed than the trainer's, which orders the mixture: the same would choose by its order.
_SEED_SHIFT = 1 << 32


class ReplayDataset:
    """New examples, and for each epoch other old ones: a data set for `Trainer`.

    Robins, "Catastrophic Forgetting, Rehearsal and Pseudorehearsal", Connection Science 7, 1995.

    Parameters
    ----------
    new, old : data sets
    fraction : old examples in an epoch, of the new ones; at most all old ones are taken

    Raises
    ------
    ConfigError : fraction is not above 0
    """

    def __init__(self, new: Any, old: Any, fraction: float):
        above(0).check("replay_fraction", fraction)
        self.new, self.old = new, old
        self.count = min(math.ceil(fraction * len(new)), len(old))
        self._chosen: Any = range(self.count)

    def for_epoch(self, seed: int, epoch: int) -> ReplayDataset:
        """The new examples of this epoch, with its choice among the old ones of it."""
        view = copy(self)
        view.new, view.old = (of_epoch(own, seed, epoch) for own in (self.new, self.old))
        order = epoch_order(len(self.old), (seed + _SEED_SHIFT) % 2**64, epoch)
        view._chosen = order[: self.count]
        return view

    def fingerprint(self) -> str:
        """A digest of new and old examples, where both have one (else TypeError)."""
        return digest([self.count, self.new, self.old])

    def __len__(self) -> int:
        return len(self.new) + self.count

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]
        if index < len(self.new):
            return self.new[index]
        return self.old[int(self._chosen[index - len(self.new)])]


class ReplayExamples(TaskExamples):
    """Examples to evaluate beside old ones, which show what the model could do before.

    Metrics are those of the task, `replay_<metric>` of the old ones, and `both_<metric>` and
    `both_loss`, the means of the task's metric and of the loss on both.
    """

    def __init__(self, task: Any, examples: Sequence[Any], old: Sequence[Any]):
        super().__init__(task, examples)
        self.old = TaskExamples(task, old)

    def evaluate(self, batch_size: int) -> dict[str, float]:
        metrics, old = super().evaluate(batch_size), self.old.evaluate(batch_size)
        both = (self.task.metric, "loss")  # the loss decides between equals
        return (
            metrics
            | {f"replay_{name}": value for name, value in old.items()}
            | {f"both_{name}": (metrics[name] + old[name]) / 2 for name in both}
        )

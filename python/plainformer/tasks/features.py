"""What a model takes of examples, encoded once and kept to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import examples_of
from ..data.examples import Example, is_labelled
from ..data.fingerprints import digest
from ..data.labelled.objects import has_gold
from ..training import PredictionOutput

Array = np.ndarray


@dataclass(frozen=True)
class Feature:
    """What a model takes of one example, or of one window of it.

    inputs : arrays by the model's names, without padding; labels among them where known
    place : what `decode` needs to find its way back
    cut : whether something of the example is in no feature of it
    cut_fields : which fields that is, for tasks whose fields have limits of their own
    """

    inputs: dict[str, Any]
    place: Any = None
    cut: bool = False
    cut_fields: tuple[str, ...] = ()


class FeatureDataset:
    """Features to train on: `len`, and the inputs of each. `examples` and `cut` count examples,
    `cut_fields` those of which a field was cut."""

    def __init__(self, features: Iterable[Sequence[Feature]]):
        self._inputs: list[dict[str, Any]] = []
        self.examples = self.cut = 0
        self.cut_fields: Counter[str] = Counter()
        for own in features:
            self.examples += 1
            self.cut += any(feature.cut for feature in own)
            self.cut_fields.update({name for feature in own for name in feature.cut_fields})
            self._inputs += [feature.inputs for feature in own]

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._inputs[index]

    def fingerprint(self) -> str:
        """A digest of all inputs."""
        return digest(self._inputs)

    def lengths(self) -> Array:
        """Tokens of each sequence that the model takes, int64."""
        return np.array([len(row) for row in self._rows()], np.int64)

    def share_of(self, token: int | None) -> float:
        """What part of all tokens is this one."""
        rows = self._rows()
        count = sum(int(np.count_nonzero(row == token)) for row in rows) if token is not None else 0
        return count / sum(map(len, rows))

    def _rows(self) -> list[Array]:
        """The ids of each sequence; an example of several choices has several."""
        ids = [inputs["input_ids"] for inputs in self._inputs]
        return [row for own in ids for row in (own if isinstance(own, list) else [own])]


class TaskExamples:
    """Examples that `Trainer` evaluates and predicts as their task does: for its `eval_dataset`.

    task : Task
    examples : of the task, or dicts with its fields
    """

    def __init__(self, task: Any, examples: Sequence[Any]):
        self.task, self.examples = task, examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Any:
        return self.examples[index]

    def fingerprint(self) -> str:
        """A digest of all examples."""
        return digest(list(self.examples))

    def evaluate(self, batch_size: int) -> dict[str, float]:
        """Loss and metrics of the task."""
        return self.task.evaluate(self._read(labelled=True), batch_size)

    def predict(self, batch_size: int) -> PredictionOutput:
        """What the task answers, as its pipeline does, and metrics if all examples are labelled."""
        examples = self._read(labelled=False)
        found = self.task.predict(examples, batch_size)
        answers = [self.task.answer(example, prediction) for example, prediction in found]
        labelled = all(is_labelled(example, self.task.name) for example in examples)
        return PredictionOutput(answers, None, self.evaluate(batch_size) if labelled else {})

    def _read(self, *, labelled: bool) -> Sequence[Any]:
        """The examples; dicts become such, with labels where all have them."""
        rows, name = self.examples, self.task.name
        if isinstance(rows[0], Example):
            return rows
        labelled = labelled or has_gold(rows, name)
        return examples_of(list(rows), name, name="examples", labelled=labelled)

"""The trainer of a task: the general one, with the task's batches and the task's evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..training import Trainer, TrainingArguments
from .directory import TaskFiles
from .task import Batch, Inputs, Task


class TaskTrainer(Trainer):
    """Trains the model of a task.

    Parameters
    ----------
    task : Task
    args : TrainingArguments
    train_dataset : from `task.dataset`, or a mixture of such
    validation : labelled examples, which `evaluate` goes through
    old_validation : others that show what the model could do before; then evaluations in training
        have `eval_replay_<metric>` of these and `eval_both_<metric>`, the mean of the metric of the
        task on both
    class_weights : float32 (labels,), what the losses of each label are multiplied with in training
    options : others of `Trainer`
    """

    def __init__(
        self,
        task: Task,
        args: TrainingArguments,
        train_dataset: Any = None,
        validation: Sequence[Any] | None = None,
        *,
        old_validation: Sequence[Any] | None = None,
        class_weights: np.ndarray | None = None,
        **options: Any,
    ):
        self.task = task
        self.class_weights = class_weights
        self.old_validation = old_validation
        super().__init__(
            task.model,
            args,
            train_dataset,
            validation,
            data_collator=self._collate,
            processing_class=TaskFiles(task),
            **options,
        )

    def _collate(self, inputs: Sequence[Inputs]) -> Batch:
        batch = self.task.collate(inputs)
        if self.class_weights is not None:
            batch["class_weight"] = self.class_weights
        return batch

    def evaluate(
        self, eval_dataset: Sequence[Any] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss and metrics of the task over labelled examples, `validation` by default."""
        examples = self.eval_dataset if eval_dataset is None else eval_dataset
        if examples is None:
            raise ConfigError("eval_dataset: got None, evaluate() needs examples")
        metrics = self.task.evaluate(examples, self.args.per_device_eval_batch_size)
        if eval_dataset is None and self.old_validation is not None:
            old = self.task.evaluate(self.old_validation, self.args.per_device_eval_batch_size)
            key = self.task.key_metric()
            metrics |= {f"replay_{name}": value for name, value in old.items()}
            metrics[f"both_{key}"] = (metrics[key] + old[key]) / 2
        return {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}

"""The trainer of a task: the general one, with the task's batches and the task's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import examples_of
from ..data.examples import is_labelled, required_fields
from ..errors import ConfigError
from ..training import Trainer, TrainingArguments
from ..training.evaluation import PredictionOutput, run_pass
from ..training.sampling import check_dataset
from .directory import TaskFiles
from .task import Batch, Inputs, Task


class TaskTrainer(Trainer):
    """Trains the model of a task.

    Parameters
    ----------
    task : Task
    args : TrainingArguments
    train_dataset : from `task.dataset`, or a mixture of such
    validation : labelled examples, or objects with the task's fields, or features as
        train_dataset has them, which `evaluate` goes through
    old_validation : others that show what the model could do before; then evaluations in training
        have `eval_replay_<metric>` of these, and `eval_both_<metric>` and `eval_both_loss`, the
        means of the task's metric and of the loss on both
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
        if _has_features(examples):
            return super().evaluate(examples, metric_key_prefix)
        examples = self._examples("eval_dataset", examples, labelled=True)
        metrics = self.task.evaluate(examples, self.args.per_device_eval_batch_size)
        if eval_dataset is None and self.old_validation is not None:
            old = self.task.evaluate(self.old_validation, self.args.per_device_eval_batch_size)
            key = self.task.metric
            metrics |= {f"replay_{name}": value for name, value in old.items()}
            for name in (key, "loss"):  # the loss decides between equals
                metrics[f"both_{name}"] = (metrics[name] + old[name]) / 2
        return {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}

    def predict(
        self, test_dataset: Sequence[Any], metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """What the task answers to examples, as its pipeline does, and metrics if all are labelled.

        Returns
        -------
        PredictionOutput : a list of answers, no label_ids, and the metrics of `evaluate`; of
            features what `Trainer.predict` gives
        """
        check_dataset("test_dataset", test_dataset)
        if _has_features(test_dataset):
            return super().predict(test_dataset, metric_key_prefix)
        examples = self._examples("test_dataset", test_dataset, labelled=False)
        found = self.task.predict(examples, self.args.per_device_eval_batch_size)
        answers = [self.task.answer(example, prediction) for example, prediction in found]
        labelled = all(is_labelled(example, self.task.name) for example in examples)
        metrics = self.evaluate(test_dataset, metric_key_prefix) if labelled else {}
        return PredictionOutput(answers, None, metrics)

    def _pass(self, dataset: Any, *, keep_logits: bool) -> Any:
        """Over features, without the class weights of training."""
        size = self.args.per_device_eval_batch_size
        return run_pass(self.model, dataset, size, self.task.collate, keep_logits)

    def _examples(self, name: str, dataset: Any, *, labelled: bool) -> Sequence[Any]:
        """The examples of a data set; objects with the task's fields become such."""
        check_dataset(name, dataset)
        if not isinstance(dataset[0], Mapping):
            return dataset
        rows = [dataset[i] for i in range(len(dataset))]
        gold = required_fields(self.task.name, True)
        labelled = labelled or all(key in row for key in gold for row in rows)
        return examples_of(rows, self.task.name, name=name, labelled=labelled)


def _has_features(dataset: Any) -> bool:
    """Whether these are what a model takes, and not examples."""
    return isinstance(dataset[0], Mapping) and "input_ids" in dataset[0]

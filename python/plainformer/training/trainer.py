"""Trainer: a model, data and arguments in; a trained model, checkpoints and logs out.

It knows no particular model: what it asks of one is `trainable.Trainable`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoints.huggingface import WEIGHTS
from ..checkpoints.locks import lock_directory
from ..checkpoints.safetensors import save_file
from ..errors import ConfigError, shown
from ..kinds import check_kind
from ..reprs import table_of
from .arguments import TrainingArguments
from .batches import Collator, PaddedCollator, as_dataset, sequential_batches
from .callbacks import EarlyStoppingCallback, TrainerCallback
from .calling import CallbackList
from .checkpoint import CheckpointDirectory
from .evaluation import (
    ComputeMetrics,
    PredictionOutput,
    Predictions,
    metrics_of,
    run_batches,
    with_prefix,
)
from .inputs import as_json, dataset_inputs, model_inputs
from .kept import keep_newest
from .log import RunLog
from .loop import TrainingLoop
from .losses import LossSum
from .reporting import reporters
from .state import TrainerControl, TrainerState
from .trainable import Trainable, check_model, prepare_model
from .updates import ParameterOptions, checked_options


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns.

    global_step : updates made, those of earlier processes included
    training_loss : mean loss of them
    metrics : train_loss, epoch, and this process's train_runtime and train_tokens_per_second
    """

    global_step: int
    training_loss: float
    metrics: dict[str, float]

    def _repr_html_(self) -> str:
        """The figures as a notebook shows them."""
        return table_of(self.metrics, f"{self.global_step} steps")

    def figures(self, args: TrainingArguments) -> dict[str, Any]:
        """What `finetune`, `pretrain` and their commands tell of a training, in short."""
        return {
            "output_dir": args.output_dir,
            "seed": args.seed,
            "steps": self.global_step,
            "epochs": round(self.metrics["epoch"], 4),
            "seconds": round(self.metrics["train_runtime"], 3),
            "tokens_per_second": round(self.metrics["train_tokens_per_second"], 1),
            "train_loss": self.training_loss,
        }


class Trainer:
    """Trains and evaluates a model.

    Parameters
    ----------
    model : an `nn.Module`, or what has the methods of `Trainable`
    args : TrainingArguments; the defaults without
    train_dataset, eval_dataset : anything with `__len__` and `__getitem__` whose items are dicts,
        or whatever data_collator takes, or a dict of columns; one with `for_epoch(seed, epoch)`
        gives its own examples for each epoch; one with `evaluate(batch_size)` or
        `predict(batch_size)`, as `task.examples` gives it, says itself what it is evaluated by
    data_collator : function from a list of items to a batch, a dict of arrays; by default rows
        are padded to the longest, input ids with 0 and labels with -100, with an attention mask
    compute_metrics : function from an EvalPrediction to a dict of numbers
    callbacks : TrainerCallback objects or classes, or transformers' own
    processing_class : tokenizer with `save_pretrained(dir)` or `save(path)`, written beside the
        model into every checkpoint
    parameter_options : dict of parameter name to ParameterOptions: other learning rates, and
        parameters that stay frozen for some epochs
    inputs : what the run is made from, by name: digests (`data.fingerprints`) and plain values. A
        checkpoint keeps them, and a run that is resumed must have the same. None: the data sets
        themselves, where they are lists or have `fingerprint()`. The model's configuration
        always counts

    Raises
    ------
    ConfigError : an argument has a value that is not allowed or would have no effect
    """

    def __init__(
        self,
        model: Trainable,
        args: TrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        data_collator: Collator | None = None,
        compute_metrics: ComputeMetrics | None = None,
        callbacks: Iterable[TrainerCallback | type[TrainerCallback]] | None = None,
        *,
        processing_class: Any = None,
        parameter_options: Mapping[str, ParameterOptions] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ):
        check_model(model)
        self.model: Any = model
        self.args = args if args is not None else TrainingArguments()
        check_kind("args", self.args, TrainingArguments)
        self.args.check()  # fields may have been set since it was made
        self.train_dataset, self.eval_dataset = (
            None if dataset is None else as_dataset(name, dataset)
            for name, dataset in (("train_dataset", train_dataset), ("eval_dataset", eval_dataset))
        )
        self.compute_metrics = _function("compute_metrics", compute_metrics)
        self.processing_class = _savable(processing_class)
        self.parameter_options = checked_options(model, parameter_options or {})
        self._inputs = inputs
        self.collate = self._collator(data_collator)
        given = [] if callbacks is None else callbacks
        if not isinstance(given, Iterable):
            raise ConfigError(f"callbacks: got {shown(given)}, expected a list of TrainerCallbacks")
        own = [*self._own_callbacks(), *reporters(self.args.report_to)]
        self.callbacks = CallbackList([*own, *given])
        self.state = TrainerState()
        self.log: RunLog
        self.args.check_evaluated("eval_dataset", self.eval_dataset)
        prepare_model(model, self.args)
        self._call("on_init_end")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, {self.args})"

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> TrainOutput:
        """Train until the last update, an early stop or Ctrl-C.

        resume_from_checkpoint : a checkpoint directory, or True for the newest good one in
            `output_dir`; default is the argument of the same name

        Raises
        ------
        NonFiniteError : a loss, gradient or weight became NaN or infinite; names it
        CheckpointError : nothing good to resume from, a checkpoint cannot be written, or another
            run is writing into the output directory
        ConfigError : no training data; or the output directory belongs to another run
        TrainingInterrupted : Ctrl-C; everything is saved
        """
        if self.train_dataset is None:
            raise ConfigError("train_dataset: got None, train() needs one")
        resume = resume_from_checkpoint
        if resume is None:
            resume = self.args.resume_from_checkpoint
        if self.args.allow_changed_inputs and not resume:
            raise ConfigError("allow_changed_inputs: has no effect without resume_from_checkpoint")
        start = time.perf_counter()
        with lock_directory(self.args.output_dir) as lock, lock.run():
            loop = TrainingLoop(self, lock)
            loop.run(str(resume) if isinstance(resume, Path) else resume)
        return self._output(time.perf_counter() - start, loop.tokens)

    def evaluate(
        self, eval_dataset: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss and metrics over a data set, `self.eval_dataset` by default.

        The loss is the mean over all labels that count, without label smoothing.
        """
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if dataset is None:
            raise ConfigError("eval_dataset: got None, evaluate() needs one")
        dataset = as_dataset("eval_dataset", dataset)
        if hasattr(dataset, "evaluate"):
            metrics = dataset.evaluate(self.args.per_device_eval_batch_size)
        else:
            loss, found = self._pass(dataset, keep_logits=self.compute_metrics is not None)
            if not loss.batches:
                raise ConfigError(
                    "eval_dataset: has no labels, evaluate() needs them; use predict()"
                )
            metrics = metrics_of(loss, found, self.compute_metrics)
        return with_prefix(metrics, metric_key_prefix)

    def predict(self, test_dataset: Any, metric_key_prefix: str = "test") -> PredictionOutput:
        """Logits over a data set in its order, with labels and metrics where it has labels.

        They are the same whatever the batch size: padding holds -100 in logits and labels. Of a
        model that finds spans both are pairs, for start and end, and padding has the lowest logits;
        of one without a head the predictions are its last hidden states.
        """
        dataset = as_dataset("test_dataset", test_dataset)
        if hasattr(dataset, "predict"):
            predictions, labels, metrics = dataset.predict(self.args.per_device_eval_batch_size)
        else:
            loss, found = self._pass(dataset, keep_logits=True)
            metrics = metrics_of(loss, found, self.compute_metrics)
            predictions, labels = found.joined()
        metrics = with_prefix(metrics, metric_key_prefix)
        self._call("on_predict", metrics)
        return PredictionOutput(predictions, labels, metrics)

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Write the model (and tokenizer) as a Hugging Face directory, `output_dir` by default."""
        directory = Path(self.args.output_dir if output_dir is None else output_dir)
        with lock_directory(directory):
            self.write_model(directory)

    def keep_newest_checkpoint(self, *, has_best: bool = True) -> None:
        """Delete all checkpoints but the newest, from which training can go on.

        For a run that ended and whose model `save_model` has written into `output_dir`.

        has_best : whether that is the best model as a checkpoint has it; if not, as of a model
            that was changed since, the best one's checkpoint stays as well
        """
        with lock_directory(self.args.output_dir):
            directory = CheckpointDirectory(self.args.output_dir, None)
            keep_newest(directory, self.state.best_step, has_best=has_best)

    def write_model(self, directory: Path) -> None:
        """Write the model, and the tokenizer where there is one, into an existing directory."""
        if hasattr(self.model, "save_pretrained"):
            self.model.save_pretrained(directory)
        else:
            save_file(self.model.state_dict(), directory / WEIGHTS)
        tokenizer = self.processing_class
        if hasattr(tokenizer, "save_pretrained"):
            tokenizer.save_pretrained(directory)
        elif tokenizer is not None:
            tokenizer.save(str(directory / "tokenizer.json"))

    def inputs(self) -> dict[str, Any]:
        """What a checkpoint keeps of what this run is made from."""
        given = self._inputs
        if given is None:
            evaluated = self.eval_dataset if self.args.eval_strategy != "no" else None
            given = dataset_inputs(self.train_dataset, evaluated)
        return {**as_json("inputs", given), **model_inputs(self.model)}

    def callback_extras(self) -> dict[str, Any]:
        """What callbacks get by name beside what each event has."""
        return {
            "model": self.model,
            "processing_class": self.processing_class,
            "train_dataset": self.train_dataset,
            "eval_dataset": self.eval_dataset,
        }

    def _call(self, event: str, *args: Any) -> None:
        """Call an event that is outside of training."""
        given = (self.args, self.state, TrainerControl(), *args)
        extras = {"optimizer": None, "lr_scheduler": None, **self.callback_extras()}
        self.callbacks.call(event, *given, extras=extras)

    def _pass(self, dataset: Any, *, keep_logits: bool) -> tuple[LossSum, Predictions]:
        loss, found = LossSum(), Predictions()
        size = self.args.per_device_eval_batch_size
        batches = sequential_batches(dataset, size, self.collate)
        for batch, output in run_batches(self.model, batches, loss, return_logits=keep_logits):
            if keep_logits:
                found.keep(output, batch)
        return loss, found

    def _collator(self, data_collator: Collator | None) -> Collator:
        _function("data_collator", data_collator)
        if data_collator is None:
            return PaddedCollator(self.model, self.args.max_length)
        if self.args.max_length is not None:
            raise ConfigError("max_length: has no effect with a data_collator; leave one out")
        return data_collator

    def _own_callbacks(self) -> list[TrainerCallback]:
        patience = self.args.early_stopping_patience
        if patience is None:
            return []
        return [EarlyStoppingCallback(patience, self.args.early_stopping_threshold)]

    def _output(self, seconds: float, tokens: int) -> TrainOutput:
        loss = self.state.loss_sum / max(1, self.state.global_step)
        metrics = {
            "train_loss": loss,
            "epoch": self.state.epoch,
            "train_runtime": seconds,
            "train_tokens_per_second": tokens / seconds,
        }
        return TrainOutput(self.state.global_step, loss, metrics)


def _function(name: str, given: Any) -> Any:
    """An argument that is a function, or None."""
    if given is not None and not callable(given):
        raise ConfigError(f"{name}: got {shown(given)}, expected a function")
    return given


def _savable(tokenizer: Any) -> Any:
    """A `processing_class` that can be written: told before a run, not at its first checkpoint."""
    writes = hasattr(tokenizer, "save_pretrained") or hasattr(tokenizer, "save")
    if tokenizer is not None and not writes:
        raise ConfigError(
            f"processing_class: got {shown(tokenizer)}, expected a tokenizer with save_pretrained"
        )
    return tokenizer

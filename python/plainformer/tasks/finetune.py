"""`finetune`: from a checkpoint and a file of examples to a model that is put to use.

    result = pf.finetune("text-classification", "all-MiniLM", "train.jsonl", "validation.jsonl",
                         output_dir="out", learning_rate=2e-4, num_train_epochs=2)
    pf.pipeline("text-classification", "out")("a charming film")

The model is tested before and after. What is in `output_dir` in the end is the best model, ready
for `pipeline`, or to be fine-tuned again when more data arrives.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoints.files import read_json
from ..checkpoints.huggingface import read_config
from ..data import Document, make_tokenizer, parse_spec
from ..errors import ConfigError
from ..models import save_adapter
from ..nn import merge_lora
from ..training import TrainerCallback, TrainingArguments
from ..training.trainable import count_parameters
from .data import (
    DataOptions,
    check_known,
    class_weights,
    read,
    tell_lengths,
    training_labels,
)
from .directory import ADAPTER, head_of, load_saved_tokenizer, open_task, read_task
from .loading import Loaded, from_checkpoint, from_values
from .options import check_at_least, make, names_of, option
from .registry import TASKS, task_class
from .replay import ReplayDataset
from .strategy import StrategyOptions, apply_strategy
from .task import Task
from .trainer import TaskTrainer

logger = logging.getLogger("plainformer")


@dataclass(frozen=True)
class ModelOptions:
    """What else is said of a model and of what it learns from."""

    tokenizer: str | None = option(
        None,
        "For a model without one: a directory, or char, bpe:SIZE, wordpiece:SIZE to train one on "
        "the training data.",
    )
    adapter: str | None = option(
        None, "A LoRA adapter in peft's layout, added to the model before it is trained."
    )
    new_head: bool = option(
        False, "Start the head anew with the labels of the data, instead of adding to its own."
    )
    class_weights: str | Mapping[str, float] | None = option(
        None,
        'What the losses of labels are multiplied with: balanced, or {"label": weight} where '
        "others are 1.",
    )
    replay: str | Sequence[Any] | None = option(
        None, "Old examples to mix in, so that old skills stay."
    )
    replay_fraction: float | None = option(
        None, "Old examples in an epoch, of the new ones; others in each epoch  [default: 0.25]"
    )
    replay_validation: str | Sequence[Any] | None = option(
        None, "Old examples on which the model is tested before and after."
    )

    def __post_init__(self) -> None:
        check_at_least(self, 0, "replay_fraction")
        if self.replay_fraction is not None and self.replay is None:
            raise ConfigError("replay_fraction: has no effect without replay")


@dataclass
class FineTuneResult:
    """What came out of a fine-tuning.

    task : the Task with the trained model
    metrics : flat figures, `eval_accuracy` after, `before_eval_accuracy` before, ...
    """

    task: Task
    metrics: dict[str, Any] = field(default_factory=dict)


def finetune(
    task: str,
    model: str | Path | Mapping[str, Any],
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    output_dir: str | Path,
    callbacks: Iterable[TrainerCallback | type[TrainerCallback]] = (),
    **options: Any,
) -> FineTuneResult:
    """Fine-tune a model for a task.

    Parameters
    ----------
    task : such as "text-classification" or "ner"
    model : a Hugging Face directory, one that `finetune` wrote, or a configuration to start from
        nothing (a config.json, or its contents)
    train, validation, test : files or globs, or lists of `data.examples`. The model is tested on
        validation and test before and after; validation also decides which model is best
    output_dir : where checkpoints, logs and at last the model go
    callbacks : of `Trainer`
    options : fields of `DataOptions`, `ModelOptions`, `StrategyOptions`, of the task's settings,
        and of `TrainingArguments`. With validation data, models are evaluated and saved every
        epoch and the best by the task's metric is kept, unless the options say otherwise

    Raises
    ------
    ConfigError : an unknown option, a value that is not allowed, an option without effect
    DataError : bad data, with file and line
    CheckpointError : a model that cannot be read, or does not fit
    NonFiniteError : training diverged
    """
    run = FineTuning(task_class(task), model, output_dir, validation is not None, options)
    run.read(train, validation, test)
    run.build()
    return run.run(callbacks)


class FineTuning:
    """One call of `finetune`, in its steps."""

    def __init__(
        self,
        kind: type[Task],
        model: str | Path | Mapping[str, Any],
        output_dir: str | Path,
        has_validation: bool,
        options: Mapping[str, Any],
    ):
        self.kind, self.source = kind, model
        own = {name: options[name] for name in options if name in names_of(kind.settings_class)}
        self.settings = {**self._saved_settings(), **own}
        make(kind.settings_class, self.settings, owner=kind.name)
        self.data = _take(DataOptions, options)
        self.model_options = _take(ModelOptions, options)
        self.strategy = _take(StrategyOptions, options)
        taken = {*own, *(n for c in _OPTIONS for n in names_of(c))}
        rest = {name: value for name, value in options.items() if name not in taken}
        self._check_names(rest)
        self.args = training_arguments(rest, output_dir, kind, has_validation)
        self._check_strategy()
        self.before: dict[str, float] = {}

    def read(self, train: Any, validation: Any, test: Any) -> None:
        """Read all data, and tell what it is."""
        extra = self.model_options
        self.train = read(train, self.kind, self.data, told="train")
        self.tests = {
            name: read(paths, self.kind, self.data, told=told)
            for name, told, paths in (
                ("eval", "validation", validation),
                ("test", "test", test),
                ("replay", "replay validation", extra.replay_validation),
            )
            if paths is not None
        }
        self.old = None
        if extra.replay is not None:
            self.old = read(extra.replay, self.kind, self.data, told="replay")

    def build(self) -> None:
        """Tokenizer, model and task, and what of the model is trained."""
        learned = self._learned()
        adds = self._continues and not self.model_options.new_head
        labels = training_labels(self.kind, learned, adds=adds)
        tokenizer = self._tokenizer(learned)
        self.kind.prepare_tokenizer(tokenizer, learned, self._word())
        settings = make(self.kind.settings_class, self.settings, owner=self.kind.name)
        settings = self.kind.settings_for(settings, learned)
        loaded = self._model(tokenizer, labels)
        self.task = self.kind(tokenizer, loaded.model, settings)
        if labels is not None:
            logger.info("labels of the model: %d", len(self.task.labels))
        self._check_data()
        self.parameter_options = apply_strategy(
            loaded.model, self.strategy, loaded.new_parameters, self.args.seed
        ) if self._has_strategy else {}  # fmt: skip

    def run(self, callbacks: Iterable[Any]) -> FineTuneResult:
        """Test, train, test again, and write the model."""
        trainer = self._trainer(callbacks)
        before = self._tests(trainer)
        self._forget_nothing(before)
        trained, total = count_parameters(self.task.model)
        output = trainer.train()
        self._keep_adapters()
        trainer.save_model()
        after = self._tests(trainer)
        metrics = {
            "task": self.kind.name,
            "output_dir": self.args.output_dir,
            "seed": self.args.seed,
            "steps": output.global_step,
            "epochs": round(output.metrics["epoch"], 4),
            "seconds": round(output.metrics["train_runtime"], 3),
            "tokens_per_second": round(output.metrics["train_tokens_per_second"], 1),
            "train_loss": output.training_loss,
            "trainable_parameters": trained,
            "parameters": total,
            **after,
            **{f"before_{name}": value for name, value in before.items()},
        }
        if trainer.state.best_step is not None:
            metrics["best_step"] = trainer.state.best_step
        self._tell_forgetting(metrics)
        return FineTuneResult(self.task, metrics)

    # Parts of `__init__`

    def _saved_settings(self) -> dict[str, Any]:
        """The settings that the directory was fine-tuned with, if for the same task."""
        return read_task(str(self.source))["settings"] if self._continues else {}

    @property
    def _continues(self) -> bool:
        """Whether the model was fine-tuned for this task before."""
        if not _is_directory(self.source):
            return False
        return read_task(str(self.source)).get("task") == self.kind.name

    def _check_names(self, rest: Mapping[str, Any]) -> None:
        """Raise for a setting of another task, which TrainingArguments would not know."""
        for name in rest:
            others = [t.name for t in TASKS.values() if name in names_of(t.settings_class)]
            if others and name not in names_of(TrainingArguments):
                raise ConfigError(
                    f"{name}: has no effect on {self.kind.name}; it is for {', '.join(others)}"
                )

    @property
    def _has_strategy(self) -> bool:
        return self.strategy != StrategyOptions()

    def _check_strategy(self) -> None:
        for name in ("freeze", "train_only"):
            if getattr(self.args, name) is not None and self.strategy.freezes:
                raise ConfigError(f"{name}: has no effect beside what freezes other parameters")

    # Parts of `build`

    def _learned(self) -> list[Any]:
        """All examples that are learned from, new and old."""
        return [*self.train, *(self.old or ())]

    def _tokenizer(self, examples: list[Any]) -> Any:
        spec = self.model_options.tokenizer
        own = load_saved_tokenizer(str(self.source)) if _is_directory(self.source) else None
        if own is not None:
            if spec is not None:
                raise ConfigError(f"tokenizer: {self.source} has its own; leave it out")
            return own
        if spec is None:
            raise ConfigError(
                "tokenizer: got None, the model has none; expected a directory, char, bpe:SIZE or "
                "wordpiece:SIZE"
            )
        texts = [Document(text, "") for text in self.kind.texts(examples)]  # read more than once
        return make_tokenizer(parse_spec(spec), texts)

    def _config(self) -> tuple[dict[str, Any], str]:
        """The configuration that the model has or is built from, and what to call it."""
        if isinstance(self.source, Mapping):
            return dict(self.source), "config"
        if _is_directory(self.source):
            return read_config(str(self.source)), str(self.source)
        return read_json(str(self.source)), str(self.source)

    def _word(self) -> str:
        return head_of(self.kind, *self._config())

    def _model(self, tokenizer: Any, labels: list[str] | None) -> Loaded:
        if self.model_options.adapter is not None and not _is_directory(self.source):
            raise ConfigError("adapter: needs the model that it was made for, a directory")
        if _is_directory(self.source):
            return from_checkpoint(
                self.kind,
                str(self.source),
                tokenizer,
                labels,
                new_head=self.model_options.new_head,
                seed=self.args.seed,
                adapter=self.model_options.adapter,
            )
        if self.model_options.new_head:
            raise ConfigError("new_head: has no effect on a model from a configuration")
        if isinstance(self.source, Mapping):
            values, name = dict(self.source), "config"
        else:
            values, name = read_json(self.source), str(self.source)
        return from_values(self.kind, values, tokenizer, labels, seed=self.args.seed, source=name)

    def _check_data(self) -> None:
        for name, examples in (("train", self.train), *self.tests.items()):
            check_known(self.task, {"eval": "validation"}.get(name, name), examples)

    # Parts of `run`

    def _trainer(self, callbacks: Iterable[Any]) -> TaskTrainer:
        new = self.task.dataset(self.train)
        tell_lengths("train", new, self.task.max_length)
        options = self.model_options
        weights = None
        if options.class_weights is not None:
            weights = class_weights(self.task, options.class_weights, self._learned())
        dataset: Any = new
        if self.old is not None:
            fraction = 0.25 if options.replay_fraction is None else options.replay_fraction
            dataset = ReplayDataset(new, self.task.dataset(self.old), fraction)
            logger.info("%d old examples in each epoch", dataset.count)
        return TaskTrainer(
            self.task,
            self.args,
            dataset,
            self.tests.get("eval"),
            class_weights=weights,
            callbacks=callbacks,
            parameter_options=self.parameter_options,
        )

    def _keep_adapters(self) -> None:
        """Write adapters in peft's layout, and add them to the weights."""
        config, model = self.strategy.lora(), self.task.model
        if config is None:
            return
        beside = [
            name for name, p in model.named_parameters() if p.requires_grad and ".lora_" not in name
        ]
        base = str(self.source) if _is_directory(self.source) else None
        save_adapter(model, Path(self.args.output_dir, ADAPTER), config, base=base, beside=beside)
        merge_lora(model)

    def _tests(self, trainer: TaskTrainer) -> dict[str, float]:
        """Metrics on all test data, `eval_...`, `test_...`, `replay_...`."""
        return {
            name: value
            for prefix, examples in self.tests.items()
            for name, value in trainer.evaluate(examples, prefix).items()
        }

    def _forget_nothing(self, before: dict[str, float]) -> None:
        """Old skills are those of the model as it came, without the rows added to its head."""
        if "replay" not in self.tests or not self._continues:
            return
        old = open_task(str(self.source))
        if old.labels.labels == self.task.labels.labels:
            return
        metrics = old.evaluate(self.tests["replay"], self.args.per_device_eval_batch_size)
        before.update({f"replay_{name}": value for name, value in metrics.items()})

    def _tell_forgetting(self, metrics: dict[str, Any]) -> None:
        name = f"replay_{self.kind.key_metric()}"
        if name not in metrics:
            return
        now, then = metrics[name], metrics[f"before_{name}"]
        fell = now > then if name.endswith(("loss", "perplexity")) else now < then
        word = "fell" if fell else "did not fall"
        logger.info("the old skill %s: %s %.4g before, %.4g after", word, name, then, now)


_OPTIONS: tuple[type, ...] = (DataOptions, ModelOptions, StrategyOptions)


def training_arguments(
    given: Mapping[str, Any], output_dir: str | Path, kind: type[Task], has_validation: bool
) -> TrainingArguments:
    """TrainingArguments; with validation data the best model of all epochs is kept by default."""
    if not has_validation:
        return TrainingArguments(**{**given, "output_dir": os.fspath(output_dir)})
    defaults: dict[str, Any] = {"eval_strategy": "epoch"}
    strategy = given.get("eval_strategy", given.get("evaluation_strategy", "epoch"))
    if "save_strategy" not in given and strategy == "epoch" and "save_steps" not in given:
        defaults["save_strategy"] = "epoch"
    keeps = given.get("save_strategy", "epoch") != "no" and strategy != "no"
    defaults["load_best_model_at_end"] = keeps
    merged = {**defaults, **given}
    watches = merged["load_best_model_at_end"] or merged.get("save_strategy") == "best"
    if watches or merged.get("early_stopping_patience") is not None:
        merged.setdefault("metric_for_best_model", kind.key_metric())
    if "evaluation_strategy" in given:  # version 4's word
        merged.pop("eval_strategy")
    return TrainingArguments(**{**merged, "output_dir": os.fspath(output_dir)})


def _take(kind: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    return kind(**{name: options[name] for name in options if name in names_of(kind)})


def _is_directory(source: Any) -> bool:
    return not isinstance(source, Mapping) and Path(source).is_dir()

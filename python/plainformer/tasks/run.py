"""One fine-tuning in its steps: read, build, test, train, test again, write."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..checkpoints.huggingface import check_directory
from ..checkpoints.sentence_transformers import sentence_pooling
from ..data import parse_spec
from ..data.fingerprints import digest
from ..errors import ConfigError
from ..models import save_adapter
from ..nn import count_parameters, merge_lora
from ..options import make, names_of
from ..training import ParameterOptions, Trainer, TrainerState, TrainingArguments
from ..training.best import decided_by
from . import few_shot
from .arguments import (
    OPTIONS,
    ModelOptions,
    own_names,
    take_options,
    training_arguments,
    training_options,
)
from .data import (
    check_known,
    class_weights,
    read,
    read_train,
    reading_of,
    tell_cut,
    tell_lengths,
    tell_weights,
    training_labels,
)
from .directory import ADAPTER, TaskFiles
from .doubts import doubts
from .features import TaskExamples
from .loading import Head
from .parts import cut_off, majority, oddities
from .problems import SingleLabel
from .replay import ReplayDataset, ReplayExamples
from .result import FineTuneResult
from .source import ModelSource
from .strategy import HEAD_LEARNING_RATE, StrategyOptions, apply_strategy
from .task import Batch, Inputs, Task

logger = logging.getLogger("plainformer")
_TOLD = {"eval": "validation", "replay": "replay validation"}


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
        self.kind = kind
        if not kind.learns:
            raise ConfigError(f"task: {kind.name} has nothing to learn; it takes a model as it is")
        options = own_names(kind, options)
        self.data, self.model_options, self.strategy = (take_options(c, options) for c in OPTIONS)
        self._training = training_options(kind, options)
        self.source = ModelSource.read(model)
        # Whether the model was fine-tuned for this task before.
        self.continues = self.source.task == kind.name
        own = {name: options[name] for name in options if name in names_of(kind.settings_class)}
        directory = self.source.directory
        saved = {} if directory is None else directory.settings_for(kind)
        known = directory.reading if directory is not None and self.continues else {}
        self.reading, self._remembered = reading_of(self.data, known), known
        self.settings = {**saved, **own}
        make(kind.settings_class, self.settings, owner=kind.name)
        cuts = self.data.validation_fraction is not None
        if cuts and has_validation:
            raise ConfigError("validation_fraction: has no effect beside validation; leave one out")
        has_validation = has_validation or cuts
        self._output_dir, self._has_validation = output_dir, has_validation
        self.args = self._arguments(kind.metric)
        self.args.check_evaluated("validation", has_validation or None)
        self.args.check_device()
        self._check_effects()
        _check_places(options)

    def read(self, train: Any, validation: Any, test: Any) -> None:
        """Read all data, and tell what it is."""
        extra = self.model_options
        how = {"remembered": self._remembered}
        self.train = read_train(train, self.kind, self.data, self._remembered)
        if self.data.validation_fraction is not None:
            part = self.data.validation_fraction
            self.train, validation = cut_off(self.train, part, self.args.seed)
            logger.info(
                "%d examples to learn from, %d held back", *map(len, (self.train, validation))
            )
        self.tests = {
            name: read(paths, self.kind, self.data, told=told, **how)
            for name, told, paths in (
                ("eval", "validation", validation),
                ("test", "test", test),
                ("replay", "replay validation", extra.replay_validation),
            )
            if paths is not None
        }
        for told in oddities(self.train, {_TOLD.get(n, n): e for n, e in self.tests.items()}):
            logger.warning("%s", told)
        self.old = None
        if extra.replay is not None:
            self.old = read(extra.replay, self.kind, self.data, told="replay", **how)

    def build(self) -> None:
        """Tokenizer, model and task, and what of the model is trained."""
        settings = make(self.kind.settings_class, self.settings, owner=self.kind.name)
        problem = self._label_examples(settings)
        learned = self._learned()
        adds = self.continues and not self.model_options.new_head
        labels = training_labels(self.kind, learned, adds=adds, problem=problem)
        tokenizer = self.source.tokenizer(self.kind, self.model_options.tokenizer, learned)
        settings = self.kind.settings_for(settings, learned)
        self.kind.prepare_tokenizer(tokenizer, learned, self.source.word(self.kind), settings)
        loaded = self.source.model(
            self.kind,
            tokenizer,
            Head(labels, None if problem is None else problem.name),
            self._head_options(),
            reads_sentences=self.strategy.reads_sentences,
            seed=self.args.seed,
        )
        self.task = self.kind(tokenizer, loaded.model, settings)
        self.task.watch(self.tests.get("eval", ()))
        self.args = self._arguments(self.task.metric)
        if labels is not None:
            logger.info("labels of the model: %d", len(self.task.labels))
        for name, examples in (("train", self.train), *self.tests.items()):
            check_known(self.task, _TOLD.get(name, name), examples)
        self.parameter_options: dict[str, ParameterOptions] = {}
        if self.strategy != StrategyOptions():
            self.parameter_options = apply_strategy(
                loaded.model, self.strategy, loaded.new_parameters, self.args.seed
            )
        self.few = None
        if self.strategy.few_shot:
            pairs = self.strategy.few_shot_pairs
            self.few = few_shot.FewShot(self.task, self.train, pairs or few_shot.PAIRS)

    def run(self, callbacks: Iterable[Any]) -> FineTuneResult:
        """Test, train, test again, and write the model."""
        trainer = self._trainer(callbacks)
        before = self._tests(trainer)
        self._forget_nothing(before)
        trained, total = count_parameters(self.task.model)
        output = trainer.train()
        if self.few is not None:
            self.few.fit()
        self._keep_adapters()
        trainer.save_model()
        if "save_total_limit" not in self._training:
            trainer.keep_newest_checkpoint(has_best=self.strategy.lora_r is None)
        after = self._tests(trainer)
        for doubt in doubts(self.task, self.tests, before, after):
            logger.warning("%s", doubt)
        metrics = {
            "task": self.kind.name,
            **output.figures(self.args),
            "trainable_parameters": trained,
            "parameters": total,
            **after,
            **{f"before_{name}": value for name, value in before.items()},
        }
        if trainer.state.best_step is not None:
            metrics["best_step"] = trainer.state.best_step
        metrics |= self._baselines(metrics)
        self._tell_forgetting(metrics)
        return FineTuneResult(self.task, metrics, self._decided(trainer.state))

    # Parts of `__init__`

    def _arguments(self, metric: str) -> TrainingArguments:
        """How to train, with the figure that decides by default."""
        has_old = self.model_options.replay_validation is not None
        given = dict(self._training)
        if self.strategy.head_only:
            given.setdefault("learning_rate", HEAD_LEARNING_RATE)
        if self.strategy.few_shot:
            usual = dict(few_shot.DEFAULTS)
            if given.get("max_steps", -1) > 0:
                del usual["num_train_epochs"]
            given = {**usual, **given}
        return training_arguments(given, self._output_dir, metric, self._has_validation, has_old)

    def _check_effects(self) -> None:
        """An option that would do nothing is an error, before anything is read."""
        if self.args.label_smoothing_factor and not self.kind.smooths:
            raise ConfigError(
                f"label_smoothing_factor: has no effect on {self.kind.name}; leave it out"
            )
        if self.strategy.few_shot:
            self._check_few_shot()
        for name in ("freeze", "train_only"):
            if getattr(self.args, name) is not None and self.strategy.freezes:
                raise ConfigError(f"{name}: has no effect beside what freezes other parameters")

    def _check_few_shot(self) -> None:
        if self.kind.name != "text-classification":
            raise ConfigError(f"few_shot: has no effect on {self.kind.name}; leave it out")
        if self.source.directory is None:
            raise ConfigError("few_shot: needs an encoder that has read much, a directory")
        for name in ("class_weights", "replay", "adapter"):
            if getattr(self.model_options, name) is not None:
                raise ConfigError(f"{name}: has no effect beside few_shot; leave it out")
        if self.args.label_smoothing_factor:
            raise ConfigError("label_smoothing_factor: has no effect beside few_shot; leave it out")

    # Parts of `build`

    def _label_examples(self, settings: Any) -> Any:
        """What kind of labels is learned, if there are several; all examples have them so then."""
        problem = self.kind.problem_for(
            settings, self.source.config, self._learned(), new_head=self.model_options.new_head
        )
        if self.args.label_smoothing_factor and problem not in (None, SingleLabel):
            raise ConfigError(
                f"label_smoothing_factor: has no effect on {problem.name}; leave it out"
            )
        self.train = self.kind.with_labels(self.train, problem, settings)
        for name, examples in self.tests.items():
            self.tests[name] = self.kind.with_labels(examples, problem, settings)
        if self.old is not None:
            self.old = self.kind.with_labels(self.old, problem, settings)
        if self.strategy.few_shot and problem is not SingleLabel:
            raise ConfigError(f"few_shot: learns one label a text, got {problem.name}")
        return problem

    def _head_options(self) -> ModelOptions:
        """What a new head is; one on few labels starts anew, and reads pooled states."""
        options = self.model_options
        if not self.strategy.few_shot:
            return options
        directory = self.source.directory
        found = options.pooling or (directory and sentence_pooling(directory.path)) or "mean"
        return dataclasses.replace(options, new_head=True, pooling=found)

    def _learned(self) -> list[Any]:
        """All examples that are learned from, new and old."""
        return [*self.train, *(self.old or ())]

    # Parts of `run`

    def _trainer(self, callbacks: Iterable[Any]) -> Trainer:
        task, options = self.task, self.model_options
        new = task.dataset(self.train)
        tell_lengths("train", task, new)
        weights = None
        if options.class_weights is not None:
            weights = class_weights(task, options.class_weights, self._learned())
            tell_weights(task, weights)
        dataset: Any = new
        if self.old is not None:
            fraction = 0.25 if options.replay_fraction is None else options.replay_fraction
            dataset = ReplayDataset(new, task.dataset(self.old), fraction)
            logger.info("%d old examples in each epoch", dataset.count)
        few = self.few
        collate = task.collate if few is None else few.collate
        return Trainer(
            task.learner() if few is None else few.learner(),
            self.args,
            dataset if few is None else few.dataset,
            self._validation(),
            collate if weights is None else partial(_weighted, task, weights),
            callbacks=callbacks,
            processing_class=TaskFiles(task, self.reading),
            parameter_options=self.parameter_options,
            inputs=self._inputs(weights),
        )

    def _validation(self) -> TaskExamples | None:
        """What training is watched by: the new examples, and the old ones beside them."""
        new, old = (self.tests.get(name) for name in ("eval", "replay"))
        if new is None or old is None:
            return None if new is None else (self.few or self.task).examples(new)
        return ReplayExamples(self.task, new, old)

    def _inputs(self, weights: Any) -> dict[str, Any]:
        """What a checkpoint keeps of data, tokenizer and settings, to be compared on resuming."""
        data = {"train": self.train, "replay": self.old}
        if self.args.eval_strategy != "no":
            data["validation"] = self.tests.get("eval")
            data["replay_validation"] = self.tests.get("replay")
        return {
            **{name: digest(list(examples)) for name, examples in data.items() if examples},
            "tokenizer": digest(self.task.tokenizer.to_str()),
            "settings": dataclasses.asdict(self.task.settings),
            "class_weights": None if weights is None else digest(weights),
        }

    def _keep_adapters(self) -> None:
        """Write adapters in peft's layout, and add them to the weights."""
        config, model = self.strategy.lora(), self.task.model
        if config is None:
            return
        beside = [
            name for name, p in model.named_parameters() if p.requires_grad and ".lora_" not in name
        ]
        directory = self.source.directory
        base = None if directory is None else directory.path
        save_adapter(model, Path(self.args.output_dir, ADAPTER), config, base=base, beside=beside)
        merge_lora(model)

    def _tests(self, trainer: Trainer) -> dict[str, float]:
        """Metrics on all test data, `eval_...`, `test_...`, `replay_...`."""
        metrics: dict[str, float] = {}
        if self.few is not None:
            self.few.fit()
        for prefix, examples in self.tests.items():
            self.task.cut = 0
            self.task.cut_fields.clear()
            metrics |= trainer.evaluate(self.task.examples(examples), prefix)
            tell_cut(_TOLD.get(prefix, prefix), self.task, len(examples))
        return metrics

    def _forget_nothing(self, before: dict[str, float]) -> None:
        """Old skills are those of the model as it came, without the rows added to its head."""
        directory = self.source.directory
        if "replay" not in self.tests or directory is None or not self.continues:
            return
        old = directory.open(device=self.args.device)
        if old.labels.labels == self.task.labels.labels:
            return
        metrics = old.evaluate(self.tests["replay"], self.args.per_device_eval_batch_size)
        before.update({f"replay_{name}": value for name, value in metrics.items()})

    def _baselines(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """What the most frequent label of the training data gives, beside each accuracy."""
        found = {}
        for name, examples in self.tests.items():
            most = majority(self.train, examples) if f"{name}_accuracy" in metrics else None
            if most is not None:
                found[f"majority_{name}_accuracy"] = most[1]
                logger.info("%s: always %s gives accuracy %.4f", _TOLD.get(name, name), *most)
        return found

    def _decided(self, state: TrainerState) -> list[str]:
        """Which figures made a model the best one; none if none was chosen."""
        found = []
        for name in decided_by(self.args, state):
            both = name.removeprefix("eval_both_")
            found += [name] if both == name else [f"eval_{both}", f"replay_{both}"]
        return found

    def _tell_forgetting(self, metrics: dict[str, Any]) -> None:
        name = f"replay_{self.task.metric}"
        if name not in metrics:
            return
        now, then = metrics[name], metrics[f"before_{name}"]
        fell = now > then if name.endswith(("loss", "perplexity")) else now < then
        word = "fell" if fell else "did not fall"
        logger.info("the old skill %s: %s %.4g before, %.4g after", word, name, then, now)


def _weighted(task: Task, weights: Any, inputs: Sequence[Inputs]) -> Batch:
    """A batch to learn from, with what the losses of each label are multiplied with."""
    return {**task.collate(inputs), "class_weight": weights}


def _check_places(options: Mapping[str, Any]) -> None:
    """Whether what a fine-tuning needs beside the model is there, before any data is read."""
    if options.get("adapter") is not None:
        check_directory(options["adapter"], "adapter_config.json")
    if options.get("tokenizer") is not None:
        parse_spec(options["tokenizer"])

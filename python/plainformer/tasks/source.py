"""What a fine-tuning starts from: a directory, a configuration in a file, or its contents."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..checkpoints.files import read_json
from ..checkpoints.sentence_transformers import sentence_pooling
from ..data import Document, make_tokenizer, parse_spec
from ..errors import ConfigError
from ..options import names_of
from .arguments import ModelOptions
from .directory import TaskDirectory, model_task_for
from .loading import Head, LoadedModel, from_checkpoint, from_values
from .task import Task

# The special tokens of a new tokenizer are those of what kind of model pre-trains; others are
# encoders.
_OBJECTIVES = {"causal-lm": "clm", "seq2seq-lm": "denoise"}


@dataclass(frozen=True)
class ModelSource:
    """A model to be: the directory that it is read from, or a configuration to build it from.

    config : what the model has or is built from
    name : what errors call it
    """

    directory: TaskDirectory | None
    config: dict[str, Any]
    name: str

    @classmethod
    def read(cls, model: Any) -> ModelSource:
        """A path, or the contents of a `config.json`. ConfigError for anything else."""
        if isinstance(model, Mapping):
            return cls(None, dict(model), "config")
        if not isinstance(model, (str, os.PathLike)):
            got = None if model is None else type(model).__name__
            raise ConfigError(
                f"model: got {got}, expected a directory, a config.json or its contents"
            )
        path = os.fspath(model)
        if os.path.isfile(path):
            return cls(None, read_json(path), path)
        directory = TaskDirectory.read(path)
        return cls(directory, directory.config, path)

    @property
    def task(self) -> str | None:
        """The task that the model was fine-tuned for before."""
        return None if self.directory is None else self.directory.task

    def word(self, kind: type[Task]) -> str:
        """What kind of model it is for a task, of `model_tasks`."""
        return model_task_for(kind, self.config, self.name)

    def tokenizer(self, kind: type[Task], spec: str | None, examples: Sequence[Any]) -> Any:
        """The directory's own, or what `spec` says, trained on the texts of examples."""
        own = None if self.directory is None else self.directory.saved_tokenizer()
        if own is not None:
            if spec is not None:
                raise ConfigError(f"tokenizer: {self.name} has its own; leave it out")
            return own
        if spec is None:
            raise ConfigError(
                "tokenizer: got None, the model has none; expected a directory, char, char:SIZE, "
                "bpe:SIZE or wordpiece:SIZE"
            )
        texts = [Document(text, "") for text in kind.texts(examples)]  # read more than once
        return make_tokenizer(parse_spec(spec), texts, _OBJECTIVES.get(self.word(kind), "mlm"))

    def model(
        self,
        kind: type[Task],
        tokenizer: Any,
        head: Head,
        options: ModelOptions,
        *,
        reads_sentences: bool,
        seed: int,
    ) -> LoadedModel:
        """The model for a task, with the head that is wanted, as the options say.

        reads_sentences : a new head reads by default what the encoder was trained with
        """
        pooling = self._pooling(kind, options.pooling, reads_sentences)
        head = head._replace(pooling=pooling, starts_anew=options.new_head)
        if self.directory is not None:
            return from_checkpoint(
                kind, self.directory, tokenizer, head, seed, adapter=options.adapter
            )
        if options.adapter is not None:
            raise ConfigError("adapter: needs the model that it was made for, a directory")
        if options.new_head:
            raise ConfigError("new_head: has no effect on a model from a configuration")
        if pooling is not None:
            raise ConfigError("pooling: say classifier_pooling in the configuration; leave it out")
        return from_values(kind, self.config, tokenizer, head, seed, source=self.name)

    def _pooling(self, kind: type[Task], wanted: str | None, reads_sentences: bool) -> str | None:
        """What a new head reads, if that is not the family's own choice."""
        if kind.name != "text-classification":
            if "pooling" in names_of(kind.settings_class):  # which reads it itself
                return None
            if wanted is not None:
                raise ConfigError(f"pooling: has no effect on {kind.name}; leave it out")
            return None
        if wanted is None and reads_sentences and self.directory is not None:
            return sentence_pooling(self.directory.path)
        return wanted

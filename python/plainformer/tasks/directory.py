"""What a directory of a fine-tuned model carries beside the model: tokenizer and `task.json`.

    config.json         sizes, id2label; `architectures` names the head
    model.safetensors
    tokenizer.json, tokenizer_config.json
    task.json           {"task": "token-classification", "settings": {"overlap": 16, ...},
                        "reading": {"columns": {"tokens": "words"}}}
    adapter/            after LoRA, what was learned, in peft's layout; the model above has it in it

transformers reads all but the last, which it does not look at.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from .. import models
from ..checkpoints.atomic import write_json_atomic
from ..checkpoints.files import read_json
from ..checkpoints.huggingface import read_config
from ..checkpoints.matching import to_be_trained
from ..data.pretrained_tokenizer import as_backend
from ..data.tokenizer import read_tokenizer, save_tokenizer
from ..errors import CheckpointError, ConfigError, short, shown
from ..kernels.devices import as_device
from ..kinds import fits
from ..options import make, options_of
from .registry import TASKS, task_class
from .task import Task, TaskSettings

TASK_FILE = "task.json"
ADAPTER = "adapter"
_USUAL = {"causal-lm": "language-modeling", "seq2seq-lm": "text2text-generation"}
_TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip


@dataclass(frozen=True)
class TaskFiles:
    """What a trainer writes beside a model; see `Trainer(processing_class=)`.

    reading : how the files were read that it learned from: `columns`, `label_names`
    """

    task: Task
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the tokenizer's files, `task.json`, and what else the task has."""
        model = self.task.model
        save_tokenizer(
            self.task.tokenizer,
            directory,
            model_max_length=model.config.context_length,
            token_types=getattr(model, "has_token_types", False),
        )
        settings = dataclasses.asdict(self.task.settings)
        values = {"task": self.task.name, "settings": settings}
        told = {"reading": dict(self.reading)} if self.reading else {}
        write_json_atomic(Path(directory, TASK_FILE), {**values, **told})
        self.task.save_files(directory)


def open_task(
    path: str | Path,
    name: str | None = None,
    *,
    tokenizer: Any = None,
    dtype: Any = None,
    device: Any = None,
    adapter: str | Path | None = None,
    **settings: Any,
) -> Task:
    """The task that a directory was fine-tuned for, with its model in eval mode.

    Parameters
    ----------
    path : a directory that `finetune` wrote, or a Hugging Face directory whose model fits `name`
    name : the task; None means the one in `task.json`, or else what the model's head is for
    tokenizer : a directory or what `load_tokenizer` gives; None means that in `path`
    dtype : float32, bfloat16 or float64; None means the configuration's
    device : "cpu", "cuda", "cuda:1" or "auto"; None means the CPU
    adapter : a LoRA adapter in peft's layout, added to the weights
    settings : the task's own, over those that `task.json` holds

    Raises
    ------
    CheckpointError : no such directory, or what it holds is damaged
    ConfigError : no task known, another task than the directory's, a setting that it has not
    """
    return TaskDirectory.read(path).open(
        name, tokenizer=tokenizer, dtype=dtype, device=device, adapter=adapter, **settings
    )


@dataclass(frozen=True)
class TaskDirectory:
    """The directory of a model, fine-tuned or not, whose small files have been read.

    config : the contents of `config.json`
    task, settings, reading : those of `task.json`; None and {} without one
    """

    path: str
    config: dict[str, Any]
    task: str | None
    settings: dict[str, Any]
    reading: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> TaskDirectory:
        """Read both files, of which nothing that follows opens one again."""
        config, saved = read_config(path), read_task(path)
        settings, reading = saved.get("settings", {}), saved.get("reading", {})
        return cls(str(path), config, saved.get("task"), settings, reading)

    def open(
        self,
        name: str | None = None,
        *,
        tokenizer: Any = None,
        dtype: Any = None,
        device: Any = None,
        adapter: str | Path | None = None,
        **settings: Any,
    ) -> Task:
        """See `open_task`."""
        kind = self._kind(name)
        made = make(kind.settings_class, settings, owner=kind.name, over=self.settings_for(kind))
        word = model_task_for(kind, self.config, self.path)
        place = None if device is None else as_device(device)  # told before anything is read
        with to_be_trained() if word == "feature-extraction" else nullcontext():  # reads no pooler
            model = models.load(self.path, word, dtype=dtype, config=self.config)
        if adapter is not None:
            models.load_adapter(model, adapter)
        if place is not None:
            model.to(device=place)
        own = tokenizer is None
        backend = read_tokenizer(self.path, self.config) if own else as_backend(tokenizer)
        task = kind(backend, model, made)
        task.reading = self.reading
        return task

    def saved_tokenizer(self) -> Tokenizer | None:
        """The tokenizer in the directory; None if there is none."""
        found = any(os.path.lexists(Path(self.path, name)) for name in _TOKENIZERS)
        return read_tokenizer(self.path, self.config) if found else None

    def settings_for(self, kind: type[Task]) -> dict[str, Any]:
        """What the directory says of a task's settings: its own files, and `task.json` over them,
        if it was fine-tuned for this task, or for one with the same settings."""
        own = self.settings if self.task in (kind.name, *kind.opens) else {}
        return {**kind.settings_in(self.path), **own}

    def _kind(self, name: str | None) -> type[Task]:
        if name is None:
            usual = self.task or usual_task(self.config)
            if usual is None:
                raise ConfigError(
                    f"task: {self.path} has no {TASK_FILE}; say what the model is for"
                )
            return task_class(usual)
        kind = task_class(name)
        opens = (None, kind.name, *kind.opens)
        if self.task not in opens and not kind.any_directory:
            raise ConfigError(
                f"task: got {shown(kind.name)}, but {self.path} was fine-tuned for {self.task}"
            )
        return kind


def usual_task(config: Mapping[str, Any]) -> str | None:
    """The task of the model that `architectures` in a `config.json` names; None of a bare one."""
    family = models.MODELS.get(str(config.get("model_type")))
    named = config.get("architectures")
    if family is None or not isinstance(named, list):
        return None
    words = (word for word, model in family.models.items() if model.__name__ in named)
    word = next(words, None)
    fitting = (
        name for name, kind in TASKS.items() if not kind.any_directory and word in kind.model_tasks
    )
    return _USUAL.get(str(word)) or next(fitting, None)


def make_task(name: str | None, model: Any, tokenizer: Any, **settings: Any) -> Task:
    """The task of a model that is loaded already, and of its tokenizer.

    Raises
    ------
    ConfigError : no task or tokenizer, a model that is nothing for the task, a setting that it
        has not
    """
    if name is None:
        raise ConfigError("task: got None with a loaded model; say what the model is for")
    kind = task_class(name)
    family = models.MODELS[model.config.model_type].models
    fitting = [family[word] for word in kind.model_tasks if word in family]
    if not isinstance(model, tuple(fitting)):
        wanted = " or ".join(kind.model_tasks)
        raise ConfigError(
            f"model: got {type(model).__name__}, {kind.name} needs a model for {wanted}"
        )
    if tokenizer is None:
        raise ConfigError("tokenizer: got None with a loaded model, expected that of the model")
    made = make(kind.settings_class, settings, owner=kind.name)
    return kind(as_backend(tokenizer), model, made)


def read_task(path: str | Path) -> dict[str, Any]:
    """The contents of `task.json`, checked; {} without one.

    Raises
    ------
    CheckpointError : no task that we know, a setting that it has not or of another kind, or one
        that names a file
    """
    file = Path(path, TASK_FILE)
    if not os.path.lexists(file):
        return {}
    values = read_json(file)
    name, settings = values.get("task"), values.get("settings")
    if not isinstance(name, str) or name not in TASKS or not isinstance(settings, dict):
        raise CheckpointError(f"{file}: expected a task and its settings, got {short(values)}")
    kind = TASKS[name].settings_class
    try:
        made = make(kind, settings, owner=name)
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from error
    _check_no_file(made, file)
    _check_reading(values.get("reading", {}), file)
    return values


def _check_reading(reading: Any, file: Path) -> None:
    if not isinstance(reading, dict) or not fits(reading.get("columns", {}), dict[str, Any]):
        raise CheckpointError(f"{file}: reading: got {shown(reading)}, expected an object")
    names = reading.get("label_names")
    if not fits(names, list[str] | None):
        raise CheckpointError(f"{file}: label_names: got {shown(names)}, expected a list of names")


def _check_no_file(settings: TaskSettings, file: Path) -> None:
    """No setting of a directory names a file: another's would have us read any file of ours."""
    for name, known in options_of(type(settings)).items():
        if known.is_file and getattr(settings, name) is not None:
            raise CheckpointError(
                f"{file}: {name}: got {shown(getattr(settings, name))}; a directory holds what it "
                "needs and names no file elsewhere"
            )


def model_task_for(kind: type[Task], config: Mapping[str, Any], source: str) -> str:
    """The word of `models.MODELS` for the first kind of model of a family that fits the task.

    Raises
    ------
    ConfigError : the family has none
    """
    family = models.MODELS.get(str(config.get("model_type")))
    known = family.models if family is not None else {}
    found = next((word for word in kind.model_tasks if word in known), None)
    if found is None:
        models.model_class(config, None, source)  # says what is wrong with a family we have not
        able = sorted(n for n, f in models.MODELS.items() if set(kind.model_tasks) & set(f.models))
        raise ConfigError(
            f"{source}: {kind.name} is nothing for a model of type {config.get('model_type')}; "
            f"expected one of {', '.join(able)}"
        )
    return found

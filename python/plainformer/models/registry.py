"""`pf.load`: the class that a directory's `config.json` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

from ..checkpoints.huggingface import read_config
from ..checkpoints.matching import LoadReport
from ..data.examples import task_name
from ..errors import ConfigError, shown
from ..kernels._devices import read_device
from ..kinds import check_kind
from ..options import option, that
from . import families
from .causal_lm import CausalLM
from .classifiers import ChoiceClassifier, QuestionAnswerer, SequenceClassifier, TokenClassifier
from .config import PretrainedConfig
from .encoder import BareEncoder
from .masked_lm import MaskedLM
from .pretrained import PreTrainedModel
from .relation import RelationClassifier
from .seq2seq_lm import Seq2SeqLM
from .sizes import check_memory, parameter_shapes

__all__ = ["MODELS", "Family", "fitting_models", "from_config", "load", "model_class"]


DEVICE = that(lambda v: read_device(v) is not None, "cpu, cuda, cuda:N or auto", alone=True)


@dataclass(frozen=True)
class LoadingOptions:
    """How the weights of a directory are held."""

    dtype: str | None = option(
        None, "Compute in float32, bfloat16 or float64; default as the weights are saved."
    )
    device: str | None = option(
        None, "Where to compute: cpu, cuda, cuda:N, or auto for a GPU where there is one; default "
        "cpu.", DEVICE, words="device_map",
    )  # fmt: skip


# What a model is for; a family's first one is the usual one.
MODEL_TASKS = (
    "causal-lm",
    "masked-lm",
    "seq2seq-lm",
    "sequence-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "relation-extraction",
    "replaced-token-detection",
    "feature-extraction",
)
# What models are for a task of `plainformer.tasks`, or for a word of transformers' pipelines, the
# best first; the other tasks have models of their own name.
_FITTING = {
    "text-classification": ("sequence-classification",),
    "translation": ("seq2seq-lm", "causal-lm"),
    "summarization": ("seq2seq-lm", "causal-lm"),
    "dialogue": ("causal-lm",),
    "language-modeling": ("causal-lm",),
    "sentence-similarity": ("feature-extraction",),
    "fill-mask": ("masked-lm",),
    "text2text-generation": ("seq2seq-lm",),
}


@dataclass(frozen=True)
class Family:
    """The models of one `model_type`, by what they are for; the first is the usual one."""

    config_class: type[PretrainedConfig]
    models: dict[str, type[PreTrainedModel]]


def _registered() -> dict[str, Family]:
    """The classes of `families`, by model_type and task."""
    classes = [value for value in vars(families).values() if isinstance(value, type)]
    configs = [found for found in classes if issubclass(found, PretrainedConfig)]
    models = sorted(
        (found for found in classes if issubclass(found, PreTrainedModel)),
        key=lambda model: MODEL_TASKS.index(model.model_task),
    )
    return {
        config.model_type: Family(
            config, {model.model_task: model for model in models if model.config_class is config}
        )
        for config in configs
    }


MODELS: dict[str, Family] = _registered()


@overload
def load(
    path: str | Path, task: str | None = ..., *, output_loading_info: Literal[True], **options: Any
) -> tuple[PreTrainedModel, LoadReport]: ...
@overload
def load(
    path: str | Path,
    task: Literal["causal-lm", "language-modeling", "text-generation", "dialogue"],
    dtype: Any = ...,
    **options: Any,
) -> CausalLM: ...
@overload
def load(
    path: str | Path, task: Literal["masked-lm", "fill-mask"], dtype: Any = ..., **options: Any
) -> MaskedLM: ...
@overload
def load(
    path: str | Path,
    task: Literal["seq2seq-lm", "text2text-generation"],
    dtype: Any = ...,
    **options: Any,
) -> Seq2SeqLM: ...
@overload
def load(
    path: str | Path,
    task: Literal["sequence-classification", "text-classification", "sentiment-analysis"],
    dtype: Any = ...,
    **options: Any,
) -> SequenceClassifier: ...
@overload
def load(
    path: str | Path, task: Literal["token-classification", "ner"], dtype: Any = ..., **options: Any
) -> TokenClassifier: ...
@overload
def load(
    path: str | Path, task: Literal["question-answering"], dtype: Any = ..., **options: Any
) -> QuestionAnswerer: ...
@overload
def load(
    path: str | Path, task: Literal["multiple-choice"], dtype: Any = ..., **options: Any
) -> ChoiceClassifier: ...
@overload
def load(
    path: str | Path, task: Literal["relation-extraction"], dtype: Any = ..., **options: Any
) -> RelationClassifier: ...
@overload
def load(
    path: str | Path, task: Literal["feature-extraction"], dtype: Any = ..., **options: Any
) -> BareEncoder: ...
@overload
def load(
    path: str | Path, task: str | None = ..., dtype: Any = ..., **options: Any
) -> PreTrainedModel: ...
def load(
    path: str | Path,
    task: str | None = None,
    dtype: Any = None,
    *,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Open a Hugging Face directory of any family in `MODELS`, in eval mode.

    Nothing is downloaded.

    Parameters
    ----------
    path : directory
    task : what the model is for: a word of `MODELS`, a task, or a word of transformers' pipelines
        ("sentiment-analysis", "fill-mask"). None means the class that `architectures` in
        `config.json` names, or the family's usual one
    dtype : float32, bfloat16 or float64; None means the configuration's
    config : the contents of `config.json`, where they have been read
    options : of `from_pretrained`, `device="cuda"` among them
    """
    values = read_config(path) if config is None else config
    found = model_class(values, task, str(path))
    return found.from_pretrained(path, dtype=dtype, config=values, **options)


def from_config(
    values: dict[str, Any], task: str | None = None, seed: int = 0, **overrides: Any
) -> Any:
    """A new model from the contents of a `config.json`; `overrides` (vocab_size, ...) win.

    Raises
    ------
    ConfigError : an unknown field, a value that is not supported, or more parameters than fit
        into memory
    """
    found = model_class(values, task, "config")
    config = found.config_class.from_dict(values, **overrides)
    check_memory(parameter_shapes(found, config), config)
    return found(config, seed=seed)


def model_class(
    values: Mapping[str, Any], task: str | None = None, source: str = "config"
) -> type[PreTrainedModel]:
    """The class behind `model_type` and a task, or behind `architectures`.

    Raises
    ------
    ConfigError : an unknown model_type, or a family without a model for the task
    """
    kind = values.get("model_type")
    family = MODELS.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise ConfigError(
            f"{source}: got model_type {shown(kind)}, expected one of {', '.join(sorted(MODELS))}"
        )
    named = check_kind(f"{source}: architectures", values.get("architectures"), list[str] | None)
    if task is not None:
        return family.models[_fitting(task, str(kind), family)]
    by_name = {model.__name__: model for model in family.models.values()}
    known = [name for name in named or () if name in by_name]
    return by_name[known[0]] if known else next(iter(family.models.values()))


def fitting_models(task: str) -> tuple[str, ...]:
    """Words of `MODELS` for what is a model's or a text's task, the best first.

    Raises
    ------
    ConfigError : no such task
    """
    if task in MODEL_TASKS:
        return (task,)
    name = task if task in _FITTING else task_name(task)
    return _FITTING.get(name, (name,))


def _fitting(task: Any, kind: str, family: Family) -> str:
    """The word of a family's first model that fits."""
    try:
        words = fitting_models(task)
    except (ConfigError, TypeError):  # a word of nothing, or no word
        words = ()
    found = next((word for word in words if word in family.models), None)
    if found is None:
        raise ConfigError(
            f"task: got {shown(task)}, {kind} has models for {', '.join(family.models)}"
        )
    return found

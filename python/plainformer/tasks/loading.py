"""Models to fine-tune: a checkpoint with a task's head, or one built from a configuration.

Labels and tokens may be added to what a checkpoint knows: the old rows of its head and of its
embeddings stay as they are, new rows are drawn.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from .. import models
from ..checkpoints.matching import to_be_trained
from ..data import LabelMap
from ..data.special_tokens import SpecialIds, special_ids
from ..data.tokenizer import vocab_size
from ..errors import ConfigError
from ..quantized import NOT_TRAINED
from .directory import TaskDirectory, model_task_for
from .problems import REGRESSION, SINGLE
from .strategy import head_parameters
from .task import Task

logger = logging.getLogger("plainformer")
_WRITERS = ("causal-lm", "seq2seq-lm")  # models whose heads are for no task in particular


class LoadedModel(NamedTuple):
    """A model, and the names of its parameters that start from new weights."""

    model: Any
    new_parameters: tuple[str, ...]


class Head(NamedTuple):
    """What the head of a model is to give.

    labels : those of the training data; None for tasks without
    problem : the `problem_type` that is learned; a head for another starts anew
    pooling : what a new head for texts reads, of `POOLINGS`; None leaves it to the family
    starts_anew : with the labels of the data alone
    """

    labels: Sequence[str] | None = None
    problem: str | None = None
    pooling: str | None = None
    starts_anew: bool = False


def from_checkpoint(
    kind: type[Task],
    directory: TaskDirectory,
    tokenizer: Tokenizer,
    head: Head,
    seed: int,
    *,
    adapter: str | None = None,
) -> LoadedModel:
    """The model of a directory with the head of a task.

    Labels that the checkpoint has not are added behind its own, whose rows of the head stay.

    Parameters
    ----------
    seed : of new weights
    adapter : a directory with a LoRA adapter, added to the weights
    """
    if directory.config.get("quantization_config") is not None:
        raise ConfigError(f"{directory.path}: {NOT_TRAINED}")
    model, new = _load(directory, kind, seed)
    if adapter is not None:
        models.load_adapter(model, adapter)
    overrides: dict[str, Any] = {}
    if head.labels is not None:
        other = head.problem not in (None, _said(model.config))
        fresh = bool(new) or head.starts_anew or other
        wanted, keeps = _head_labels(model.config, head.labels, head.problem, fresh)
        if wanted.id2label != model.config.id2label:
            overrides["id2label"] = wanted.id2label
        overrides |= _problem_type(head.problem, model.config.problem_type)
        if not keeps and head.pooling is not None:
            overrides |= _reads(model.config, head.pooling)
        if not keeps:  # a head for labels that nobody named is no use
            new = tuple(dict.fromkeys([*new, *head_parameters(model)]))
    size = vocab_size(tokenizer)
    if size > model.config.vocab_size:
        overrides["vocab_size"] = size
    if overrides:
        model = grown(model, seed, new, **overrides)
    elif new:
        model.init_weights(seed, new)
    return LoadedModel(model, new)


def _load(directory: TaskDirectory, kind: type[Task], seed: int) -> tuple[Any, tuple[str, ...]]:
    """The model, and its parameters with new weights.

    A head of another task is never taken for ours, though it may have the same names and shapes.
    """
    path, config = directory.path, directory.config
    word = model_task_for(kind, config, path)
    wanted = models.model_class(config, word, path).__name__
    made_for = config.get("architectures") or [wanted]
    other = word not in _WRITERS and wanted not in made_for
    with to_be_trained():
        model, report = models.load(
            path,
            word,
            config=config,
            output_loading_info=True,
            seed=seed,
            ignore_mismatched_sizes=other,
        )
    new, head = list(report.new_keys), head_parameters(model)
    if any(name not in head for name, _, _ in report.mismatched_keys):
        models.load(path, word, config=config)  # raises: the body does not fit
    if other:
        new = list(dict.fromkeys([*new, *head]))
        model.init_weights(seed, new)
    if new:
        logger.info("new weights, to be trained: %s", ", ".join(new))
    return model, tuple(new)


def from_values(
    kind: type[Task],
    values: dict[str, Any],
    tokenizer: Tokenizer,
    head: Head,
    seed: int,
    *,
    source: str,
) -> LoadedModel:
    """A new model from the contents of a `config.json`; vocabulary and special ids come from the
    tokenizer, labels from the data."""
    size = vocab_size(tokenizer)
    if values.get("vocab_size", size) != size:
        raise ConfigError(
            f"vocab_size: {source} has {values['vocab_size']}, but the tokenizer has {size} "
            "tokens; leave it out, the tokenizer sets it"
        )
    overrides: dict[str, Any] = {**_special(special_ids(tokenizer), values), "vocab_size": size}
    if head.labels is not None:
        overrides["id2label"] = LabelMap(head.labels).id2label
        overrides |= _problem_type(head.problem, values.get("problem_type"))
    word = model_task_for(kind, values, source)
    if word == "seq2seq-lm":
        overrides |= _decoder_ids(
            models.MODELS[values["model_type"]].config_class, values, overrides
        )
    model = models.from_config({**values, **overrides}, word, seed=seed)
    return LoadedModel(model.eval(), tuple(name for name, _ in model.named_parameters()))


def grown(model: Any, seed: int, fresh: Sequence[str], **overrides: Any) -> Any:
    """A model like this one with other labels or more tokens; what it had of them stays.

    fresh : parameters that start anew instead
    """
    config = type(model.config).from_dict(model.config.to_dict(), **overrides)
    result = type(model)(config, seed=seed)
    result.to(config.dtype)
    if hasattr(model, "generation_config"):
        result.generation_config = model.generation_config
    old = dict(model.named_state())
    for name, parameter in result.named_state():
        if name in fresh:
            continue
        before, value = old[name].data, np.array(parameter.data)
        both = tuple(slice(min(a, b)) for a, b in zip(before.shape, value.shape))
        value[both] = before[both]
        parameter.assign(value)
    return result.eval()


def _head_labels(
    config: Any, labels: Sequence[str], problem: str | None, fresh: bool
) -> tuple[LabelMap, bool]:
    """The labels of a checkpoint's head that learns `labels`, and whether it goes on from its own.

    fresh : the head starts anew
    """
    known = [] if fresh else list(config.id2label.values())
    if problem == REGRESSION:  # numbers have no names: outputs go on if there are as many
        same = len(known) == len(labels)
        return LabelMap(known if same else labels), same
    known = _known_labels(known, labels)
    return LabelMap(known).extended(labels), bool(known)


def _reads(config: Any, pooling: str) -> dict[str, str]:
    """The configuration of a head that reads this, if its family knows another than its own."""
    if not hasattr(config, "classifier_pooling"):
        raise ConfigError(
            f"pooling: got {pooling}, a {config.model_type} reads a text its own way; leave it out"
        )
    logger.info("the head reads: %s of the tokens' states", pooling)
    return {"classifier_pooling": pooling}


def _said(config: Any) -> str:
    """The problem type of a checkpoint's head, which may leave it unsaid."""
    return config.problem_type or (REGRESSION if config.num_labels == 1 else SINGLE)


def _problem_type(problem: str | None, said: str | None) -> dict[str, str]:
    """What a configuration has to say of it; one label a text goes without saying."""
    if problem in (None, said) or (problem == SINGLE and said is None):
        return {}
    return {"problem_type": problem}


def _known_labels(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The labels of a checkpoint's head; none if it only numbers them (LABEL_0, LABEL_1, ...)."""
    known = list(names)
    numbered = all(name == f"LABEL_{i}" for i, name in enumerate(known))
    return [] if numbered and not set(known) & set(wanted) else known


def _decoder_ids(kind: Any, values: dict[str, Any], ids: dict[str, Any]) -> dict[str, Any]:
    """How a new decoder starts (from padding, as Marian does) and ends, where nothing is said."""
    known = {f.name for f in dataclasses.fields(kind)}
    usual = {
        "decoder_start_token_id": ids.get("pad_token_id", values.get("pad_token_id")),
        "forced_bos_token_id": None,
        "forced_eos_token_id": None,
    }
    return {k: v for k, v in usual.items() if k in known and k not in values}


def _special(ids: SpecialIds, values: dict[str, Any]) -> dict[str, Any]:
    """Special ids for a configuration that does not name them."""
    begin = ids.cls_token_id if ids.bos_token_id is None else ids.bos_token_id
    found = {
        "bos_token_id": begin,
        "eos_token_id": ids.end_token_id,
        "pad_token_id": ids.pad_token_id,
    }
    return {k: v for k, v in found.items() if k not in values and v is not None}

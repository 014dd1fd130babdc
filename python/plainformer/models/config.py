"""Model configurations: dataclasses that read and write Hugging Face's `config.json`.

A field that we do not know, or a value that we do not support, is an error that names it: a model
that silently ignores part of its configuration computes something else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from ..errors import ConfigError, short, shown
from ..kinds import annotations_of, check_kind, check_kinds
from ..nn.quantization import QuantizationConfig
from ..options import SHARE, at_least, did_you_mean, one_of
from ..reprs import brief

__all__ = ["PretrainedConfig"]

Config = TypeVar("Config", bound="PretrainedConfig")
Shape = tuple[int, ...]

# Fields of any Hugging Face configuration that say nothing about what the model computes: of
# transformers at any version, and what other tools write into published files.
INERT = frozenset(
    """_attn_implementation _attn_implementation_autoset _attn_implementation_internal
    _commit_hash _flash_attn_2_enabled _name_or_path _num_labels architectures
    attn_implementation auto_map bad_words_ids begin_suppress_tokens chunk_size_feed_forward
    custom_pipelines decoder_start_token_id diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id gradient_checkpointing language length_penalty
    max_length min_length model_type name no_repeat_ngram_size num_beam_groups num_beams
    num_return_sequences output_past output_scores prefix remove_invalid_values
    repetition_penalty return_dict_in_generate sentence_transformers sep_token_id
    suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class top_k
    top_p transformers.js_config transformers_version typical_p unsloth_fixed
    unsloth_version use_bfloat16 use_cache xla_device""".split()  # noqa: SIM905
)

# Fields of any configuration that change what a model computes: only this value will do.
FIXED: dict[str, Any] = {
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "pruned_heads": {},
    "return_dict": True,
    "tie_encoder_decoder": False,
    "torchscript": False,
}

# What the labels of a sequence classifier are; None lets their dtype and number decide.
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")

# How weights may be stored; float16 is read as float32, because CPU kernels have none.
DTYPES = ("float32", "bfloat16", "float16", "float64")

# More would be a slip or an attack; a tiny file must not make a computer busy for minutes. The
# deepest published Transformers have 1,000 layers (arXiv:2203.00555).
MAX_SIZE = 2**31 - 1
MAX_LAYERS = 1024
MAX_LABELS = 2**20

LABEL_FIELDS = frozenset({"num_labels", "id2label", "label2id"})

# What one vector of a sequence may be: its first row, the mean of all, its last row.
POOLINGS = ("cls", "mean", "last")

# Words that fields may be, where a configuration has them and they are not None.
_CHOICES = {"dtype": DTYPES, "problem_type": PROBLEM_TYPES, "classifier_pooling": POOLINGS}

# Hugging Face's names of activations, and what kernels call them.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


@dataclass
class PretrainedConfig:
    """Base of all configurations. `extra` keeps the inert fields of a file, to write them back.

    A field of whole numbers is a size, at least 1, unless it is an id or one of `not_sizes`.

    num_labels, id2label, label2id : classes of a classification head, {0: "LABEL_0", ...} without
        names; each follows from the others, and they must agree
    """

    model_type: ClassVar[str] = ""
    aliases: ClassVar[dict[str, str]] = {}
    inert: ClassVar[frozenset[str]] = frozenset()
    fixed: ClassVar[dict[str, Any]] = {}
    dropout_fields: ClassVar[tuple[str, ...]] = ()
    layer_fields: ClassVar[tuple[str, ...]] = ()  # how many layers there are
    not_sizes: ClassVar[tuple[str, ...]] = ()  # whole numbers that have rules of their own

    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    dtype: str = "float32"
    num_labels: int | None = None
    id2label: dict[int, str] = field(default_factory=dict)
    label2id: dict[str, int] = field(default_factory=dict)
    problem_type: str | None = None
    output_hidden_states: bool = False
    output_attentions: bool = False
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        labels = label_names(self.num_labels, self.id2label, self.label2id)
        self.id2label, self.label2id = labels, {name: i for i, name in labels.items()}
        self.num_labels = len(labels)
        check_kinds(self)
        check_token_ids(self)
        for name in self.layer_fields:
            _check_range(name, getattr(self, name), 1, MAX_LAYERS)
        for name, words in _CHOICES.items():
            if getattr(self, name, None) is not None:
                one_of(*words).check(name, getattr(self, name))
        for name in _size_fields(type(self)):
            _check_range(name, getattr(self, name), 1, MAX_SIZE)
        for name in self.dropout_fields:
            if getattr(self, name) is not None:
                SHARE.check(name, getattr(self, name))
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise ConfigError("num_labels: got 1, expected more for single_label_classification")

    @classmethod
    def from_dict(cls: type[Config], values: Mapping[str, Any], **overrides: Any) -> Config:
        """Build from the contents of a `config.json`; `overrides` win.

        Raises
        ------
        ConfigError : naming an unknown field (and the likely one meant) or an unsupported value
        """
        if overrides.keys() & LABEL_FIELDS:  # what a file says of labels goes as a whole
            values = {k: v for k, v in values.items() if k not in LABEL_FIELDS}
        values = cls._canonical({**values, **overrides})
        known = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        fixed = {k: v for k, v in FIXED.items() if k not in known} | cls.fixed
        extra: dict[str, Any] = {}
        for name, value in values.items():
            if name in fixed:
                check_fixed(name, value, fixed[name])
            if name == "quantization_config":
                if value is not None:
                    extra[name] = QuantizationConfig.from_dict(value).to_dict()
                continue
            if name in known:
                continue
            if name not in fixed and name not in INERT | cls.inert:
                raise ConfigError(unknown_field(name, known | set(cls.aliases)))
            extra[name] = value
        return cls(**{k: v for k, v in values.items() if k in known}, extra=extra)

    @classmethod
    def _canonical(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same fields under our names; two names for one field must agree."""
        wanted = values.get("model_type", cls.model_type)
        if wanted != cls.model_type:
            raise ConfigError(f"model_type: got {shown(wanted)}, expected {shown(cls.model_type)}")
        result: dict[str, Any] = {}
        for name, value in values.items():
            own = {"torch_dtype": "dtype", **cls.aliases}.get(name, name)
            if own == "dtype" and value is None:
                continue  # version 4 writes null for "as it comes"
            if own in result and result[own] != value:
                raise ConfigError(f"{name}: got {shown(value)}, but {own} is {shown(result[own])}")
            result[own] = value
        return result

    @property
    def quantization(self) -> QuantizationConfig | None:
        """How the weights are quantized: `quantization_config`; None for float weights."""
        values = self.extra.get("quantization_config")
        return None if values is None else QuantizationConfig.from_dict(values)

    @quantization.setter
    def quantization(self, how: QuantizationConfig | None) -> None:
        self.extra.pop("quantization_config", None)
        if how is not None:
            self.extra["quantization_config"] = how.to_dict()

    def __repr__(self) -> str:
        return brief(self, type(self)())

    @property
    def context_length(self) -> int | None:
        """Most tokens of a sequence; None where positions have no end."""
        return getattr(self, "max_position_embeddings", None)

    @property
    def rereads_after(self) -> int | None:
        """The length of a sequence behind which what a cache holds has to be read again."""
        return None

    @property
    def num_layers(self) -> int:
        """Number of blocks that keep keys and values while decoding."""
        return getattr(self, "num_hidden_layers")  # noqa: B009 - a field of the subclass

    def to_dict(self) -> dict[str, Any]:
        """The contents of `config.json`, version 5 words first, version 4 doubles beside them."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        del own["num_labels"]  # how many names there are
        if self.id2label == label_names(None, None, None):
            del own["id2label"], own["label2id"]
        for name in (
            "problem_type", "output_hidden_states", "output_attentions", "classifier_pooling",
        ):  # fmt: skip
            if not own.get(name):
                own.pop(name, None)
        return {**self.extra, "model_type": self.model_type, **own, "torch_dtype": self.dtype}


def label_names(
    num_labels: int | None, id2label: Any, label2id: Mapping[str, int] | None
) -> dict[int, str]:
    """The name of each class, from what a configuration says about them (by default two).

    Raises
    ------
    ConfigError : they contradict each other, or the classes are not numbered from 0
    """
    check_kind("num_labels", num_labels, int | None)
    _check_range("num_labels", num_labels, 1, MAX_LABELS)
    check_kind("id2label", id2label, Mapping[int, str | float | bool] | None)
    check_kind("label2id", label2id, Mapping[Any, int | str] | None)
    names = {int(i): str(name) for i, name in (id2label or {}).items()}
    numbers = {_number(name, i): str(name) for name, i in (label2id or {}).items()}
    if not names:
        names = numbers or {i: f"LABEL_{i}" for i in range(2 if num_labels is None else num_labels)}
    names = dict(sorted(names.items()))
    if list(names) != list(range(len(names))) or not names:
        raise ConfigError(f"id2label: got classes {shown(list(names))}, expected 0, 1, 2, ...")
    if num_labels is not None and num_labels != len(names):
        raise ConfigError(f"num_labels: got {num_labels}, but id2label has {len(names)} classes")
    if numbers and numbers != names:
        raise ConfigError(
            f"label2id: got {shown(label2id)}, which is not id2label the other way round"
        )
    return names


def _number(name: Any, number: int | str) -> int:
    """The number of a label in `label2id`, which old files may write as a text."""
    if isinstance(number, str) and not (number.isdecimal() and len(number) < 20):
        raise ConfigError(f"label2id: {short(name)}: got {shown(number)}, expected a number")
    return int(number)


def unknown_field(name: str, known: set[str]) -> str:
    """The message for a field that no configuration of this kind has."""
    hint = did_you_mean(name, known, "remove it if it changes nothing")
    return f"{short(name)}: unknown configuration field{hint}"


def check_fixed(name: str, value: Any, wanted: Any) -> None:
    """Raise for a field whose other values this library does not implement."""
    if value != wanted and not (value is None and not wanted):
        raise ConfigError(f"{name}: got {shown(value)}, only {shown(wanted)} is supported")


def _size_fields(kind: Any) -> list[str]:
    """Fields that are at least 1 and no more than an index can be, or None."""
    return [
        name
        for name, annotation in annotations_of(kind).items()
        if annotation in (int, int | None)
        and not name.endswith("_token_id")
        and name not in kind.not_sizes
    ]


def check_divides(config: PretrainedConfig, name: str, width: str) -> None:
    """Raise unless the field `name` divides the field `width` into equal parts."""
    parts, whole = getattr(config, name), getattr(config, width)
    if whole % parts:
        raise ConfigError(f"{name}: got {parts}, expected a divisor of {width} = {whole}")


def check_token_ids(config: PretrainedConfig) -> None:
    """Raise for an id that no vocabulary can have; -1 stands for none in old files."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name) if f.name.endswith("_token_id") else None
        for one in value if isinstance(value, list) else [value]:
            _check_range(f.name, one, -1, MAX_SIZE)


def _check_range(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None:
        at_least(least, most).check(name, value)


def check_activation(name: str, activation: str) -> str:
    """The kernels' word for an activation named as in Hugging Face."""
    return ACTIVATIONS[one_of(*ACTIVATIONS).check(name, activation)]

"""Model configurations: dataclasses that read and write Hugging Face's `config.json`.

A field that we do not know, or a value that we do not support, is an error that names it: a model
that silently ignores part of its configuration computes something else.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from ..errors import ConfigError

Config = TypeVar("Config", bound="PretrainedConfig")

# Fields of any Hugging Face configuration that say nothing about what the model computes.
INERT = frozenset(
    """_attn_implementation_autoset _commit_hash _name_or_path architectures attn_implementation
    auto_map bad_words_ids begin_suppress_tokens chunk_size_feed_forward custom_pipelines
    decoder_start_token_id diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id gradient_checkpointing id2label label2id
    length_penalty max_length min_length model_type no_repeat_ngram_size num_beam_groups
    num_beams num_labels num_return_sequences output_attentions output_hidden_states
    output_scores prefix problem_type remove_invalid_values repetition_penalty return_dict
    return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature
    tf_legacy_loss tokenizer_class top_k top_p torchscript transformers_version typical_p
    use_bfloat16 use_cache""".split()  # noqa: SIM905
)

# Fields of any configuration that change what a model computes: only this value will do.
FIXED: dict[str, Any] = {
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "pruned_heads": {},
    "quantization_config": None,
    "tie_encoder_decoder": False,
}

# How weights may be stored; float16 is read as float32, because CPU kernels have none.
DTYPES = ("float32", "bfloat16", "float16", "float64")

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
    """Base of all configurations. `extra` keeps the inert fields of a file, to write them back."""

    model_type: ClassVar[str] = ""
    aliases: ClassVar[dict[str, str]] = {}
    inert: ClassVar[frozenset[str]] = frozenset()
    fixed: ClassVar[dict[str, Any]] = {}
    dropout_fields: ClassVar[tuple[str, ...]] = ()

    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    dtype: str = "float32"
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_field_types(self)
        if self.dtype not in DTYPES:
            wanted = ", ".join(DTYPES)
            raise ConfigError(f"dtype: got {self.dtype!r}, expected one of {wanted}")

    @classmethod
    def from_dict(cls: type[Config], values: Mapping[str, Any], **overrides: Any) -> Config:
        """Build from the contents of a `config.json`; `overrides` win.

        Raises
        ------
        ConfigError : naming an unknown field (and the likely one meant) or an unsupported value
        """
        values = cls._canonical({**values, **overrides})
        known = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        fixed = FIXED | cls.fixed
        extra: dict[str, Any] = {}
        for name, value in values.items():
            if name in known:
                continue
            if name in fixed:
                check_fixed(name, value, fixed[name])
            elif name not in INERT | cls.inert:
                raise ConfigError(unknown_field(name, known | set(cls.aliases)))
            extra[name] = value
        return cls(**{k: v for k, v in values.items() if k in known}, extra=extra)

    @classmethod
    def _canonical(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same fields under our names; two names for one field must agree."""
        wanted = values.get("model_type", cls.model_type)
        if wanted != cls.model_type:
            raise ConfigError(f"model_type: got {wanted!r}, expected {cls.model_type!r}")
        result: dict[str, Any] = {}
        for name, value in values.items():
            own = {"torch_dtype": "dtype", **cls.aliases}.get(name, name)
            if own == "dtype" and value is None:
                continue  # version 4 writes null for "as it comes"
            if own in result and result[own] != value:
                raise ConfigError(f"{name}: got {value!r}, but {own} is {result[own]!r}")
            result[own] = value
        return result

    @property
    def context_length(self) -> int | None:
        """Most tokens of a sequence; None where positions have no end."""
        return getattr(self, "max_position_embeddings", None)

    @property
    def num_layers(self) -> int:
        """Number of blocks that keep keys and values while decoding."""
        return getattr(self, "num_hidden_layers")  # noqa: B009 - a field of the subclass

    def to_dict(self) -> dict[str, Any]:
        """The contents of `config.json`, version 5 words first, version 4 doubles beside them."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        return {**self.extra, "model_type": self.model_type, **own, "torch_dtype": self.dtype}


def unknown_field(name: str, known: set[str]) -> str:
    """The message for a field that no configuration of this kind has."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "remove it if it changes nothing"
    return f"{name}: unknown configuration field; {hint}"


def check_fixed(name: str, value: Any, wanted: Any) -> None:
    """Raise for a field whose other values this library does not implement."""
    if value != wanted and not (value is None and not wanted):
        raise ConfigError(f"{name}: got {value!r}, only {wanted!r} is supported")


def check_field_types(config: PretrainedConfig) -> None:
    """Raise unless every int, float, bool and str field of a configuration holds one."""
    kinds = {"int": int, "float": (int, float), "bool": bool, "str": str}
    for f in dataclasses.fields(config):
        kind, value = kinds.get(str(f.type)), getattr(config, f.name)
        is_bool = isinstance(value, bool)
        if kind and (not isinstance(value, kind) or (is_bool and f.type != "bool")):  # type: ignore[arg-type]
            raise ConfigError(f"{f.name}: got {value!r}, expected {f.type}")


def check_positive(config: PretrainedConfig, *names: str) -> None:
    """Raise unless these fields are at least 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name}: got {getattr(config, name)}, expected at least 1")


def check_probabilities(config: PretrainedConfig, *names: str) -> None:
    """Raise unless these fields are dropout probabilities: at least 0, below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(
                f"{name}: got {getattr(config, name)}, expected at least 0 and below 1"
            )


def check_activation(name: str, activation: str) -> str:
    """The kernels' word for an activation named as in Hugging Face."""
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{name}: got {activation!r}, expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]

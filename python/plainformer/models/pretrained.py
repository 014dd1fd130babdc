"""What all models share: directories in and out, and the switches that a trainer turns."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, overload

import numpy as np

from .. import kernels
from ..checkpoints.habits import given_device, given_dtype, without_habits
from ..checkpoints.huggingface import load_state, read_config, save_model
from ..checkpoints.matching import GAMMA_BETA, LoadReport, fit_state
from ..errors import CheckpointError, ConfigError, shown
from ..kernels.devices import as_device
from ..nn import Dropout, Module, QuantizedParameter, capture, init_empty_weights
from ..nn import quantize as nn_quantize
from ..nn.empty import undrawn_weights, weights_of
from ..nn.module import float_dtype, wanted_of
from ..nn.quantization import MODES, QuantizationConfig
from ..options import one_of
from ..parameter import Buffer
from ..tape import no_grad
from ..tensor import Array
from .config import PretrainedConfig, Shape
from .sizes import check_layers, check_memory, sized_fields

__all__ = ["PreTrainedModel"]

Model = TypeVar("Model", bound="PreTrainedModel")


class PreTrainedModel(Module):
    """Base of all models: built from a configuration, kept in a Hugging Face directory."""

    config_class: ClassVar[type[PretrainedConfig]]
    model_task: ClassVar[str]  # what it is for, a word of `registry.MODEL_TASKS`
    base_prefix: ClassVar[str]  # what names in checkpoints of the bare model leave out
    ignored_keys: ClassVar[tuple[str, ...]] = ()  # globs of buffers in old checkpoints
    tied_keys: ClassVar[dict[str, str]] = {}  # names that only repeat another with tied embeddings
    head_keys: ClassVar[
        tuple[str, ...]
    ] = ()  # globs of what a checkpoint may lack or have to spare

    config: Any

    def __init__(self, config: Any, seed: int | None = 0):
        """The model of `config`, with weights of `seed`; None leaves matrices at zero, to load."""
        self.config = config
        with undrawn_weights():
            self.build(config)
        if seed is not None:
            self.init_weights(seed)

    def build(self, config: Any) -> None:
        """Make the modules that the model is of."""
        raise NotImplementedError(f"{type(self).__name__} defines no build")

    def __init_subclass__(cls, **options: Any) -> None:
        """A class that takes a seed draws its weights itself, and its layers draw none before."""
        super().__init_subclass__(**options)
        init = vars(cls).get("__init__")
        if init is not None and "seed" in inspect.signature(init).parameters:
            cls.__init__ = undrawn_weights()(init)  # type: ignore[method-assign]

    def __call__(
        self,
        *args: Any,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """`forward`, which says what else it takes; here, what else its output tells.

        output_hidden_states : also the embeddings and the output of every layer
        output_attentions : also the attention weights of every layer, before dropout; None means
            what the configuration says
        """
        states, weights = (
            getattr(self.config, name) if given is None else given
            for name, given in (
                ("output_hidden_states", output_hidden_states),
                ("output_attentions", output_attentions),
            )
        )
        if not (states or weights):
            return self.forward(*args, **kwargs)
        with capture(states, weights) as seen:
            output = self.forward(*args, **kwargs)
        for wanted, name, found in (
            (states, "hidden_states", seen.hidden_states),
            (weights, "attentions", seen.attentions),
        ):
            if wanted and not found:
                raise ConfigError(f"output_{name}: {type(self).__name__} has none to show")
            for part, tensors in found.items():
                setattr(output, output.prefixes[part] + name, tuple(tensors))
        return output

    def recording(self, has_labels: bool) -> Any:
        """A context that keeps a tape in training and for a loss."""
        return contextlib.nullcontext() if self.training or has_labels else no_grad()

    @property
    def base_model(self) -> Any:
        """The model without a head; itself, if it has none."""
        return getattr(self, self.base_prefix.removesuffix("."), self)

    def generate(self, *args: Any, **options: Any) -> Any:
        """Models that write have it from `GenerationMixin`; others raise ConfigError."""
        raise ConfigError(
            f"generate: {type(self).__name__} does not write; expected a model with a head for the "
            "next token, causal-lm or seq2seq-lm; pf.pipeline and `plainformer predict` answer "
            "what it was fine-tuned for"
        )

    def stream(self, *args: Any, **options: Any) -> Iterator[Any]:
        """As `generate`, a token or a piece of text at a time."""
        return self.generate(*args, **options)

    @overload
    @classmethod
    def from_pretrained(
        cls: type[Model],
        path: str | Path,
        dtype: Any = ...,
        *,
        output_loading_info: Literal[True],
        **options: Any,
    ) -> tuple[Model, LoadReport]: ...
    @overload
    @classmethod
    def from_pretrained(
        cls: type[Model], path: str | Path, dtype: Any = ..., **options: Any
    ) -> Model: ...
    @classmethod
    def from_pretrained(
        cls: type[Model],
        path: str | Path,
        dtype: Any = None,
        *,
        torch_dtype: Any = None,
        config: PretrainedConfig | Mapping[str, Any] | None = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        seed: int = 0,
        device: Any = None,
        device_map: Any = None,
        quantize: str | None = None,
        **overrides: Any,
    ) -> Any:
        """Read a model from a directory with `config.json` and safetensors files, in eval mode.

        Weights of the wanted dtype stay in the mapped file until they are read, and are copied
        when they are first written.

        A head that the checkpoint does not have starts from new weights, with one warning that
        names them; a head that the model does not have is left out. Anything else must fit.

        Parameters
        ----------
        path : directory; nothing is downloaded
        dtype : float32, bfloat16 or float64; None or "auto" means that of the configuration.
            `torch_dtype` is its older name
        config : a configuration, or the contents of a `config.json`; None means that of the
            directory
        ignore_mismatched_sizes : also start parameters anew that have another shape
        output_loading_info : return (model, `checkpoints.matching.LoadReport`)
        seed : of new weights
        device : "cpu", "cuda", "cuda:1" or "auto", as for `nn.Module.to`; None means the CPU.
            `device_map` is transformers' word for it
        quantize : "int8" makes int8 weights of the float ones that are read, as `nn.quantize` does
            for this kind of model; "weight-only" and "dynamic" say which form. A directory of
            `plainformer quantize` needs no word
        overrides : fields of the configuration (num_labels, id2label, dropouts, ...). Options of
            transformers that ask for nothing here (`use_safetensors=True`) are taken

        Raises
        ------
        CheckpointError : a file is missing or damaged, or does not fit; naming every array
        ConfigError : the configuration has an unknown field or an unsupported value
        DeviceError : the device, or what it needs, is missing
        """
        device = given_device(device, device_map)
        place = None if device is None else as_device(device)
        values = read_config(path) if config is None else contents_of(config)
        config = cls.config_class.from_dict(values, **without_habits(overrides))
        dtype = given_dtype(dtype, torch_dtype)
        wanted = float_dtype(loaded_dtype(config.dtype) if dtype is None else dtype)
        config.dtype = str(wanted)
        how = config.quantization
        _check_quantize(quantize, how, wanted)
        stored = cls.read_state(load_state(path), config)
        check_layers(config, stored, str(path))
        config.quantization = None  # a new model has float weights
        with init_empty_weights():  # arrays of the file are put in their place
            model = cls(config, seed=None)
            if how is not None:
                nn_quantize(model, how.mode, how.group_size)
                stored = _with_float_tables(stored, model, how.group_size)
        scales = {p.scale for p in model.parameters() if isinstance(p, QuantizedParameter)}
        parameters = {
            name: parameter
            for name, parameter in model.named_state()
            if name in stored or not isinstance(parameter, Buffer) or parameter in scales
        }
        state, report = fit_state(
            stored,
            {name: parameter.shape for name, parameter in parameters.items()},
            prefix=cls.base_prefix,
            renames=GAMMA_BETA,
            tied=cls.tied_keys_of(config),
            ignore=cls.ignored_keys,
            may_miss=cls.head_keys,
            may_drop=cls.head_keys,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            fields=lambda sizes: sized_fields(config, sizes),
            source=str(path),
        )
        new = {name: parameters[name].shape for name in report.new_keys}
        check_memory(new, config, wanted.itemsize)
        for name, parameter in model.named_state():
            if isinstance(parameter, QuantizedParameter):
                parameter.assign(_quantized_values(state, name, str(path)))
            elif name in state:
                parameter.assign(state[name].astype(wanted, copy=False))
            else:  # the initial value
                parameter.copy_from(parameter.data, wanted)
        model.init_weights(seed, report.new_keys)
        model.read_generation_config(path)
        if quantize is not None:
            nn_quantize(model, None if quantize == "int8" else quantize)
        if place is not None:
            model.to(device=place)
        model.eval()
        return (model, report) if output_loading_info else model

    @classmethod
    def tied_keys_of(cls, config: Any) -> dict[str, str]:
        """Names that only repeat another under this configuration."""
        return cls.tied_keys if config.tie_word_embeddings else {}

    @classmethod
    def read_state(cls, state: Mapping[str, Array], config: Any) -> Mapping[str, Array]:
        """A checkpoint's arrays, where a family's files need more than names; may fix `config`."""
        return state

    def save_pretrained(self, path: str | Path, max_shard_size: int | str = "5GB") -> None:
        """Write `config.json` and the weights, in files of at most `max_shard_size`."""
        save_model(
            path,
            self.state_dict(),
            {**self.config.to_dict(), "architectures": [type(self).__name__]},
            generation_config=self.generation_values(),
            max_shard_size=max_shard_size,
        )

    def read_generation_config(self, path: str | Path) -> None:
        """Take over `generation_config.json` of a directory; see `GenerationMixin`."""

    def generation_values(self) -> dict[str, Any] | None:
        """The contents of `generation_config.json`; None for models that do not generate."""
        return None

    def to(self: Model, *where: Any, device: Any = None, dtype: Any = None) -> Model:
        """As `nn.Module.to`; another dtype is said in the configuration too."""
        place, wanted = wanted_of(where, device, dtype)
        super().to(device=place, dtype=wanted)
        if wanted is not None:
            self.config.dtype = str(wanted)
        return self

    def initial_value(self, name: str, shape: Shape, rng: np.random.Generator) -> Array | None:
        """The weights that a new parameter starts from; None leaves it as it was made.

        Matrices and embeddings are drawn from N(0, initializer_range).
        """
        return normal_matrix(shape, rng, self.config.initializer_range)

    def init_weights(self, seed: int, names: Collection[str] | None = None) -> None:
        """Draw the weights of all parameters, or of those named, from stream 0 of `seed`."""
        rng = weights_of(seed)
        for name, parameter in self.named_parameters():
            if names is None or name in names:
                value = self.initial_value(name, parameter.shape, rng)
                if value is not None:
                    parameter.assign(value.astype(parameter.dtype, copy=False))

    def set_dropout(self, p: float) -> int:
        """Use one probability for every dropout; returns how many there are."""
        places = [module for module in self.modules() if isinstance(module, Dropout)]
        for place in places:
            place.set_probability(p)
        for name in self.config.dropout_fields:
            setattr(self.config, name, float(p))
        return len(places)

    def block_flops(self, blocks: Iterable[Module], width: int, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token, in these blocks.

        6 N + 12 layers width sequence_length, with N the parameters of the blocks. Embeddings are
        looked up, and heads see few tokens: neither is counted. Chowdhery et al., "PaLM", 2022,
        arXiv:2204.02311, appendix B.
        """
        sizes = [block.num_parameters() for block in blocks]
        return 6 * sum(sizes) + 12 * len(sizes) * width * sequence_length

    def gradient_checkpointing_enable(self) -> None:
        """In training keep only each block's inputs, and run blocks again in the backward pass."""
        self._set_recomputes(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep what the backward pass needs (the default)."""
        self._set_recomputes(False)

    def _set_recomputes(self, recomputes: bool) -> None:
        for module in self.modules():
            if hasattr(module, "recomputes"):
                module.recomputes = recomputes


def _check_quantize(quantize: Any, how: QuantizationConfig | None, dtype: np.dtype) -> None:
    """Raise for another word than there is, a second quantization, or no kernels for the dtype."""
    if how is not None and dtype.itemsize > 4:
        raise ConfigError(
            f"dtype: got {dtype}, but the directory holds int8 weights, which are multiplied with "
            "float32 or bfloat16"
        )
    if quantize is None:
        return
    one_of("int8", *MODES).check("quantize", quantize)
    if how is not None:
        raise ConfigError(
            f"quantize: got {shown(quantize)}, but the directory holds int8 weights already "
            f"({how.mode}); leave it out"
        )


def _with_float_tables(
    state: Mapping[str, Array], model: Module, group_size: int | None
) -> dict[str, Array]:
    """The state with numbers for int8 tables that are no head in this model, only looked up."""
    found, state = dict(state), dict(state)
    ours = [n for n, p in model.named_state() if isinstance(p, QuantizedParameter)]
    for name, values in found.items():
        scale = found.get(f"{name}_scale")
        is_ours = any(f".{name}".endswith(f".{n}") or f".{n}".endswith(f".{name}") for n in ours)
        if scale is not None and values.dtype.name == "int8" and not is_ours:
            state[name] = kernels.dequantize_weight(values, scale, group_size)
            del state[f"{name}_scale"]
    return state


def _quantized_values(state: Mapping[str, Array], name: str, source: str) -> Array:
    """The int8 values of a checkpoint, which no new weights can stand for."""
    values = state.get(name)
    if values is None or values.dtype.name != "int8":
        got = "none" if values is None else values.dtype
        raise CheckpointError(
            f"{source}: {name}: got {got}, expected int8 values, for quantization_config of its "
            "config.json says so"
        )
    return values


def contents_of(config: Any) -> Mapping[str, Any]:
    """What a configuration's `config.json` holds, or a caller says that it does."""
    if isinstance(config, PretrainedConfig):
        return config.to_dict()
    if not isinstance(config, Mapping):
        raise ConfigError(
            f"config: got {shown(config)}, expected a configuration or the contents of a "
            "config.json"
        )
    return config


def normal_matrix(shape: Shape, rng: np.random.Generator, deviation: float) -> Array | None:
    """Float32 draws from N(0, deviation) for a matrix; None for a vector."""
    if len(shape) < 2:
        return None
    weights = rng.standard_normal(shape, dtype=np.float32)
    weights *= np.float32(deviation)
    return weights


def truncated_matrix(
    shape: Shape, rng: np.random.Generator, deviation: float, cutoff: float
) -> Array | None:
    """As `normal_matrix`, but no draw is farther from 0 than `cutoff` >= 1 deviations."""
    weights = normal_matrix(shape, rng, 1.0)
    if weights is None:
        return None
    flat = weights.reshape(-1)
    far = np.flatnonzero(np.abs(flat) > cutoff)
    while len(far):
        flat[far] = rng.standard_normal(len(far), dtype=np.float32)
        far = far[np.abs(flat[far]) > cutoff]
    weights *= np.float32(deviation)
    return weights


def loaded_dtype(dtype: str) -> str:
    """What a checkpoint's dtype is held in: CPU kernels have no float16."""
    return "float32" if dtype == "float16" else dtype

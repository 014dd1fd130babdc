"""What is trained of a model, when, and how fast: freezing, gradual unfreezing, layer-wise decay,
LoRA.

The parts of a model are in order of depth: 0 the embeddings, 1 to L its layers (an encoder's, then
a decoder's), L + 1 what follows them: the head, a pooler, the last norm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..nn import LoraConfig, add_lora
from ..nn.freezing import train_only
from ..options import COUNT, NOT_NEGATIVE, above, borrowed, check, given, option, refuse_idle
from ..training import ParameterOptions

_LAYER = re.compile(r"(?:^|\.)(?:h|layer|layers|block)\.(\d+)\.")
_EMBEDDING = re.compile(r"embed|(?:^|\.)(?:wte|wpe|shared)\.")


HEAD_LEARNING_RATE = 1e-3  # of head_only by default: the usual 5e-5 hardly moves a new head


@dataclass(frozen=True)
class StrategyOptions:
    """Which parameters are trained and how. TrainingArguments' freeze and train_only are globs."""

    head_only: bool = option(
        False, "Train the head alone, by default at a learning rate of 1e-3; the rest stays."
    )
    few_shot: bool = option(
        False,
        "Learn from 8 to 64 texts a label: the encoder from pairs of them, then a head on its "
        "vectors (SetFit), by default one epoch in batches of 16 at 5e-5.",
    )
    few_shot_pairs: int | None = option(
        None, "Pairs of each kind, alike and not, that each text is in; default 20.", COUNT,
        words="num_iterations",
    )  # fmt: skip
    freeze_layers: int | None = option(
        None, "Freeze the embeddings and so many layers; 0: the embeddings alone.", NOT_NEGATIVE
    )
    gradual_unfreezing: float | None = option(
        None, "Begin with the head alone and unfreeze a layer, from the last to the first, every "
        "so many epochs.", above(0),
    )  # fmt: skip
    layerwise_lr_decay: float | None = option(
        None, "Multiply the learning rate with this for every layer further from the head.",
        above(0, 1),
    )  # fmt: skip
    lora_r: int | None = option(
        None, "Train adapters of this rank (LoRA) and the head; weights stay, adapters are added.",
        COUNT, words="rank lora lora_rank",
    )  # fmt: skip
    lora_alpha: float | None = borrowed(LoraConfig, "lora_alpha")
    lora_dropout: float | None = borrowed(LoraConfig, "lora_dropout")
    target_modules: Sequence[str] | None = borrowed(LoraConfig, "target_modules")

    def __post_init__(self) -> None:
        check(self)
        ways = ("head_only", "few_shot", "freeze_layers", "gradual_unfreezing", "lora_r")
        first = next((way for way in ways if way in given(self)), None)
        without = self.lora_r is None
        refuse_idle(
            self,
            *((way, way != first, f"beside {first}") for way in ways),
            *((name, without, "without lora_r") for name in ("lora_alpha", "lora_dropout")),
            ("target_modules", without, "without lora_r"),
            ("layerwise_lr_decay", self.head_only, "beside head_only"),
            ("few_shot_pairs", not self.few_shot, "without few_shot"),
        )

    @property
    def reads_sentences(self) -> bool:
        """Whether a new head reads what the encoder was trained with."""
        return self.head_only or self.few_shot

    @property
    def freezes(self) -> bool:
        """Whether parameters are frozen for all of the run."""
        some = self.freeze_layers is not None or self.lora_r is not None
        return some or self.reads_sentences

    def lora(self) -> LoraConfig | None:
        """The adapters that are asked for."""
        if self.lora_r is None:
            return None
        alpha = 2 * self.lora_r if self.lora_alpha is None else self.lora_alpha
        targets = None if self.target_modules is None else list(self.target_modules)
        return LoraConfig(self.lora_r, alpha, self.lora_dropout or 0.0, targets)


def apply_strategy(
    model: Any, options: StrategyOptions, new_parameters: Sequence[str], seed: int
) -> dict[str, ParameterOptions]:
    """Freeze what the options say, and return what the trainer is to know of each parameter.

    new_parameters : those that start from new weights; they always count as part of the head
    seed : of adapters

    Raises
    ------
    ConfigError : the model has not so many layers, or no head to train alone
    """
    config = options.lora()
    if config is not None:
        _train_adapters(model, config, new_parameters, seed)
    depths = parameter_depths(model, new_parameters)
    layers = max(depths.values()) - 1
    if options.head_only:
        _train_head(model, new_parameters)
    if options.few_shot:
        names = {name for name, _ in model.named_parameters()}
        train_only(model, names - head_of(model, new_parameters))
    if options.freeze_layers is not None:
        if options.freeze_layers > layers:
            raise ConfigError(
                f"freeze_layers: got {options.freeze_layers}, the model has {layers} layers"
            )
        for name, parameter in model.named_parameters():
            if depths[name] <= options.freeze_layers:
                parameter.requires_grad = False
    # An encoder alone begins with its last layer.
    first = layers + bool(head_of(model, new_parameters))
    decay, pace = options.layerwise_lr_decay, options.gradual_unfreezing
    if decay is None and pace is None:
        return {}
    return {
        name: ParameterOptions(
            lr_scale=1.0 if decay is None else decay ** (layers + 1 - depth),
            start_epoch=0.0 if pace is None else pace * max(0, first - depth),
        )
        for name, depth in depths.items()
    }


def parameter_depths(model: Any, new_parameters: Sequence[str] = ()) -> dict[str, int]:
    """The depth of each parameter, by name; see the top of this file.

    Raises
    ------
    ConfigError : a model without layers that are known by name
    """
    names = [name for name, _ in model.named_parameters()]
    layers: dict[str, int] = {}  # the path of each layer, in order
    for name in names:
        match = _LAYER.search(name)
        if match:
            layers.setdefault(name[: match.end()], len(layers) + 1)
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no layers to tell apart")
    head = len(layers) + 1
    new = _new_ones(names, new_parameters)
    return {name: _depth(name, layers, head, name in new) for name in names}


def _depth(name: str, layers: dict[str, int], head: int, is_new: bool) -> int:
    match = _LAYER.search(name)
    if match:
        return layers[name[: match.end()]]
    return 0 if _EMBEDDING.search(name) and not is_new else head


def _train_adapters(
    model: Any, config: LoraConfig, new_parameters: Sequence[str], seed: int
) -> None:
    """Adapters, and the head if there is one; the rest is frozen."""
    head = head_of(model, new_parameters)
    add_lora(model, config, seed)
    names = {name for name, _ in model.named_parameters()}
    train_only(model, {name for name in names if ".lora_" in name} | head)


def head_of(model: Any, new_parameters: Sequence[str]) -> set[str]:
    """Parameters outside of the bare model, and those with new weights in a trained one."""
    names = [name for name, _ in model.named_parameters()]
    return {*head_parameters(model), *_new_ones(names, new_parameters)}


def head_parameters(model: Any) -> list[str]:
    """Names of the parameters that are no part of the bare model."""
    prefix = model.base_prefix
    if model.base_model is model:  # an encoder alone
        return []
    return [name for name, _ in model.named_parameters() if not name.startswith(prefix)]


def _new_ones(names: Sequence[str], new_parameters: Sequence[str]) -> set[str]:
    """Parameters with new weights in a trained model; in a new one that says nothing."""
    return set() if len(new_parameters) == len(names) else set(new_parameters)


def _train_head(model: Any, new_parameters: Sequence[str]) -> None:
    head = head_of(model, new_parameters)
    if not head or head == {name for name, _ in model.named_parameters()}:
        raise ConfigError(f"head_only: {type(model).__name__} has no head apart from its body")
    train_only(model, head)

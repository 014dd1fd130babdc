"""What models return: Hugging Face's names, found by attribute, by key and by position.

    output.logits, output["logits"], output[1]
    loss, logits = output[:2]                  # of what is there: None is left out

As in transformers an output is a mapping, so a loop over one gives names. Every array is a Tensor
and converts with `np.asarray`. Where a batch had padding, its positions hold zeros. B sentences of
L tokens, S sequences, V tokens in the vocabulary, C wide.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, overload

from ..reprs import outline
from ..tensor import Tensor

__all__ = [
    "BaseModelOutput",
    "CausalLMOutput",
    "MaskedLMOutput",
    "ModelOutput",
    "MultipleChoiceModelOutput",
    "QuestionAnsweringModelOutput",
    "Seq2SeqLMOutput",
    "SequenceClassifierOutput",
    "TokenClassifierOutput",
]

# What is there if it was asked for. The caller knows, so type checkers ask for no `is not None`.
MaybeNone: TypeAlias = Any
States: TypeAlias = tuple[Tensor, ...]


class ModelOutput:
    """Base of all outputs, whose fields stand in transformers' order.

    loss : 0-d float32 Tensor, with labels
    hidden_states : with output_hidden_states, the embeddings and each layer's output, (B, L, C)
    attentions : with output_attentions, each layer's attention weights (B, H, L, L)
    """

    # How names begin of what the parts of a model report (`nn.capture`).
    prefixes: ClassVar[dict[str, str]] = {"self": "", "encoder": "encoder_", "cross": "cross_"}

    loss: Tensor | MaybeNone = None  # of bare models, too, which have no field for it

    def _there(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        return self._there()[key] if isinstance(key, str) else self.to_tuple()[key]

    def __contains__(self, name: object) -> bool:
        return name in self._there()

    def __iter__(self) -> Iterator[str]:
        return iter(self._there())

    def __len__(self) -> int:
        return len(self._there())

    def keys(self) -> KeysView[str]:
        """The names of what is there."""
        return self._there().keys()

    def values(self) -> ValuesView[Any]:
        """What is there."""
        return self._there().values()

    def items(self) -> ItemsView[str, Any]:
        """What is there, with its names."""
        return self._there().items()

    def get(self, name: str, default: Any = None) -> Any:
        """What is there under a name, or else the default."""
        return self._there().get(name, default)

    def to_tuple(self) -> tuple[Any, ...]:
        """What is there, in order."""
        return tuple(self._there().values())

    def __repr__(self) -> str:
        lines = [f"    {name}={outline(value)},\n" for name, value in self._there().items()]
        return f"{type(self).__name__}(\n{''.join(lines)})" if lines else f"{type(self).__name__}()"


@dataclass(repr=False)
class BaseModelOutput(ModelOutput):
    """Output of a bare encoder or decoder.

    last_hidden_state : Tensor (B, L, C)
    pooler_output : Tensor (B, C), what a classifier would read, where the model has a pooler
    """

    last_hidden_state: Tensor | MaybeNone = None
    pooler_output: Tensor | MaybeNone = None
    hidden_states: States | MaybeNone = None
    attentions: States | MaybeNone = None


@dataclass(repr=False)
class CausalLMOutput(ModelOutput):
    """Output of a causal language model.

    logits : Tensor (B, L, V); None in training with labels, where they never exist as a whole
    """

    loss: Tensor | MaybeNone = None
    logits: Tensor | MaybeNone = None
    hidden_states: States | MaybeNone = None
    attentions: States | MaybeNone = None


class MaskedLMOutput(CausalLMOutput):
    """Output of a masked language model. logits : as in CausalLMOutput"""


class SequenceClassifierOutput(CausalLMOutput):
    """Output of a sequence classifier. logits : Tensor (B, num_labels)"""


class TokenClassifierOutput(CausalLMOutput):
    """Output of a token classifier. logits : Tensor (B, L, num_labels)"""


class MultipleChoiceModelOutput(CausalLMOutput):
    """Output of a multiple-choice model. logits : Tensor (B, num_choices)"""


@dataclass(repr=False)
class QuestionAnsweringModelOutput(ModelOutput):
    """Output of an extractive question answerer. start_logits, end_logits : Tensor (B, L)"""

    loss: Tensor | MaybeNone = None
    start_logits: Tensor | MaybeNone = None
    end_logits: Tensor | MaybeNone = None
    hidden_states: States | MaybeNone = None
    attentions: States | MaybeNone = None


@dataclass(repr=False)
class Seq2SeqLMOutput(ModelOutput):
    """Output of an encoder-decoder.

    logits : Tensor (B, L, V) of the decoder; None in training with labels
    encoder_last_hidden_state : Tensor (B, M, C)
    """

    prefixes: ClassVar = {**ModelOutput.prefixes, "self": "decoder_"}

    loss: Tensor | MaybeNone = None
    logits: Tensor | MaybeNone = None
    decoder_hidden_states: States | MaybeNone = None
    decoder_attentions: States | MaybeNone = None
    cross_attentions: States | MaybeNone = None
    encoder_last_hidden_state: Tensor | MaybeNone = None
    encoder_hidden_states: States | MaybeNone = None
    encoder_attentions: States | MaybeNone = None

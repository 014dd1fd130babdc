"""What models return: Hugging Face's names, found by attribute, by key and by position.

    output.logits, output["logits"], output[1]
    loss, logits = output[:2]                  # of what is there: None is left out

As in transformers an output is a mapping, so a loop over one gives names. Every array is a Tensor
and converts with `np.asarray`. Where a batch had padding, its positions hold zeros. B sentences of
L tokens, S sequences, V tokens in the vocabulary, C wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from ..outputs import Output
from ..tensor import Tensor

__all__ = [
    "BaseModelOutput", "CausalLMOutput", "ElectraForPreTrainingOutput", "MaskedLMOutput",
    "ModelOutput", "MultipleChoiceModelOutput", "QuestionAnsweringModelOutput", "Seq2SeqLMOutput",
    "Seq2SeqQuestionAnsweringModelOutput", "Seq2SeqSequenceClassifierOutput",
    "SequenceClassifierOutput", "TokenClassifierOutput",
]  # fmt: skip

# What is there if it was asked for. The caller knows, so type checkers ask for no `is not None`.
MaybeNone: TypeAlias = Any
States: TypeAlias = tuple[Tensor, ...]


class ModelOutput(Output):
    """Base of all outputs, whose fields stand in transformers' order.

    loss : 0-d float32 Tensor, with labels
    hidden_states : with output_hidden_states, the embeddings and each layer's output, (B, L, C)
    attentions : with output_attentions, each layer's attention weights (B, H, L, L)
    """

    # How names begin of what the parts of a model report (`nn.capture`).
    prefixes: ClassVar[dict[str, str]] = {"self": "", "encoder": "encoder_", "cross": "cross_"}

    loss: Tensor | MaybeNone = None  # of bare models, too, which have no field for it


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


class ElectraForPreTrainingOutput(CausalLMOutput):
    """Output of ELECTRA's discriminator. logits : Tensor (B, L), above 0 for replaced tokens"""


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
class Seq2SeqOutput(ModelOutput):
    """What all encoder-decoders tell, beside what their heads do.

    encoder_last_hidden_state : Tensor (B, M, C), of models that write
    """

    prefixes: ClassVar = {**ModelOutput.prefixes, "self": "decoder_"}

    decoder_hidden_states: States | MaybeNone = None
    decoder_attentions: States | MaybeNone = None
    cross_attentions: States | MaybeNone = None
    encoder_last_hidden_state: Tensor | MaybeNone = None
    encoder_hidden_states: States | MaybeNone = None
    encoder_attentions: States | MaybeNone = None


@dataclass(repr=False)
class Seq2SeqLMOutput(Seq2SeqOutput, CausalLMOutput):
    """Output of an encoder-decoder that writes. logits : Tensor (B, L, V), as in CausalLMOutput"""


@dataclass(repr=False)
class Seq2SeqSequenceClassifierOutput(Seq2SeqOutput, SequenceClassifierOutput):
    """Output of an encoder-decoder that classifies sequences."""


@dataclass(repr=False)
class Seq2SeqQuestionAnsweringModelOutput(Seq2SeqOutput, QuestionAnsweringModelOutput):
    """Output of an encoder-decoder that finds answers."""

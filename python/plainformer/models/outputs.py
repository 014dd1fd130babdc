"""What models return: dataclasses with Hugging Face's field names.

Every array is a Tensor and converts with `np.asarray`. Where a batch had padding, its positions
hold zeros. B sentences of L tokens, S sequences, V tokens in the vocabulary, C wide.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass
class ModelOutput:
    """Base of all outputs.

    loss : 0-d float32 Tensor, with labels
    hidden_states : with output_hidden_states, the embeddings and each layer's output, (B, L, C)
    attentions : with output_attentions, each layer's attention weights (B, H, L, L)
    """

    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class BaseModelOutput(ModelOutput):
    """Output of a bare encoder or decoder.

    last_hidden_state : Tensor (B, L, C)
    pooler_output : Tensor (B, C), what a classifier would read, where the model has a pooler
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None


@dataclass
class CausalLMOutput(ModelOutput):
    """Output of a causal language model.

    logits : Tensor (B, L, V); None in training with labels, where they never exist as a whole
    """

    logits: Tensor | None = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """Output of a masked language model. logits : as in CausalLMOutput"""

    logits: Tensor | None = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """Output of a sequence classifier. logits : Tensor (B, num_labels)"""

    logits: Tensor | None = None


@dataclass
class TokenClassifierOutput(ModelOutput):
    """Output of a token classifier. logits : Tensor (B, L, num_labels)"""

    logits: Tensor | None = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """Output of an extractive question answerer. start_logits, end_logits : Tensor (B, L)"""

    start_logits: Tensor | None = None
    end_logits: Tensor | None = None


@dataclass
class MultipleChoiceModelOutput(ModelOutput):
    """Output of a multiple-choice model. logits : Tensor (B, num_choices)"""

    logits: Tensor | None = None


@dataclass
class Seq2SeqLMOutput(ModelOutput):
    """Output of an encoder-decoder.

    logits : Tensor (B, L, V) of the decoder; None in training with labels
    encoder_last_hidden_state : Tensor (B, M, C)
    """

    logits: Tensor | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None

    @property
    def decoder_hidden_states(self) -> tuple[Tensor, ...] | None:
        """Hugging Face's name for `hidden_states` here."""
        return self.hidden_states

    @property
    def decoder_attentions(self) -> tuple[Tensor, ...] | None:
        """Hugging Face's name for `attentions` here."""
        return self.attentions

"""ELECTRA: BERT trained to tell which tokens a small generator replaced, and that generator.

Embeddings may be narrower than states and are then projected. A published discriminator is
`ElectraForPreTraining`, a generator `ElectraForMaskedLM`; heads for tasks stand on either.

References
----------
Clark, Luong, Le, Manning, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than
Generators", 2020, arXiv:2003.10555. Names and `config.json`: transformers' `ElectraModel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import functional, nn
from ..errors import ConfigError
from ..tensor import Tensor
from .bert import (
    BertConfig,
    BertForQuestionAnswering,
    BertForRelationExtraction,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
)
from .classifiers import ChoiceClassifier, SequenceClassifier
from .config import check_activation
from .encoder import Rows
from .encoder_config import EncoderConfig
from .heads import count_token_labels, read_pooled, replaced_loss
from .inputs import check_items
from .masked_lm import MaskedLM
from .outputs import ElectraForPreTrainingOutput
from .roberta import RobertaClassificationHead

__all__ = [
    "ElectraConfig", "ElectraForMaskedLM", "ElectraForMultipleChoice", "ElectraForPreTraining",
    "ElectraForQuestionAnswering", "ElectraForRelationExtraction",
    "ElectraForSequenceClassification", "ElectraForTokenClassification", "ElectraModel",
]  # fmt: skip


@dataclass(repr=False)
class ElectraConfig(BertConfig):
    """Sizes and options of an ELECTRA, with those of the small one as defaults."""

    model_type = "electra"
    fixed: ClassVar[dict[str, Any]] = {
        **BertConfig.fixed,
        "summary_activation": "gelu",
        "summary_type": "first",
        "summary_use_proj": True,
    }
    dropout_fields = (*BertConfig.dropout_fields, "summary_last_dropout")

    embedding_size: int = 128
    hidden_size: int = 256
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    summary_last_dropout: float = 0.1

    @property
    def embedding_width(self) -> int:
        """How wide the embeddings are."""
        return self.embedding_size


class ElectraPreTrainedModel(BertPreTrainedModel):
    """What ELECTRA's models share."""

    config_class = ElectraConfig
    config: ElectraConfig
    base_prefix = "electra."
    head_keys = (
        "generator_predictions.*", "generator_lm_head.*", "discriminator_predictions.*",
        "sequence_summary.*", "classifier.*", "qa_outputs.*",
    )  # fmt: skip

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints; it has no pooling layer."""
        self.electra = ElectraModel(config, seed=None)


class ElectraModel(ElectraPreTrainedModel, BertModel):
    """ELECTRA without a head.

    Parameters
    ----------
    config : ElectraConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    def __init__(self, config: EncoderConfig, *, seed: int | None = 0):
        super().__init__(config, False, seed=seed)

    def build(self, config: EncoderConfig) -> None:
        super().build(config)
        width = config.embedding_width
        if width != config.hidden_size:
            self.embeddings_project = nn.Linear(width, config.hidden_size)

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C)."""
        x = self.embeddings(rows)
        if self.config.embedding_width != self.config.hidden_size:
            x = self.embeddings_project(x)
        return self.encoder(x, rows.sequences)


class ElectraGeneratorPredictions(nn.Module):
    """norm(gelu(dense(x))), as wide as the embeddings."""

    def __init__(self, config: ElectraConfig):
        self.LayerNorm = nn.LayerNorm(config.embedding_size, config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, config.embedding_size, activation="gelu")

    def forward(self, x: Tensor) -> Tensor:
        """x (M, C) to (M, embedding_size)."""
        return self.LayerNorm(self.dense(x))


class ElectraForMaskedLM(ElectraPreTrainedModel, MaskedLM):
    """ELECTRA's generator, which guesses masked tokens. Parameters: see `ElectraModel`."""

    tied_keys: ClassVar[dict[str, str]] = {
        "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"
    }

    def build(self, config: ElectraConfig) -> None:
        self.add_body(config)
        self.generator_predictions = ElectraGeneratorPredictions(config)
        self.generator_lm_head = nn.Linear(config.embedding_size, config.vocab_size)
        if config.tie_word_embeddings:
            self.generator_lm_head.weight = self.base_model.embeddings.word_embeddings.weight

    def transformed(self, x: Tensor) -> Tensor:
        """States (M, C) as the projection to the vocabulary takes them."""
        return self.generator_predictions(x)

    def projection(self) -> nn.Linear:
        """The layer from them to logits (M, V)."""
        return self.generator_lm_head


class ElectraDiscriminatorPredictions(nn.Module):
    """Whether each token was replaced: one logit, of activation(dense(x))."""

    def __init__(self, config: ElectraConfig):
        C, activation = config.hidden_size, check_activation("hidden_act", config.hidden_act)
        self.dense = nn.Linear(C, C, activation=activation)
        self.dense_prediction = nn.Linear(C, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C) to (N, 1)."""
        return self.dense_prediction(self.dense(x))


class ElectraForPreTraining(ElectraPreTrainedModel):
    """ELECTRA's discriminator, which tells replaced tokens. Parameters: see `ElectraModel`."""

    model_task = "replaced-token-detection"
    __call__: Callable[..., ElectraForPreTrainingOutput]

    def build(self, config: ElectraConfig) -> None:
        self.add_body(config)
        self.discriminator_predictions = ElectraDiscriminatorPredictions(config)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        cu_seqlens: Any = None,
        num_items_in_batch: int | None = None,
        label_smoothing: float = 0.0,
        return_logits: bool = True,
    ) -> ElectraForPreTrainingOutput:
        """Logits (B, L), above 0 for replaced tokens, and with labels the loss. See `Encoder`.

        Parameters
        ----------
        labels : (B, L), 1 where a token was replaced and 0 where not; -100 takes no part, nor does
            padding
        num_items_in_batch : what the summed loss is divided by; None means the labels that count
        label_smoothing : 0; the loss has none
        return_logits : False leaves them out
        """
        check_items(num_items_in_batch)
        if label_smoothing:
            raise ConfigError(
                f"label_smoothing: got {label_smoothing}, the loss of replaced tokens has none"
            )
        with self.recording(labels is not None):
            rows = self.rows(input_ids, attention_mask, token_type_ids, position_ids, cu_seqlens)
            y = self.discriminator_predictions(self.hidden_rows(rows))
            loss = None
            if labels is not None:
                loss = replaced_loss(y, labels, rows.sequences, num_items_in_batch)
            logits = None
            if return_logits:
                logits = functional.reshape(rows.sequences.batch_of(y), rows.sequences.shape)
        return ElectraForPreTrainingOutput(loss, logits=logits)

    def count_labels(self, batch: Mapping[str, Any]) -> int:
        """How many labels of a batch (the arguments of a call) enter the loss."""
        return count_token_labels(batch)


class ElectraClassificationHead(RobertaClassificationHead):
    """RoBERTa's with a GELU."""

    activation = "gelu"


class ElectraForSequenceClassification(ElectraPreTrainedModel, SequenceClassifier):
    """ELECTRA that classifies sequences. Parameters: see `ElectraModel`."""

    def build(self, config: ElectraConfig) -> None:
        self.add_body(config)
        self.classifier = ElectraClassificationHead(config)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, num_labels)."""
        return self.classifier(x, sequences)


class ElectraForTokenClassification(ElectraPreTrainedModel, BertForTokenClassification):
    """ELECTRA that classifies tokens. Parameters: see `ElectraModel`."""


class ElectraForQuestionAnswering(ElectraPreTrainedModel, BertForQuestionAnswering):
    """ELECTRA that finds answers in a text. Parameters: see `ElectraModel`."""


class ElectraSequenceSummary(nn.Module):
    """dropout(gelu(summary(state of the first token)))."""

    def __init__(self, config: ElectraConfig):
        self.summary = nn.Linear(config.hidden_size, config.hidden_size, activation="gelu")
        self.dropout = nn.Dropout(config.summary_last_dropout)

    def forward(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """States (N, C) to (S, C)."""
        return self.dropout(self.summary(read_pooled(x, sequences, None)))


class ElectraForMultipleChoice(ElectraPreTrainedModel, ChoiceClassifier):
    """ELECTRA that chooses between texts. Parameters: see `ElectraModel`."""

    def build(self, config: ElectraConfig) -> None:
        self.add_body(config)
        self.sequence_summary = ElectraSequenceSummary(config)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def sequence_logits(self, x: Tensor, sequences: nn.Sequences) -> Tensor:
        """Logits (S, 1)."""
        return self.classifier(self.sequence_summary(x, sequences))


class ElectraForRelationExtraction(ElectraPreTrainedModel, BertForRelationExtraction):
    """ELECTRA that classifies relations. Parameters: see `ElectraModel`."""

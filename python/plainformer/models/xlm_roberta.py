"""XLM-RoBERTa: RoBERTa's model of a hundred languages, whose tokens are SentencePiece's.

What is other than in RoBERTa is the tokenizer: pieces of a unigram model, see
`data/sentencepiece.py` for directories without `tokenizer.json`.

References
----------
Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale", 2019,
arXiv:1911.02116. Parameter names and `config.json`: transformers' `XLMRobertaModel`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .encoder_config import EncoderConfig
from .roberta import (
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForMultipleChoice,
    RobertaForQuestionAnswering,
    RobertaForRelationExtraction,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
    RobertaPreTrainedModel,
)

__all__ = [
    "XLMRobertaConfig", "XLMRobertaForMaskedLM", "XLMRobertaForMultipleChoice",
    "XLMRobertaForQuestionAnswering", "XLMRobertaForRelationExtraction",
    "XLMRobertaForSequenceClassification", "XLMRobertaForTokenClassification", "XLMRobertaModel",
]  # fmt: skip


@dataclass(repr=False)
class XLMRobertaConfig(RobertaConfig):
    """Sizes and options of an XLM-RoBERTa: those of a RoBERTa."""

    model_type = "xlm-roberta"

    vocab_size: int = 30522


class XLMRobertaPreTrainedModel(RobertaPreTrainedModel):
    """What XLM-RoBERTa's models share."""

    config_class = XLMRobertaConfig
    config: XLMRobertaConfig

    def add_body(self, config: EncoderConfig, *, pools: bool = False) -> None:
        """The encoder under its name in checkpoints, with a pooling layer or without."""
        self.roberta = XLMRobertaModel(config, add_pooling_layer=pools, seed=None)


class XLMRobertaModel(XLMRobertaPreTrainedModel, RobertaModel):
    """XLM-RoBERTa without a head. Parameters: see `BertModel`."""


class XLMRobertaForMaskedLM(XLMRobertaPreTrainedModel, RobertaForMaskedLM):
    """XLM-RoBERTa that guesses masked tokens. Parameters: see `BertModel`."""


class XLMRobertaForSequenceClassification(
    XLMRobertaPreTrainedModel, RobertaForSequenceClassification
):
    """XLM-RoBERTa that classifies sequences. Parameters: see `BertModel`."""


class XLMRobertaForTokenClassification(XLMRobertaPreTrainedModel, RobertaForTokenClassification):
    """XLM-RoBERTa that classifies tokens. Parameters: see `BertModel`."""


class XLMRobertaForQuestionAnswering(XLMRobertaPreTrainedModel, RobertaForQuestionAnswering):
    """XLM-RoBERTa that finds answers in a text. Parameters: see `BertModel`."""


class XLMRobertaForMultipleChoice(XLMRobertaPreTrainedModel, RobertaForMultipleChoice):
    """XLM-RoBERTa that chooses between texts. Parameters: see `BertModel`."""


class XLMRobertaForRelationExtraction(XLMRobertaPreTrainedModel, RobertaForRelationExtraction):
    """XLM-RoBERTa that classifies relations. Parameters: see `BertModel`."""

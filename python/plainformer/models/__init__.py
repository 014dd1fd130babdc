"""Models: one page a family, built from Hugging Face configurations."""

from .adapters import load_adapter, save_adapter
from .bart import (
    BartConfig,
    BartForConditionalGeneration,
    BartForQuestionAnswering,
    BartForSequenceClassification,
)
from .bert import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)
from .config import PretrainedConfig
from .distilbert import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForMultipleChoice,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    DistilBertModel,
)
from .gpt2 import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2ForTokenClassification,
    GPT2LMHeadModel,
    GPT2Model,
)
from .llama import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
)
from .marian import MarianConfig, MarianMTModel
from .outputs import (
    BaseModelOutput,
    CausalLMOutput,
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    Seq2SeqLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from .pretrained import PreTrainedModel
from .qwen2 import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen2ForTokenClassification,
    Qwen2Model,
)
from .registry import MODELS, Family, from_config, load, model_class
from .relation import (
    BertForRelationExtraction,
    DistilBertForRelationExtraction,
    RobertaForRelationExtraction,
)
from .roberta import (
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForMultipleChoice,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)
from .t5 import T5Config, T5EncoderModel, T5ForConditionalGeneration
from .transformer import TransformerConfig, TransformerForConditionalGeneration

__all__ = [
    "MODELS",
    "BartConfig",
    "BartForConditionalGeneration",
    "BartForQuestionAnswering",
    "BartForSequenceClassification",
    "BaseModelOutput",
    "BertConfig",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForQuestionAnswering",
    "BertForRelationExtraction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "CausalLMOutput",
    "DistilBertConfig",
    "DistilBertForMaskedLM",
    "DistilBertForMultipleChoice",
    "DistilBertForQuestionAnswering",
    "DistilBertForRelationExtraction",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertModel",
    "Family",
    "GPT2Config",
    "GPT2ForSequenceClassification",
    "GPT2ForTokenClassification",
    "GPT2LMHeadModel",
    "GPT2Model",
    "LlamaConfig",
    "LlamaForCausalLM",
    "LlamaForSequenceClassification",
    "LlamaForTokenClassification",
    "LlamaModel",
    "MarianConfig",
    "MarianMTModel",
    "MaskedLMOutput",
    "ModelOutput",
    "MultipleChoiceModelOutput",
    "PreTrainedModel",
    "PretrainedConfig",
    "QuestionAnsweringModelOutput",
    "Qwen2Config",
    "Qwen2ForCausalLM",
    "Qwen2ForSequenceClassification",
    "Qwen2ForTokenClassification",
    "Qwen2Model",
    "RobertaConfig",
    "RobertaForMaskedLM",
    "RobertaForMultipleChoice",
    "RobertaForQuestionAnswering",
    "RobertaForRelationExtraction",
    "RobertaForSequenceClassification",
    "RobertaForTokenClassification",
    "RobertaModel",
    "Seq2SeqLMOutput",
    "SequenceClassifierOutput",
    "T5Config",
    "T5EncoderModel",
    "T5ForConditionalGeneration",
    "TokenClassifierOutput",
    "TransformerConfig",
    "TransformerForConditionalGeneration",
    "from_config",
    "load",
    "load_adapter",
    "model_class",
    "save_adapter",
]

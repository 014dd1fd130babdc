"""`pf.load`: the class that a directory's `config.json` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.huggingface import read_config
from ..errors import ConfigError, shown
from ..kinds import check_kind
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
from .pretrained import PreTrainedModel
from .qwen2 import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen2ForTokenClassification,
    Qwen2Model,
)
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
from .sizes import check_memory, parameter_shapes
from .t5 import T5Config, T5EncoderModel, T5ForConditionalGeneration
from .transformer import TransformerConfig, TransformerForConditionalGeneration


@dataclass(frozen=True)
class Family:
    """The models of one `model_type`, by what they are for; the first is the usual one."""

    config_class: type[PretrainedConfig]
    models: dict[str, type[PreTrainedModel]]


# What a model is for: causal-lm, masked-lm, seq2seq-lm, sequence-classification,
# token-classification, question-answering, multiple-choice, relation-extraction,
# feature-extraction.
MODELS: dict[str, Family] = {
    "bert": Family(
        BertConfig,
        {
            "masked-lm": BertForMaskedLM,
            "sequence-classification": BertForSequenceClassification,
            "token-classification": BertForTokenClassification,
            "question-answering": BertForQuestionAnswering,
            "multiple-choice": BertForMultipleChoice,
            "relation-extraction": BertForRelationExtraction,
            "feature-extraction": BertModel,
        },
    ),
    "distilbert": Family(
        DistilBertConfig,
        {
            "masked-lm": DistilBertForMaskedLM,
            "sequence-classification": DistilBertForSequenceClassification,
            "token-classification": DistilBertForTokenClassification,
            "question-answering": DistilBertForQuestionAnswering,
            "multiple-choice": DistilBertForMultipleChoice,
            "relation-extraction": DistilBertForRelationExtraction,
            "feature-extraction": DistilBertModel,
        },
    ),
    "roberta": Family(
        RobertaConfig,
        {
            "masked-lm": RobertaForMaskedLM,
            "sequence-classification": RobertaForSequenceClassification,
            "token-classification": RobertaForTokenClassification,
            "question-answering": RobertaForQuestionAnswering,
            "multiple-choice": RobertaForMultipleChoice,
            "relation-extraction": RobertaForRelationExtraction,
            "feature-extraction": RobertaModel,
        },
    ),
    "gpt2": Family(
        GPT2Config,
        {
            "causal-lm": GPT2LMHeadModel,
            "sequence-classification": GPT2ForSequenceClassification,
            "token-classification": GPT2ForTokenClassification,
            "feature-extraction": GPT2Model,
        },
    ),
    "llama": Family(
        LlamaConfig,
        {
            "causal-lm": LlamaForCausalLM,
            "sequence-classification": LlamaForSequenceClassification,
            "token-classification": LlamaForTokenClassification,
            "feature-extraction": LlamaModel,
        },
    ),
    "qwen2": Family(
        Qwen2Config,
        {
            "causal-lm": Qwen2ForCausalLM,
            "sequence-classification": Qwen2ForSequenceClassification,
            "token-classification": Qwen2ForTokenClassification,
            "feature-extraction": Qwen2Model,
        },
    ),
    "bart": Family(
        BartConfig,
        {
            "seq2seq-lm": BartForConditionalGeneration,
            "sequence-classification": BartForSequenceClassification,
            "question-answering": BartForQuestionAnswering,
        },
    ),
    "marian": Family(MarianConfig, {"seq2seq-lm": MarianMTModel}),
    "t5": Family(
        T5Config,
        {"seq2seq-lm": T5ForConditionalGeneration, "feature-extraction": T5EncoderModel},
    ),
    "transformer": Family(TransformerConfig, {"seq2seq-lm": TransformerForConditionalGeneration}),
}


def load(path: str | Path, task: str | None = None, dtype: Any = None, **options: Any) -> Any:
    """Open a Hugging Face directory of any family in `MODELS`, in eval mode.

    Nothing is downloaded.

    Parameters
    ----------
    path : directory
    task : what the model is for, a word of `MODELS`; None means the class that `architectures`
        in `config.json` names, or the family's usual one
    dtype : float32, bfloat16 or float64; None means the configuration's
    options : of `from_pretrained`
    """
    found = model_class(read_config(path), task, str(path))
    return found.from_pretrained(path, dtype=dtype, **options)


def from_config(
    values: dict[str, Any], task: str | None = None, seed: int = 0, **overrides: Any
) -> Any:
    """A new model from the contents of a `config.json`; `overrides` (vocab_size, ...) win.

    Raises
    ------
    ConfigError : an unknown field, a value that is not supported, or more parameters than fit
        into memory
    """
    found = model_class(values, task, "config")
    config = found.config_class.from_dict(values, **overrides)
    check_memory(parameter_shapes(found, config), config)
    return found(config, seed=seed)  # type: ignore[call-arg]


def model_class(
    values: dict[str, Any], task: str | None = None, source: str = "config"
) -> type[PreTrainedModel]:
    """The class behind `model_type` and a task, or behind `architectures`.

    Raises
    ------
    ConfigError : an unknown model_type, or a family without a model for the task
    """
    kind = values.get("model_type")
    family = MODELS.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise ConfigError(
            f"{source}: got model_type {shown(kind)}, expected one of {', '.join(sorted(MODELS))}"
        )
    named = check_kind(f"{source}: architectures", values.get("architectures"), list[str] | None)
    if task is not None:
        if not isinstance(task, str) or task not in family.models:
            raise ConfigError(
                f"task: got {shown(task)}, {kind} has models for {', '.join(family.models)}"
            )
        return family.models[task]
    by_name = {model.__name__: model for model in family.models.values()}
    known = [name for name in named or () if name in by_name]
    return by_name[known[0]] if known else next(iter(family.models.values()))

"""plainformer: the Transformer, whole and small.

    import plainformer as pf
    y = pf.kernels.layer_norm(x, x.shape[-1])       # kernels on NumPy arrays
    model = pf.load("directory")                    # a Hugging Face checkpoint directory

Names are imported when they are first used, so that `import plainformer` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = (
    "augmentation",
    "bench",
    "checkpoints",
    "data",
    "errors",
    "functional",
    "generation",
    "kernels",
    "metrics",
    "models",
    "nn",
    "pipeline",
    "runtime",
    "tasks",
    "tensor",
    "training",
)
_NAMES = {
    "BartConfig": "models",
    "BartForConditionalGeneration": "models",
    "BartForQuestionAnswering": "models",
    "BartForSequenceClassification": "models",
    "BertConfig": "models",
    "BertForMaskedLM": "models",
    "BertForMultipleChoice": "models",
    "BertForQuestionAnswering": "models",
    "BertForRelationExtraction": "models",
    "BertForSequenceClassification": "models",
    "BertForTokenClassification": "models",
    "BertModel": "models",
    "DistilBertConfig": "models",
    "DistilBertForMaskedLM": "models",
    "DistilBertForMultipleChoice": "models",
    "DistilBertForQuestionAnswering": "models",
    "DistilBertForRelationExtraction": "models",
    "DistilBertForSequenceClassification": "models",
    "DistilBertForTokenClassification": "models",
    "DistilBertModel": "models",
    "GPT2Config": "models",
    "GPT2ForSequenceClassification": "models",
    "GPT2ForTokenClassification": "models",
    "GPT2LMHeadModel": "models",
    "GPT2Model": "models",
    "LlamaConfig": "models",
    "LlamaForCausalLM": "models",
    "LlamaForSequenceClassification": "models",
    "LlamaForTokenClassification": "models",
    "LlamaModel": "models",
    "MarianConfig": "models",
    "MarianMTModel": "models",
    "PlainformerError": "errors",
    "PlainformerWarning": "errors",
    "Qwen2Config": "models",
    "Qwen2ForCausalLM": "models",
    "Qwen2ForSequenceClassification": "models",
    "Qwen2ForTokenClassification": "models",
    "Qwen2Model": "models",
    "RobertaConfig": "models",
    "RobertaForMaskedLM": "models",
    "RobertaForMultipleChoice": "models",
    "RobertaForQuestionAnswering": "models",
    "RobertaForRelationExtraction": "models",
    "RobertaForSequenceClassification": "models",
    "RobertaForTokenClassification": "models",
    "RobertaModel": "models",
    "T5Config": "models",
    "T5EncoderModel": "models",
    "T5ForConditionalGeneration": "models",
    "Tensor": "tensor",
    "Trainer": "training",
    "TrainingArguments": "training",
    "TransformerConfig": "models",
    "TransformerForConditionalGeneration": "models",
    "augment": "augmentation",
    "finetune": "tasks",
    "get_num_threads": "runtime",
    "load": "models",
    "no_grad": "tensor",
    "num_threads": "runtime",
    "set_num_threads": "runtime",
    "threadpool_info": "runtime",
    "trim_memory": "runtime",
}

__all__ = [*_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("plainformer")
    if name in _MODULES:
        return importlib.import_module(f"plainformer.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"plainformer.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'plainformer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

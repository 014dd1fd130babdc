"""What a model learns from unlabelled text, one file an objective."""

from .causal import CausalLM
from .denoising import Denoising
from .examples import Objective, ObjectiveExamples, baselines_of, pack_examples, pad_examples
from .masked import MaskedLM
from .spans import SpanCorruption
from .vocabulary import Vocabulary

__all__ = [
    "CausalLM",
    "Denoising",
    "MaskedLM",
    "Objective",
    "ObjectiveExamples",
    "SpanCorruption",
    "Vocabulary",
    "baselines_of",
    "pack_examples",
    "pad_examples",
]

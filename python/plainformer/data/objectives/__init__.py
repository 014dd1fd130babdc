"""What a model learns from unlabelled text, one file an objective."""

from .causal import CausalLanguageModeling
from .denoising import Denoising
from .examples import Objective, ObjectiveExamples, baselines_of, flat_examples
from .masked import MaskedLanguageModeling
from .spans import SpanCorruption
from .vocabulary import Vocabulary

__all__ = [
    "CausalLanguageModeling",
    "Denoising",
    "MaskedLanguageModeling",
    "Objective",
    "ObjectiveExamples",
    "SpanCorruption",
    "Vocabulary",
    "baselines_of",
    "flat_examples",
]

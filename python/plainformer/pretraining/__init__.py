"""Pre-training: a model learns from unlabelled text. `pretrain` is the whole of it."""

from .options import PretrainingOptions
from .pretrain import Pretraining, pretrain
from .result import PretrainResult

__all__ = ["PretrainResult", "Pretraining", "PretrainingOptions", "pretrain"]

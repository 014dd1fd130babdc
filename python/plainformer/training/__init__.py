"""Training: arguments, the trainer, callbacks, checkpoints that resume exactly."""

from .arguments import TrainingArguments
from .callbacks import EarlyStoppingCallback, TimeLimitCallback, TrainerCallback
from .evaluation import EvalPrediction, PredictionOutput
from .reporting import TensorBoardCallback, WandbCallback
from .signals import TrainingInterrupted
from .state import TrainerControl, TrainerState
from .trainable import Trainable
from .trainer import Trainer, TrainOutput
from .updates import ParameterOptions

__all__ = [
    "EarlyStoppingCallback", "EvalPrediction", "ParameterOptions", "PredictionOutput",
    "TensorBoardCallback", "TimeLimitCallback", "TrainOutput", "Trainable", "Trainer",
    "TrainerCallback", "TrainerControl", "TrainerState", "TrainingArguments", "TrainingInterrupted",
    "WandbCallback",
]  # fmt: skip

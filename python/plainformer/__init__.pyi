"""All public names, for type checkers; `__init__.py` imports each when it is first used."""

from . import bench as bench
from . import checkpoints as checkpoints
from . import data as data
from . import errors as errors
from . import functional as functional
from . import generation as generation
from . import kernels as kernels
from . import metrics as metrics
from . import models as models
from . import nn as nn
from . import optim as optim
from . import options as options
from . import parameter as parameter
from . import pipelines as pipelines
from . import pretraining as pretraining
from . import runtime as runtime
from . import tape as tape
from . import tasks as tasks
from . import tensor as tensor
from . import training as training
from .data import PreTrainedTokenizer as PreTrainedTokenizer
from .data import load_tokenizer as load_tokenizer
from .errors import PlainformerError as PlainformerError
from .errors import PlainformerWarning as PlainformerWarning
from .generation import GenerationConfig as GenerationConfig
from .models import PreTrainedModel as PreTrainedModel
from .models import load as load
from .models.families import *  # noqa: F403
from .pipelines import Pipeline as Pipeline
from .pipelines import pipeline as pipeline
from .pretraining import pretrain as pretrain
from .runtime import get_num_threads as get_num_threads
from .runtime import num_threads as num_threads
from .runtime import set_num_threads as set_num_threads
from .runtime import threadpool_info as threadpool_info
from .runtime import trim_memory as trim_memory
from .tape import no_grad as no_grad
from .tasks import finetune as finetune
from .tasks import highlight as highlight
from .tensor import Tensor as Tensor
from .training import EarlyStoppingCallback as EarlyStoppingCallback
from .training import Trainer as Trainer
from .training import TrainerCallback as TrainerCallback
from .training import TrainingArguments as TrainingArguments

__version__: str

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
    "optim",
    "parameter",
    "pipelines",
    "pretraining",
    "runtime",
    "tape",
    "tasks",
    "tensor",
    "training",
)
_NAMES = {
    "PlainformerError": "errors",
    "PlainformerWarning": "errors",
    "Tensor": "tensor",
    "Trainer": "training",
    "TrainingArguments": "training",
    "finetune": "tasks",
    "get_num_threads": "runtime",
    "load": "models",
    "load_tokenizer": "data",
    "no_grad": "tape",
    "num_threads": "runtime",
    "pipeline": "pipelines",
    "pretrain": "pretraining",
    "set_num_threads": "runtime",
    "threadpool_info": "runtime",
    "trim_memory": "runtime",
}


def _model_names() -> list[str]:
    """The classes of all families, which `models/families.py` lists; imports them."""
    families = importlib.import_module("plainformer.models.families")
    return [name for name in vars(families) if name[:1].isupper()]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("plainformer")
    if name == "__all__":
        return [*_MODULES, *_NAMES, *_model_names()]
    if name in _MODULES:
        return importlib.import_module(f"plainformer.{name}")
    # Models begin with a capital, as no module does: `from . import x` must not import them all.
    if name in _NAMES or (name[:1].isupper() and name in _model_names()):
        room = _NAMES.get(name, "models")
        value = getattr(importlib.import_module(f"plainformer.{room}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'plainformer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})

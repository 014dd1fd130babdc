"""plainformer: the Transformer, whole and small.

    import plainformer as pf

Models and tokenizers, from directories in Hugging Face's layout; nothing is downloaded

    model = pf.load("MODEL")                            the class that its config.json names
    model = pf.load("MODEL", "fill-mask")               or one for a task
    tok = pf.load_tokenizer("MODEL")
    batch = tok(["a text", "two"], padding=True, return_tensors="np")
    output = model(**batch)                             output.logits, output["logits"], output[0]
    ids = model.generate(tok.encode("Once"), 40, do_sample=True)
    model.save_pretrained("OUT")
    model = pf.GPT2LMHeadModel(pf.GPT2Config(n_layer=4))     a new one; Bert..., Llama..., T5...

Answers

    classify = pf.pipeline("text-classification", "MODEL")
    classify("a charming film")                         [{"label": "positive", "score": 0.98}]
    pf.highlight(text, pf.pipeline("ner", "MODEL")(text))   entities marked, in a notebook too

Training

    pf.finetune("ner", "MODEL", "train.conll", "validation.conll", output_dir="OUT")
    pf.pretrain("texts/*.txt", config="config.json", tokenizer="bpe:8000", output_dir="OUT")
    pf.Trainer(model, pf.TrainingArguments("OUT", learning_rate=2e-5), train_dataset).train()

By hand

    loss = model(**batch, labels=labels).loss           a pf.Tensor
    loss.backward()
    pf.optim.AdamW(model.parameters(), lr=1e-3).step()
    with pf.no_grad(): ...
    pf.nn, pf.functional                                modules; differentiable operations
    pf.kernels.layer_norm(x, x.shape[-1])               kernels on NumPy arrays

Figures and files

    pf.metrics.accuracy(references=labels, predictions=found)
    pf.data, pf.checkpoints                             texts to batches; weights in and out

Threads and memory

    pf.set_num_threads(2), pf.get_num_threads(), pf.threadpool_info(), pf.trim_memory()
    with pf.num_threads(1): ...

Every name has help of its own: help(pf.finetune), help(pf.nn). Errors are pf.PlainformerError, and
ValueError or TypeError where Python would say so. Names are imported when they are first used;
`__init__.pyi` lists them for type checkers.
"""

import importlib as _importlib

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
    "options",
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
    "EarlyStoppingCallback": "training",
    "GenerationConfig": "generation",
    "Pipeline": "pipelines",
    "PlainformerError": "errors",
    "PlainformerWarning": "errors",
    "PreTrainedModel": "models",
    "PreTrainedTokenizer": "data",
    "Tensor": "tensor",
    "Trainer": "training",
    "TrainerCallback": "training",
    "TrainingArguments": "training",
    "finetune": "tasks",
    "get_num_threads": "runtime",
    "highlight": "tasks",
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
    families = _importlib.import_module("plainformer.models.families")
    return [name for name in vars(families) if name[:1].isupper()]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _importlib.import_module("importlib.metadata").version("plainformer")
    if name in _MODULES:
        return _importlib.import_module(f"plainformer.{name}")
    # Models begin with a capital, as no module does: `from . import x` must not import them all.
    models = [] if name in _NAMES or not name[:1].isupper() else _model_names()
    if name in _NAMES or name in models:
        room = _NAMES.get(name, "models")
        value = getattr(_importlib.import_module(f"plainformer.{room}"), name)
        globals()[name] = value
        return value
    hint = "" if name.startswith("_") else _hint(name, [*_MODULES, *_NAMES, *models])
    raise AttributeError(f"module 'plainformer' has no attribute {name!r}{hint}")


def _hint(name: str, known: list[str]) -> str:
    """What was probably meant."""
    near = _importlib.import_module("difflib").get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES, *_model_names()})

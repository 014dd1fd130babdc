"""Modules, settings of the process, files and models: what people call first."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import ml_dtypes
import numpy as np

import plainformer as pf
from plainformer import checkpoints, data, nn, runtime
from plainformer.tensor import Tensor
from tests.tasks.tiny import tune

from .function import Call, Strategy, floats, one_of

SIZE, BOOL, EPS = one_of(1, 4, 6), one_of(True, False), one_of(1e-5)
ACTIVATION = one_of("relu", "gelu", "silu")
MODULES: dict[str, Call] = {
    "Attention": Call(nn.Attention, num_heads=one_of(4), num_kv_heads=one_of(None, 2),
                      scale=one_of(None, 0.5), dropout=one_of(0.1), causal=BOOL,
                      window_size=one_of((-1, -1), (2, 0))),
    "Conv1D": Call(nn.Conv1D, in_features=SIZE, out_features=SIZE, bias=BOOL,
                   activation=ACTIVATION),
    "Dropout": Call(nn.Dropout, p=one_of(0.1)),
    "Embedding": Call(nn.Embedding, num_embeddings=SIZE, embedding_dim=SIZE,
                      padding_idx=one_of(None, 0)),
    "LayerNorm": Call(nn.LayerNorm, width=SIZE, eps=EPS, bias=BOOL),
    "LearnedPositions": Call(nn.LearnedPositions, num_positions=SIZE, width=SIZE,
                             offset=one_of(0, 2)),
    "Linear": Call(nn.Linear, in_features=SIZE, out_features=SIZE, bias=BOOL,
                   activation=ACTIVATION),
    "RMSNorm": Call(nn.RMSNorm, width=SIZE, eps=EPS),
    "SinusoidalPositions": Call(nn.SinusoidalPositions, num_positions=SIZE, width=one_of(4),
                                interleaved=BOOL),
}  # fmt: skip


@cache
def classifier() -> Path:
    """A tiny fine-tuned model, made once a process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tune("text-classification", folder / "out")
    return folder / "out"


def model(random: Random) -> Any:
    return random.choice((classifier(), str(classifier())))


def load_file(path: Any) -> None:
    with checkpoints.load_file(path) as file:
        list(file)


def save_file(tensors: Any, metadata: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.save_file(tensors, Path(folder, "x.safetensors"), metadata)


def read_examples(**options: Any) -> None:
    list(data.read_examples(**options))


def made_tensor(value: Any, requires_grad: Any) -> None:
    made = Tensor(value, requires_grad)
    repr(made), made.shape, made.dtype, np.asarray(made)


def asked(inputs: Any, **options: Any) -> None:
    pf.pipeline("text-classification", classifier())(inputs, **options)


def tokenized(text: Any, **options: Any) -> None:
    pf.load_tokenizer(classifier())(text, **options)


def decoded(token_ids: Any, **options: Any) -> None:
    pf.load_tokenizer(classifier()).decode(token_ids, **options)


def threads(n: Any) -> None:
    with runtime.num_threads(n):
        pass


def level(name: Any) -> None:
    with runtime.use_level(name):
        pass


DTYPE: Strategy = one_of(None, "bfloat16", "float32", np.float32, ml_dtypes.bfloat16)
TASK = one_of("text-classification", None)
WEIGHTS = one_of({"a": np.ones((2, 3), np.float32), "b": np.zeros(2, np.int64)})
FRONT: dict[str, Call] = {
    "load": Call(pf.load, path=model, task=one_of(None, "sequence-classification"), dtype=DTYPE),
    "pipeline": Call(pf.pipeline, task=TASK, model=model, dtype=DTYPE, adapter=one_of(None),
                     batch_size=one_of(1, 8), top_k=one_of(1, 2)),
    "pipeline()": Call(asked, inputs=one_of("a good film", ["a", "good film"], []),
                       top_k=one_of(1, None), batch_size=one_of(2)),
    "Tensor": Call(made_tensor, value=floats(2, 3), requires_grad=BOOL),
    "num_threads": Call(threads, n=one_of(1, 2)),
    "use_level": Call(level, name=one_of("generic")),
    "load_file": Call(load_file, path=lambda random: classifier() / "model.safetensors"),
    "load_state": Call(checkpoints.load_state, directory=model),
    "save_file": Call(save_file, tensors=WEIGHTS, metadata=one_of(None, {"format": "pt"})),
    "load_tokenizer": Call(pf.load_tokenizer, directory=model, use_fast=one_of(True),
                           padding_side=one_of("left", "right")),
    "tokenizer()": Call(
        tokenized, text=one_of("a good film", ["a", "good film"]), text_pair=one_of(None),
        padding=one_of(True, False, "max_length"), truncation=one_of(True, None, "only_first"),
        max_length=one_of(None, 5, 9), return_tensors=one_of(None, "np"),
        pad_to_multiple_of=one_of(None, 4), return_offsets_mapping=BOOL,
        return_overflowing_tokens=BOOL, stride=one_of(0), add_special_tokens=BOOL,
    ),
    "tokenizer.decode": Call(decoded, token_ids=one_of([1, 2], 3), skip_special_tokens=BOOL),
    "read_tokenizer": Call(data.read_tokenizer, directory=model),
    "read_examples": Call(read_examples, paths=one_of("README.md", ["README.md"]),
                          task=one_of("language-modeling"), skip_bad_lines=BOOL,
                          columns=one_of(None, {"text": "a"}), labelled=BOOL),
}  # fmt: skip
FUNCTIONS = {f"nn.{name}": call for name, call in MODULES.items()} | {
    f"front.{name}": call for name, call in FRONT.items()
}

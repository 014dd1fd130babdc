"""Readers of model directories: configuration, weights, generation settings, adapters, runs."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import plainformer as pf
from plainformer.checkpoints.atomic import write_json_atomic
from plainformer.checkpoints.checksums import CHECKSUMS, write_checksums
from plainformer.checkpoints.files import read_json
from plainformer.checkpoints.huggingface import load_state, save_model
from plainformer.checkpoints.safetensors import load_file, save_file
from plainformer.generation.config import FIELDS, UNSUPPORTED
from plainformer.models import MODELS, from_config, load_adapter, model_class, save_adapter
from plainformer.models.config import FIXED, INERT
from plainformer.models.seq2seq_lm import Seq2SeqLM
from plainformer.models.sizes import parameter_shapes
from plainformer.nn import LoraConfig, add_lora
from plainformer.training.checkpoint import CheckpointDirectory
from tests.models import tiny
from tests.training.tiny import tiny_trainer

from .reader import Reader

_IDS = np.array([[2, 3, 4, 5]])
_BUILT = 1 << 20  # parameters of a model from nothing that are drawn


def _make_model(task: str | None, family: str, directory: Path, **options: Any) -> None:
    model = tiny.make(family, task or next(iter(MODELS[family].models)), **options)
    model.save_pretrained(directory)


def _open_model(directory: Path) -> None:
    model = pf.load(directory)
    with pf.no_grad():
        model(**({"input_ids": _IDS} | _targets(model)))
    model.config.to_dict()


def _targets(model: Any) -> dict[str, Any]:
    """What an encoder-decoder needs beside its source."""
    return {"decoder_input_ids": _IDS} if isinstance(model, Seq2SeqLM) else {}


def _field_names(family: str) -> tuple[str, ...]:
    kind = MODELS[family].config_class
    own = [f.name for f in dataclasses.fields(kind)]
    more = ("rope_scaling", "rope_theta", "type", "rope_type", "architectures", "torch_dtype")
    return (*own, *kind.aliases, *kind.fixed, *FIXED, *kind.inert, *sorted(INERT), *more * 3)


def _config_readers() -> dict[str, Reader]:
    """A family each, with its usual head, or one with labels."""
    found = {}
    for family, known in MODELS.items():
        heads = [t for t in known.models if t == "sequence-classification"] or [None]
        make = partial(_make_model, heads[0], family)
        names = _field_names(family)
        found[f"config/{family}"] = Reader(make, _open_model, ["config.json"], names)
    return found


def _make_rope(directory: Path) -> None:
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0,
            "original_max_position_embeddings": 8, "beta_fast": 32, "beta_slow": 1,
            "mscale": 0.7, "mscale_all_dim": 0.7, "truncate": False}  # fmt: skip
    _make_model("causal-lm", "qwen2", directory, rope_parameters=yarn, use_sliding_window=True,
                max_window_layers=1, sliding_window=4)  # fmt: skip


def _from_nothing(directory: Path) -> None:
    values = read_json(directory / "config.json")
    kind = model_class(values)
    shapes = parameter_shapes(kind, kind.config_class.from_dict(values)).values()
    if sum(map(math.prod, shapes)) > _BUILT:  # a size that was asked for, and may be there
        return
    model = from_config(values).eval()
    with pf.no_grad():
        model(**({"input_ids": _IDS} | _targets(model)))


def _make_generation(directory: Path) -> None:
    model = tiny.make("gpt2", "causal-lm")
    said = {"max_new_tokens": 2, "do_sample": True, "temperature": 0.7, "top_k": 5, "top_p": 0.9,
            "num_beams": 1, "eos_token_id": [3, 4], "pad_token_id": 1, "repetition_penalty": 1.1,
            "bad_words_ids": [[5], [6, 7]], "suppress_tokens": [8]}  # fmt: skip
    model.generation_config = pf.generation.GenerationConfig.from_dict(said)
    model.save_pretrained(directory)


def _open_generation(directory: Path) -> None:
    model = pf.load(directory)
    model.generation_config.to_dict()
    model.generate(_IDS)


def _make_adapter(directory: Path) -> None:
    model = tiny.make("gpt2", "causal-lm")
    add_lora(model, LoraConfig(r=2))
    save_adapter(model, directory, LoraConfig(r=2), base="../base")


def _open_adapter(directory: Path) -> None:
    model = tiny.make("gpt2", "causal-lm")
    load_adapter(model, directory)
    with pf.no_grad():
        model(_IDS)


def _make_weights(directory: Path) -> None:
    state = {f"h.{i}": np.full((2, 3), i, np.float32) for i in range(4)}
    save_model(directory, state, {}, max_shard_size=48)


def _open_weights(directory: Path) -> None:
    for array in load_state(directory).values():
        array.sum()


def _make_file(directory: Path) -> None:
    save_file(
        {f"h.{i}": np.full((2, 3), i, np.float32) for i in range(4)}, directory / "a.safetensors"
    )


def _make_run(directory: Path) -> None:
    trainer = tiny_trainer(directory, max_steps=2, eval_strategy="steps", eval_steps=1,
                           save_steps=2, metric_for_best_model="loss",
                           early_stopping_patience=5, load_best_model_at_end=True)  # fmt: skip
    trainer.train()


def _resume(directory: Path) -> None:
    trainer = tiny_trainer(directory, max_steps=3, eval_strategy="steps", eval_steps=1,
                           save_steps=3, metric_for_best_model="loss",
                           early_stopping_patience=5, load_best_model_at_end=True)  # fmt: skip
    trainer.train(resume_from_checkpoint=str(directory / "checkpoint-2"))


def _seal_run(directory: Path) -> None:
    checkpoint = directory / "checkpoint-2"
    (checkpoint / CHECKSUMS).unlink(missing_ok=True)
    write_checksums(checkpoint)


READERS: dict[str, Reader] = {
    **_config_readers(),
    "config/rope": Reader(_make_rope, _open_model, ["config.json"], _field_names("qwen2")),
    **{
        f"new/{family}": Reader(
            partial(lambda family, directory: write_json_atomic(
                directory / "config.json", tiny.config_of(family)), family),
            _from_nothing, ["config.json"], _field_names(family),
        )
        for family in ("gpt2", "qwen2", "bart", "t5", "transformer")
    },
    "generation_config": Reader(
        _make_generation, _open_generation, ["generation_config.json"], (*FIELDS, *UNSUPPORTED)
    ),
    "adapter": Reader(_make_adapter, _open_adapter),
    "weights/shards": Reader(_make_weights, _open_weights, ["model.safetensors.index.json"]),
    "weights/file": Reader(_make_file, lambda directory: [
        array.sum() for array in load_file(directory / "a.safetensors").values()]),
    "trainer_state": Reader(
        _make_run, _resume, ["checkpoint-2/trainer_state.json"], seal=_seal_run
    ),
    "checkpoint": Reader(
        _make_run, lambda directory: CheckpointDirectory(directory, 2).load(True),
        ["checkpoint-2/checksums.json", "latest", "checkpoint-2/trainer_state.json"],
    ),
}  # fmt: skip

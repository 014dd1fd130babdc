"""First half of `quickstart`: a small GPT that learns from Python's documentation, and writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..data import Document
from ..data.tokenizer import encode_text
from ..generation import TextStreamer
from ..pretraining import Pretraining
from .size import BATCH_SIZE, VOCABULARY, Size

# One page of settings. The step count of a size is fixed, so two runs of one seed and size are the
# same run. Small batches and a vocabulary near whole words teach most in the time:
# docs/notes/quickstart.md.
TRAINING: dict[str, Any] = {
    "per_device_train_batch_size": BATCH_SIZE,
    "per_device_eval_batch_size": 16,
    "learning_rate": 3e-3,
    "lr_scheduler_type": "cosine_with_min_lr",
    "min_lr": 1e-4,
    "warmup_steps": 100,
    "adam_beta2": 0.99,
    "weight_decay": 0.1,
    "logging_steps": 100,
    "eval_strategy": "steps",
    "eval_steps": 0.25,
    "save_steps": 0.5,
}
PROMPT = "Return a new"
SAMPLE_TOKENS = 120


def language_model(
    training: list[Document],
    validation: list[Document],
    size: Size,
    output_dir: Path,
    seed: int,
    device: str | None = None,
) -> Pretraining:
    """A pre-training of this size, with tokenizer, model and tokens made."""
    run = Pretraining(
        training,
        validation,
        config=size.config,
        tokenizer=f"bpe:{VOCABULARY}",
        output_dir=output_dir,
        overwrite_output_dir=True,
        seed=seed,
        device=device,
        max_steps=size.steps,
        **TRAINING,
    )
    run.build()
    run.read()
    return run


def sample(model: Any, tokenizer: Any, seed: int, show: Callable[[str], Any]) -> str:
    """A continuation of PROMPT, whole; `show` gets it piece by piece."""
    ids = model.eval().generate(
        encode_text(tokenizer, PROMPT).tolist(),
        SAMPLE_TOKENS,
        do_sample=True,
        temperature=0.7,
        top_k=50,
        seed=seed,
        streamer=TextStreamer(tokenizer, show),
    )
    text: str = tokenizer.decode(ids.tolist())
    return text

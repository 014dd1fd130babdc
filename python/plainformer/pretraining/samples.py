"""What a model writes while it learns: `--sample-prompt`."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..checkpoints.atomic import write_bytes_atomic
from ..errors import ConfigError, shown
from ..generation.texts import TextWriter, prompt_ids
from ..training import TrainerCallback, TrainingArguments
from ..training.log import to_line
from ..training.state import Record, TrainerControl, TrainerState

SAMPLES_NAME = "samples.jsonl"
TEMPERATURE = 0.8
logger = logging.getLogger("plainformer")


class SampleCallback(TrainerCallback):
    """Continues prompts at each evaluation, or where there is none at each checkpoint, and in the
    end; logs the texts, and adds them to `output_dir/samples.jsonl`.

    Draws follow from the run's seed alone, and nothing that is trained sees them: weights,
    checkpoints and log.jsonl are the same bytes without.

    Parameters
    ----------
    tokenizer : of the model
    model : a decoder
    prompts : texts to continue
    most : tokens that are written behind each

    Raises
    ------
    ConfigError : a prompt that leaves no room in the model for another token
    DataError : an empty prompt
    """

    def __init__(self, tokenizer: Tokenizer, model: Any, prompts: Sequence[str], most: int):
        self._tokenizer, self._prompts, self._step = tokenizer, list(prompts), -1
        self._rows = [prompt_ids(model, tokenizer, prompt) for prompt in prompts]
        context = model.config.context_length
        for prompt, row in zip(prompts, self._rows):
            if context is not None and len(row) >= context:
                raise ConfigError(
                    f"sample_prompt: got {shown(prompt)}, {len(row)} tokens; the model takes "
                    f"{context}, expected fewer"
                )
        self._most = [most if context is None else min(most, context - len(r)) for r in self._rows]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Keep what a run that is resumed has written up to its checkpoint, and nothing else."""
        path = Path(args.output_dir, SAMPLES_NAME)
        old = _records(path) if state.global_step else []
        kept = [record for record in old if record.get("step", 0) <= state.global_step]
        self._step = max((record["step"] for record in kept), default=-1)
        write_bytes_atomic(path, "".join(map(to_line, kept)).encode())

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Record,
        model: Any = None,
    ) -> None:
        self._sample(args, state, model)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
    ) -> None:
        if args.eval_strategy == "no":
            self._sample(args, state, model)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
    ) -> None:
        self._sample(args, state, model)

    def _sample(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        if state.global_step == self._step:
            return
        self._step = state.global_step
        lines = []
        for prompt, row, most in zip(self._prompts, self._rows, self._most):
            text = self._written(model, row, most, args.seed)
            logger.info("step %d, sample: %s", state.global_step, text)
            lines.append(to_line({"step": state.global_step, "prompt": prompt, "text": text}))
        with Path(args.output_dir, SAMPLES_NAME).open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def _written(self, model: Any, row: list[int], most: int, seed: int) -> str:
        options = {
            "max_new_tokens": most,
            "do_sample": True,
            "temperature": TEMPERATURE,
            "seed": seed,
        }
        [text] = TextWriter(model, self._tokenizer, options).write([row])
        return text.text


def _records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of the file; a torn last one is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            found.append(record)
    return found

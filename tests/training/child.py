"""A training run as a process of its own, to be killed: `python -m tests.training.child DIR`.

Prints a line after every update, so that a parent can aim.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from plainformer.errors import PlainformerError
from plainformer.training import TrainerCallback, TrainingInterrupted

from .tiny import tiny_trainer


class Announce(TrainerCallback):
    def __init__(self, pause: float):
        self.pause = pause

    def on_step_end(self, args, state, control):
        print(f"step {state.global_step}", flush=True)
        time.sleep(self.pause)

    def on_save(self, args, state, control):
        print(f"saved {state.global_step}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--save-steps", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--default-progress", action="store_true")
    options = parser.parse_args()
    resume = options.resume and any(options.output_dir.glob("checkpoint-*"))
    trainer = tiny_trainer(
        options.output_dir,
        callbacks=[Announce(options.pause)],
        save_steps=options.save_steps,
        eval_strategy="steps",
        load_best_model_at_end=True,
        disable_tqdm=None if options.default_progress else True,
    )
    try:
        trainer.train(resume_from_checkpoint=resume)
    except TrainingInterrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except PlainformerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The two walks of docs/architecture.md: a training step and a generated token enter the rooms
that the page names, and no others."""

import re
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf
from plainformer.training import Trainer, TrainerCallback, TrainingArguments

PACKAGE = Path(pf.__file__).parent
PAGE = (Path(__file__).parent.parent / "docs/architecture.md").read_text(encoding="utf-8")


def rooms_named(heading: str) -> set[str]:
    """Files of the package that a section of the page names."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`((?:\w+/)*\w+\.py)`", section))


class Walk:
    """Files of the package whose functions run while it is recording in this thread."""

    def __init__(self):
        self.rooms = set()

    def _note(self, frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            self.rooms.add(path.relative_to(PACKAGE).as_posix())

    def start(self):
        self.before = sys.getprofile()
        sys.setprofile(self._note)

    def stop(self):
        sys.setprofile(self.before)


@contextmanager
def walking():
    walk = Walk()
    try:
        yield walk
    finally:
        sys.setprofile(None)


@pytest.fixture
def model():
    config = pf.GPT2Config(n_layer=2, n_head=2, n_embd=16, n_positions=32, vocab_size=50)
    return pf.GPT2LMHeadModel(config)


def test_a_training_step_enters_the_rooms_of_the_page(model, tmp_path, rng):
    class Between(TrainerCallback):
        """Walks from the end of the second update to that of the third."""

        def on_step_end(self, args, state, control, **more):
            walk.stop() if state.global_step == 3 else None
            walk.start() if state.global_step == 2 else None

    rows = [{"input_ids": ids, "labels": ids} for ids in rng.integers(0, 50, (32, 16))]
    args = TrainingArguments(str(tmp_path), max_steps=4, save_strategy="no", logging_steps=100)
    with walking() as walk:
        Trainer(model, args, train_dataset=rows, callbacks=[Between()]).train()
    assert walk.rooms == rooms_named("One training step")


def test_a_generated_token_enters_the_rooms_of_the_page(model):
    class Between:
        """A streamer that walks from the second new token to the third."""

        tokens = 0

        def put(self, value):
            self.tokens += 1
            walk.stop() if self.tokens == 4 else None
            walk.start() if self.tokens == 3 else None

        def end(self):
            pass

    model.eval()
    with walking() as walk:
        model.generate(np.array([[1, 2, 3]]), max_new_tokens=6, streamer=Between())
    assert walk.rooms == rooms_named("One generated token")

"""Callbacks that could not be called are refused before training begins."""

import pytest

from plainformer.errors import ConfigError
from plainformer.training import TrainerCallback

from .tiny import tiny_trainer


class Short(TrainerCallback):
    def on_step_end(self, state):
        """Takes too little."""


class Renamed(TrainerCallback):
    def on_log(self, a, b, c, /, more, and_more):
        """Takes too much."""


class Hugging(TrainerCallback):
    """As transformers' are written."""

    seen = 0

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.seen += 1

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.seen += 1


class Loose(TrainerCallback):
    def on_evaluate(self, *everything):
        """Takes all."""


@pytest.mark.parametrize(("kind", "event"), [(Short, "on_step_end"), (Renamed, "on_log")])
def test_another_signature_is_named(tmp_path, kind, event):
    with pytest.raises(ConfigError, match=f"callbacks: {kind.__name__}.{event} is called with"):
        tiny_trainer(tmp_path, callbacks=[kind])


@pytest.mark.parametrize("given", [3, "early", print, object()])
def test_what_is_no_callback_is_named(tmp_path, given):
    with pytest.raises(ConfigError, match=r"callbacks: got .*, expected TrainerCallback objects"):
        tiny_trainer(tmp_path, callbacks=[given])


def test_signatures_that_take_it_are_fine(tmp_path):
    watch = Hugging()
    tiny_trainer(tmp_path, callbacks=[watch, Loose], max_steps=2, logging_steps=1).train()
    assert watch.seen == 4

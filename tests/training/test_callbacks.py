"""Callbacks that could not be called are refused before training begins."""

import pytest

from plainformer.errors import ConfigError
from plainformer.training import TrainerCallback
from plainformer.training.calling import EVENTS, EXTRAS

from .tiny import tiny_trainer, weights


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


class Everything(TrainerCallback):
    """Remembers every event with what it was called with."""

    def __init__(self):
        self.seen = []


def _remember(event, own):
    def called(self, args, state, control, **kwargs):
        assert set(own) <= kwargs.keys()
        self.seen.append((event, kwargs))

    return called


for _event, _given in EVENTS.items():
    setattr(Everything, _event, _remember(_event, _given[3:]))


def test_every_event_comes_in_its_order_with_model_and_more(tmp_path):
    watch = Everything()
    trainer = tiny_trainer(
        tmp_path, callbacks=[watch], max_steps=6, logging_steps=1, eval_strategy="steps",
        eval_steps=3, save_strategy="steps", save_steps=3,
    )  # fmt: skip
    trainer.train()
    trainer.predict(trainer.eval_dataset)
    events = [event for event, _ in watch.seen]
    assert set(events) == set(EVENTS)
    update = ["on_step_begin", "on_substep_end", "on_pre_optimizer_step", "on_optimizer_step",
              "on_step_end"]  # fmt: skip
    first = ["on_init_end", "on_train_begin", "on_epoch_begin", *update, "on_log"]
    assert events[: len(first)] == first
    assert events[-2:] == ["on_train_end", "on_predict"]
    assert events.count("on_step_end") == events.count("on_step_begin") == 6
    assert events.count("on_epoch_begin") == 2
    assert events.count("on_epoch_end") == 1
    for event, given in watch.seen:
        assert given["model"] is trainer.model
        assert set(EXTRAS) <= given.keys()
        assert (given["optimizer"] is None) == (event in ("on_init_end", "on_predict"))
        assert given["eval_dataset"] is trainer.eval_dataset


class Ordered(TrainerCallback):
    """As transformers' own are written: its words in an order of its own."""

    def __init__(self):
        self.found = []

    def on_log(self, args, state, control, model=None, logs=None, **kwargs):
        self.found.append((model, logs["loss"]))

    def on_evaluate(self, args, state, control, *, metrics, model):
        self.found.append((model, metrics["eval_loss"]))


def test_what_is_named_comes_by_name_in_any_order(tmp_path):
    watch = Ordered()
    trainer = tiny_trainer(
        tmp_path, callbacks=[watch], max_steps=2, logging_steps=2, eval_strategy="steps"
    )
    trainer.train()
    assert len(watch.found) == 2
    assert all(model is trainer.model and value > 0 for model, value in watch.found)


class Foreign:
    """Has the methods, and is of another library."""

    steps = 0

    def on_step_end(self, args, state, control, **kwargs):
        assert state.is_world_process_zero
        self.steps += 1
        control.should_training_stop = self.steps == 3
        return control

    def on_push_begin(self, args, state, control, **kwargs):
        raise AssertionError


def test_callbacks_of_others_are_taken(tmp_path):
    watch = Foreign()
    trainer = tiny_trainer(tmp_path, callbacks=[watch], max_steps=9)
    trainer.train()
    assert (watch.steps, trainer.state.global_step) == (3, 3)


class Misspelt(TrainerCallback):
    def on_step_ends(self, args, state, control):
        """Called by nothing."""


def test_an_event_that_is_none_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"Misspelt\.on_step_ends is called by nothing; did you mean on_step_end"
    ):
        tiny_trainer(tmp_path, callbacks=[Misspelt])


def test_what_a_callback_computes_changes_no_byte(tmp_path):
    class Looks(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            model.generate([[1, 2]], 3, do_sample=True, seed=state.global_step)

    found = []
    for name, callbacks in (("a", []), ("b", [Looks])):
        trainer = tiny_trainer(tmp_path / name, callbacks=callbacks, max_steps=4)
        trainer.train()
        found.append(weights(trainer.model))
    assert found[0] == found[1]

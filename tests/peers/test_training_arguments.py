"""Arguments written for transformers can be handed over: what asks for nothing is taken."""

import dataclasses

import pytest

from plainformer.errors import ConfigError
from plainformer.options import options_of
from plainformer.training import TrainingArguments
from tests.training.tiny import tiny_trainer

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

OURS = options_of(TrainingArguments)
WORDS = {word for option in OURS.values() for word in option.words}
THEIRS = [f for f in dataclasses.fields(transformers.TrainingArguments) if f.init]


@pytest.mark.parametrize("field", THEIRS, ids=lambda field: field.name)
def test_every_default_is_taken(field):
    value = [] if field.default is dataclasses.MISSING else field.default
    if value is not None:  # an option that is not said, whatever holds then
        made = TrainingArguments(**{field.name: value})
        assert field.name in {*OURS, *WORDS} or made == TrainingArguments()


@pytest.mark.parametrize("field", THEIRS, ids=lambda field: field.name)
def test_no_name_is_unknown(field):
    if field.name not in {*OURS, *WORDS}:
        with pytest.raises(ConfigError, match=rf"^{field.name}: got .*, which is not supported; "):
            TrainingArguments(**{field.name: "something else"})


def test_a_callback_of_transformers_is_taken_as_it_is(tmp_path):

    class Watch(transformers.TrainerCallback):
        def __init__(self):
            self.seen = []

        def on_log(self, args, state, control, logs=None, **kwargs):
            self.seen.append(("log", state.global_step, logs["loss"] > 0, kwargs["model"]))

        def on_evaluate(self, args, state, control, metrics, **kwargs):
            self.seen.append(("evaluate", state.global_step, metrics["eval_loss"] > 0, None))

        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step == 4
            return control

    watch = Watch()
    trainer = tiny_trainer(
        tmp_path, callbacks=[watch, transformers.PrinterCallback], logging_steps=2,
        eval_strategy="steps", max_steps=9,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 4
    assert watch.seen == [
        (event, step, True, trainer.model if event == "log" else None)
        for step in (2, 4)
        for event in ("log", "evaluate")
    ]

"""The trainer as a whole: learning, logs, callbacks, and everything it refuses."""

import json
import logging
import math

import numpy as np
import pytest

from plainformer.errors import ConfigError, NonFiniteError
from plainformer.nn import Module, Parameter
from plainformer.training import Trainer, TrainerCallback, TrainingArguments
from plainformer.training.checkpoint import read_checkpoint
from plainformer.training.loop import dropout_seed

from .tiny import log_of, rows, tiny_args, tiny_model, tiny_trainer, weights


def test_it_learns_to_count(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=150, learning_rate=1e-2, dropout=0.0)
    before = trainer.evaluate()["eval_loss"]
    output = trainer.train()
    assert output.global_step == 150
    assert trainer.evaluate()["eval_loss"] < 0.1 < 2.0 < before
    assert output.training_loss == output.metrics["train_loss"] < before
    assert output.metrics["epoch"] == 30.0


def test_log_holds_what_is_reproducible_and_timing_the_rest(tmp_path):
    tiny_trainer(tmp_path, warmup_steps=2).train()
    first = log_of(tmp_path)[0]
    assert list(first) == ["step", "epoch", "loss", "learning_rate", "grad_norm", "tokens"]
    assert (first["step"], first["epoch"], first["learning_rate"]) == (2, 0.4, 5e-3)
    timing = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert [record["step"] for record in timing] == [2, 4, 6, 8, 10]
    assert set(timing[0]) == {"step", "seconds", "tokens_per_second", "mfu", "peak_bytes"}
    assert all(value > 0 for record in timing for value in record.values())
    assert all(record["mfu"] < 1 for record in timing)


def test_the_logged_loss_is_the_mean_since_the_last_record(tmp_path):
    tiny_trainer(tmp_path / "a", logging_steps=1).train()
    tiny_trainer(tmp_path / "b", logging_steps=4).train()
    each = [r["loss"] for r in log_of(tmp_path / "a")]
    means = [np.mean(each[:4]), np.mean(each[4:8]), np.mean(each[8:])]
    assert [r["loss"] for r in log_of(tmp_path / "b")] == pytest.approx(means)


def test_logging_steps_below_one_is_a_part_of_the_run(tmp_path):
    tiny_trainer(tmp_path, logging_steps=0.3).train()
    assert [r["step"] for r in log_of(tmp_path)] == [3, 6, 9, 10]


class Recorder(TrainerCallback):
    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            object.__getattribute__(self, "events").append(name)
        return object.__getattribute__(self, name)


def test_callbacks_come_in_order(tmp_path):
    recorder = Recorder()
    tiny_trainer(
        tmp_path, callbacks=[recorder], max_steps=1, eval_strategy="steps", num_train_epochs=3.0
    ).train()
    assert recorder.events == [
        "on_init_end", "on_train_begin", "on_epoch_begin", "on_step_begin", "on_substep_end",
        "on_pre_optimizer_step", "on_optimizer_step", "on_step_end", "on_log", "on_evaluate",
        "on_save", "on_train_end",
    ]  # fmt: skip
    recorder = Recorder()
    tiny_trainer(tmp_path / "epoch", callbacks=[recorder], max_steps=5).train()
    assert recorder.events.count("on_epoch_end") == 1


def test_a_callback_may_ask_for_more_and_for_the_end(tmp_path):
    class Control(TrainerCallback):
        def on_step_end(self, args, state, control):
            control.should_log |= state.global_step == 3
            control.should_save |= state.global_step == 1
            control.should_evaluate |= state.global_step == 1
            control.should_training_stop |= state.global_step == 5

    tiny_trainer(tmp_path, callbacks=[Control], logging_steps=100).train()
    assert [(r["step"], "loss" in r) for r in log_of(tmp_path)] == [(1, False), (3, True)]
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-5"]


def test_what_is_no_callback_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="callbacks: got <function"):
        tiny_trainer(tmp_path, callbacks=[lambda: None])


def explode(step, value):
    """Makes one weight NaN or infinite right before update `step`."""

    class Explode(TrainerCallback):
        def on_step_begin(self, args, state, control):
            if state.global_step == step - 1:
                self.model.transformer.h[0].mlp.c_fc.bias.writable()[0] = value

    return Explode()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path, value):
    callback = explode(8, value)
    trainer = tiny_trainer(tmp_path, callbacks=[callback], save_steps=3, save_total_limit=1)
    callback.model = trainer.model
    with pytest.raises(NonFiniteError, match="loss: not finite at step 8; the last") as caught:
        trainer.train()
    assert (caught.value.tensor, caught.value.step) == ("loss", 8)
    loaded = read_checkpoint(tmp_path / "checkpoint-6")
    assert all(np.isfinite(array).all() for array in loaded.weights.values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class Spoil(TrainerCallback):
        def on_step_end(self, args, state, control):
            if state.global_step == 6:
                self.model.transformer.h[1].ln_2.weight.writable()[3] = np.nan

    callback = Spoil()
    trainer = tiny_trainer(tmp_path, callbacks=[callback], save_steps=3, save_total_limit=1)
    callback.model = trainer.model
    with pytest.raises(NonFiniteError, match=r"transformer.h.1.ln_2.weight: not finite at step 6"):
        trainer.train()
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == ["checkpoint-3"]


def test_dropout_seeds_are_all_different_and_follow_from_the_numbers():
    seeds = {dropout_seed(s, t, m) for s in range(3) for t in range(20) for m in range(4)}
    assert len(seeds) == 240
    assert dropout_seed(1, 2, 3) == dropout_seed(1, 2, 3)


def test_each_batch_of_an_update_has_its_own_dropout(tmp_path):
    """Equal rows in one update would have equal losses with the same masks."""
    losses = []

    class Spy:
        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def __call__(self, **batch):
            output = self.model(**batch)
            losses.append(float(np.asarray(output.loss)))
            return output

    args = tiny_args(tmp_path, max_steps=2, per_device_train_batch_size=1, learning_rate=1e-12,
                     gradient_accumulation_steps=2, dropout=0.5)  # fmt: skip
    Trainer(Spy(tiny_model()), args, [rows(1)[0]] * 4).train()
    assert len(set(losses)) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_strategy": "epoch"}, "eval_dataset: got None, eval_strategy='epoch' needs one"),
        ({}, "train_dataset: got None, train"),
    ],
)
def test_missing_data_is_named(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        Trainer(tiny_model(), tiny_args(tmp_path, **options)).train()


def test_evaluating_without_data_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="eval_dataset: got None, evaluate"):
        Trainer(tiny_model(), tiny_args(tmp_path)).evaluate()


def test_max_length_does_nothing_for_a_collator_of_the_users(tmp_path):
    with pytest.raises(ConfigError, match="max_length: has no effect with a data_collator"):
        Trainer(tiny_model(), tiny_args(tmp_path, max_length=4), rows(4), data_collator=list)


def test_dropout_of_a_model_without_any_is_an_error(tmp_path):
    class Without(Module):
        def __init__(self):
            self.weight = Parameter(np.zeros(1, np.float32))

        def set_dropout(self, p):
            return 0

    with pytest.raises(ConfigError, match=r"dropout: got 0.2, the model has no dropout"):
        Trainer(Without(), tiny_args(tmp_path, dropout=0.2))


def test_arguments_changed_by_hand_are_checked_again(tmp_path):
    args = tiny_args(tmp_path)
    args.learning_rate = -1
    with pytest.raises(ConfigError, match="learning_rate: got -1"):
        Trainer(tiny_model(), args)


def test_trained_and_total_counts_are_told(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "plainformer"):
        tiny_trainer(tmp_path, freeze=["transformer.wte"])
    total = sum(p.size for p in tiny_model().parameters())
    assert f"training {total - 13 * 16} of {total} parameters" in caplog.text


def test_a_collator_of_the_users_is_used(tmp_path):
    def only_first(examples):
        return {name: value[None] for name, value in examples[0].items()}

    args = tiny_args(tmp_path, max_steps=1, gradient_accumulation_steps=1)
    trainer = Trainer(tiny_model(), args, [rows(1)[0]] * 8, data_collator=only_first)
    trainer.train()
    assert trainer.state.tokens_seen == len(rows(1)[0]["input_ids"])


def test_two_trainings_of_one_trainer_go_on_from_the_weights(tmp_path):
    trainer = tiny_trainer(tmp_path)
    trainer.train()
    after_one = weights(trainer.model)
    trainer.args = TrainingArguments(**{**trainer.args.to_dict(), "output_dir": tmp_path / "2"})
    trainer.train()
    assert weights(trainer.model) != after_one
    assert trainer.state.global_step == 10

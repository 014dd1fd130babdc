"""Evaluation, prediction, metrics, best model and early stopping."""

import math
import shutil

import numpy as np
import pytest

from plainformer.data.batches import EvaluationWindows, TokenBlocks
from plainformer.errors import ConfigError
from plainformer.training import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from plainformer.training.best import is_better, score_of
from plainformer.training.evaluation import join_rows

from .tiny import (
    CONTEXT,
    VOCABULARY,
    log_of,
    rows,
    tiny_args,
    tiny_model,
    tiny_trainer,
    tree,
    weights,
)


def mean_loss(model, examples):
    """Cross entropy over all labels that count, example by example in float64."""
    total, count = 0.0, 0
    model.eval()
    for example in examples:
        logits = np.asarray(model(input_ids=example["input_ids"][None]).logits)[0, :-1]
        target = example["labels"][1:]
        logits = logits.astype(np.float64)
        log_z = np.log(np.exp(logits).sum(-1))
        for row in np.flatnonzero(target != -100):
            total += log_z[row] - logits[row, target[row]]
            count += 1
    return total / count


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluation_is_the_mean_over_all_labels_whatever_the_batches(tmp_path, batch_size):
    trainer = tiny_trainer(tmp_path, per_device_eval_batch_size=batch_size)
    metrics = trainer.evaluate()
    assert metrics.keys() == {"eval_loss"}
    assert metrics["eval_loss"] == pytest.approx(mean_loss(tiny_model(), rows(9, seed=2)), rel=1e-5)


def test_evaluation_ignores_dropout_and_label_smoothing_and_leaves_the_mode(tmp_path):
    trainer = tiny_trainer(tmp_path, dropout=0.5, label_smoothing_factor=0.3)
    expected = tiny_trainer(tmp_path).evaluate()
    for training in (True, False):
        trainer.model.train(training)
        assert trainer.evaluate() == expected
        assert trainer.model.training is training


def test_another_data_set_and_prefix(tmp_path):
    metrics = tiny_trainer(tmp_path).evaluate(rows(3, seed=8), metric_key_prefix="test")
    assert metrics["test_loss"] == pytest.approx(mean_loss(tiny_model(), rows(3, seed=8)), rel=1e-5)


def test_predictions_come_in_order_and_short_rows_are_filled_up(tmp_path):
    trainer = tiny_trainer(tmp_path, per_device_eval_batch_size=2)
    data = rows(5, seed=4)
    output = trainer.predict(data)
    width = max(len(example["input_ids"]) for example in data)
    assert output.predictions.shape == (5, width, VOCABULARY)
    assert output.label_ids.shape == (5, width)
    assert output.metrics["test_loss"] == pytest.approx(mean_loss(tiny_model(), data), rel=1e-5)
    for row, example in enumerate(data):
        length = len(example["labels"])
        np.testing.assert_array_equal(output.label_ids[row, :length], example["labels"])
        assert (output.label_ids[row, length:] == -100).all()


def test_predictions_without_labels_have_no_metrics(tmp_path):
    data = [{"input_ids": example["input_ids"]} for example in rows(3)]
    trainer = tiny_trainer(tmp_path)
    output = trainer.predict(data)
    assert output.label_ids is None
    assert output.metrics == {}
    with pytest.raises(ConfigError, match="has no labels"):
        trainer.evaluate(data)


def test_compute_metrics_sees_everything_and_gets_its_prefix(tmp_path):
    def metrics(prediction):
        logits, labels = prediction
        assert logits.shape[0] == labels.shape[0] == 9
        assert prediction.predictions is logits
        return {"rows": np.float32(len(labels)), "eval_kept": 1}

    trainer = tiny_trainer(tmp_path)
    trainer.compute_metrics = metrics
    assert trainer.evaluate().keys() == {"eval_loss", "eval_rows", "eval_kept"}
    assert type(trainer.evaluate()["eval_rows"]) is float


def test_compute_metrics_must_return_a_dict(tmp_path):
    trainer = tiny_trainer(tmp_path)
    trainer.compute_metrics = lambda prediction: 0.5
    with pytest.raises(ConfigError, match="compute_metrics: returned float, expected a dict"):
        trainer.evaluate()


def test_rows_of_unequal_width_are_joined():
    joined = join_rows([np.zeros((2, 3, 4)), np.ones((1, 5, 4))])
    assert joined.shape == (3, 5, 4)
    assert (joined[:2, 3:] == -100).all()
    assert join_rows([np.zeros(2), np.ones(3)]).shape == (5,)


def test_evaluations_come_when_asked_for_and_at_the_end(tmp_path):
    tiny_trainer(tmp_path / "a", eval_strategy="steps", eval_steps=4).train()
    assert [r["step"] for r in log_of(tmp_path / "a") if "eval_loss" in r] == [4, 8, 10]
    tiny_trainer(tmp_path / "b", eval_strategy="epoch", max_steps=7).train()
    assert [r["step"] for r in log_of(tmp_path / "b") if "eval_loss" in r] == [5, 7]
    tiny_trainer(tmp_path / "c").train()
    assert not [r for r in log_of(tmp_path / "c") if "eval_loss" in r]


NAN = math.nan


class Scripted:
    """A metric that follows a script, one value an evaluation."""

    def __init__(self, *values):
        self.values = iter(values)

    def __call__(self, prediction):
        return {"score": next(self.values)}


class Snapshots(TrainerCallback):
    """Weights after each update."""

    def __init__(self, model):
        self.model, self.taken = model, {}

    def on_step_end(self, args, state, control):
        self.taken[state.global_step] = weights(self.model)


def scripted_run(output_dir, *values, **options):
    model = tiny_model()
    snapshots = Snapshots(model)
    options = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": len(values),
               "metric_for_best_model": "score", **options}  # fmt: skip
    args = tiny_args(output_dir, **options)
    trainer = Trainer(model, args, rows(37), rows(9, seed=2),
                      compute_metrics=Scripted(*values), callbacks=[snapshots])  # fmt: skip
    trainer.train()
    return trainer, snapshots.taken


@pytest.mark.parametrize(
    ("values", "options", "best"),
    [
        ((1, 3, 2, 0), {}, 2),
        ((1, 3, 2, 0), {"greater_is_better": False}, 4),
        ((NAN, 1, NAN, 0), {}, 2),
        ((1, NAN, 2, NAN), {}, 3),
        ((2, 2, 2, 2), {}, 4),  # the loss falls
        ((2, 2, 2, 2), {"learning_rate": 3.0, "max_grad_norm": 0.0}, 1),  # the loss rises
        ((1, 2, 2, 1), {"greater_is_better": False}, 4),
        ((-math.inf, 1, 2, 3), {"greater_is_better": False}, 2),
    ],
    ids=str,
)
def test_the_best_model_is_loaded_at_the_end_and_what_is_not_finite_never_wins(
    tmp_path, values, options, best
):
    trainer, taken = scripted_run(tmp_path, *values, load_best_model_at_end=True, **options)
    assert trainer.state.best_step == best
    assert weights(trainer.model) == taken[best] != taken[best % 4 + 1]
    trainer.save_model()
    saved = type(trainer.model).from_pretrained(tmp_path)
    assert weights(saved) == taken[best]


def scripted_losses(output_dir, *losses, scores=None, resume_at=None, **options):
    """A run whose evaluations give these losses, and these scores, all the same by default."""
    script = iter(zip(losses, scores or [1.0] * len(losses)))

    def evaluate():
        loss, score = next(script)
        return {"eval_loss": loss, "eval_score": score}

    options = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "score",
               "max_steps": len(losses), "save_total_limit": None, **options}  # fmt: skip
    model = tiny_model()
    trainer = Trainer(model, tiny_args(output_dir, **options), rows(37), rows(9, seed=2))
    trainer.evaluate = evaluate
    if resume_at is not None:
        for _ in range(resume_at):
            next(script)
    trainer.train(resume_from_checkpoint=resume_at is not None or None)
    return trainer


TIES = [
    ((3, 2, 1), None, 3),
    ((1, 2, 3), None, 1),
    ((2, 1, 1), None, 3),
    ((2, 2, 2), None, 3),
    ((NAN, NAN, NAN), None, 3),
    ((NAN, 5, NAN), None, 2),
    ((5, math.inf, NAN), None, 1),
    ((1, 9, 8, 7), (1, 2, 2, 1), 3),
    ((1, 1, 1, 1), (NAN, 2, NAN, 2), 4),
]


@pytest.mark.parametrize(("losses", "scores", "best"), TIES, ids=str)
@pytest.mark.parametrize(
    "options", [{"load_best_model_at_end": True}, {"save_strategy": "best"}], ids=str
)
def test_equal_metrics_are_told_apart_by_the_loss_and_then_the_step(
    tmp_path, losses, scores, best, options
):
    trainer = scripted_losses(tmp_path, *losses, scores=scores, **options)
    assert trainer.state.best_step == best
    assert (tmp_path / f"checkpoint-{best}").is_dir()


@pytest.mark.parametrize(("losses", "scores", "best"), TIES, ids=str)
@pytest.mark.parametrize("place", [1, 2])
def test_ties_are_decided_alike_by_a_run_that_was_resumed(tmp_path, losses, scores, best, place):
    options = {"save_steps": 1, "save_total_limit": None, "early_stopping_patience": 3}
    whole = scripted_losses(tmp_path / "whole", *losses, scores=scores, **options)
    part = tmp_path / "part"
    scripted_losses(part, *losses, scores=scores, **options)
    for step in range(place + 1, len(losses) + 1):
        shutil.rmtree(part / f"checkpoint-{step}")
    again = scripted_losses(part, *losses, scores=scores, resume_at=place, **options)
    assert again.state.best_step == whole.state.best_step == best
    assert tree(part) == tree(tmp_path / "whole")


def test_early_stopping_goes_on_while_the_loss_falls_at_the_same_metric(tmp_path):
    def stop(name, *losses, **options):
        options = {"early_stopping_patience": 2, **options}
        return scripted_losses(tmp_path / name, *losses, **options).state.global_step

    assert stop("falls", 6, 5, 4, 3, 2, 1) == 6
    assert stop("still", 6, 5, 5, 5, 5, 5) == 4
    assert stop("rises", 1, 2, 3, 4, 5, 6) == 3
    assert stop("little", 6, 5.9, 5.8, 5.7, 5.6, early_stopping_threshold=0.15) == 5
    assert stop("less", 6, 5.9, 5.9, 5.9, 5.6, early_stopping_threshold=0.15) == 3
    assert stop("worse", 6, 5, 4, 3, 2, 1, scores=(2, 1, 1, 1, 1, 1)) == 3


def test_a_callback_of_an_older_checkpoint_has_no_loss():
    callback = EarlyStoppingCallback(patience=2)
    callback.load_state_dict({"best": 0.5, "failures": 1})
    args = TrainingArguments(
        eval_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="accuracy"
    )
    control = TrainerControl()
    callback.on_evaluate(args, TrainerState(), control, {"eval_accuracy": 0.5, "eval_loss": 1.0})
    assert callback.state_dict() == {"best": 0.5, "loss": 1.0, "failures": 0}
    assert not control.should_training_stop


def test_without_any_number_the_last_model_stays(tmp_path):
    trainer, taken = scripted_run(tmp_path, NAN, NAN, load_best_model_at_end=True)
    assert trainer.state.best_step is None
    assert weights(trainer.model) == taken[2]
    assert log_of(tmp_path)[0]["eval_score"] is None


def test_save_strategy_best_saves_each_new_best_only(tmp_path):
    scripted_run(tmp_path, 1, 0, 2, 1, 0, save_strategy="best", save_total_limit=None)
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-3"]


def test_the_best_checkpoint_outlives_the_limit(tmp_path):
    scripted_run(tmp_path, 9, 1, 2, 3, 4, load_best_model_at_end=True, save_steps=1,
                 save_total_limit=1)  # fmt: skip
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-5"]


@pytest.mark.parametrize(
    ("values", "patience", "threshold", "stop"),
    [
        ((1, 2, 1, 1, 5, 5), 2, 0.0, 4),
        ((1, 2, 1, 3, 1, 1), 3, 0.0, 6),
        ((1, 1.05, 1.09, 9, 9, 9), 2, 0.1, 3),
        ((NAN, NAN, 1, 2, 3, 4), 2, 0.0, 2),
        ((1, NAN, 2, NAN, 3, 3), 2, 0.0, 6),
        ((1, 2, 3, 4, 5, 6), 1, 0.0, 6),
    ],
    ids=str,
)
def test_early_stopping_counts_evaluations_without_improvement(
    tmp_path, values, patience, threshold, stop
):
    trainer, _ = scripted_run(
        tmp_path, *values, early_stopping_patience=patience, early_stopping_threshold=threshold
    )
    assert trainer.state.global_step == stop
    assert log_of(tmp_path)[-1]["step"] == stop


def test_the_callback_works_by_itself():
    args = TrainingArguments(eval_strategy="epoch", load_best_model_at_end=True)
    callback, control = EarlyStoppingCallback(patience=1), TrainerControl()
    for loss, stopped in [(3.0, False), (2.0, False), (2.5, True)]:
        callback.on_evaluate(args, TrainerState(), control, {"eval_loss": loss})
        assert control.should_training_stop is stopped


def test_a_metric_that_the_evaluation_lacks_is_named(tmp_path):
    with pytest.raises(ConfigError, match="metric_for_best_model: got 'eval_f1', the evaluation"):
        scripted_run(tmp_path, 1, load_best_model_at_end=True, metric_for_best_model="f1")


@pytest.mark.parametrize(
    ("value", "best", "greater", "threshold", "expected"),
    [
        (1.0, None, True, 0.5, True),
        (NAN, None, True, 0.0, False),
        (2.0, 1.0, True, 0.0, True),
        (2.0, 1.0, False, 0.0, False),
        (1.4, 1.0, True, 0.5, False),
        (0.4, 1.0, False, 0.5, True),
        (1.0, 1.0, True, 0.0, False),
    ],
)
def test_is_better(value, best, greater, threshold, expected):
    assert is_better(value, best, greater, threshold) is expected


def test_max_length_cuts_evaluation_rows_too(tmp_path):
    output = tiny_trainer(tmp_path, max_length=4).predict(rows(5))
    assert output.predictions.shape[1] == 4 < CONTEXT


def test_windows_over_a_text_predict_every_token_but_the_first_once(tmp_path):
    tokens = (np.arange(30) * 5 % VOCABULARY).astype(np.uint16)
    trainer = tiny_trainer(tmp_path, per_device_eval_batch_size=3)
    trainer.model.eval()
    windows = EvaluationWindows(tokens, CONTEXT)
    total = 0.0
    for start in range(0, 29, CONTEXT):
        piece = tokens[start : start + CONTEXT + 1].astype(np.int64)
        output = trainer.model(input_ids=piece[None, :-1], shift_labels=piece[None, 1:])
        total += float(np.asarray(output.loss)) * (len(piece) - 1)
    assert trainer.evaluate(windows)["eval_loss"] == pytest.approx(total / 29, rel=1e-5)


def test_blocks_of_a_text_train_and_resume(tmp_path):
    tokens = (np.arange(200) * 5 % VOCABULARY).astype(np.uint16)

    def trainer(output_dir):
        args = tiny_args(output_dir, save_steps=4, save_total_limit=None)
        return Trainer(tiny_model(), args, TokenBlocks(tokens, CONTEXT))

    for output_dir in (tmp_path / "whole", tmp_path / "parts"):
        trainer(output_dir).train()
    trainer(tmp_path / "parts").train(resume_from_checkpoint=tmp_path / "parts" / "checkpoint-4")
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    assert log_of(tmp_path / "whole")[-1]["tokens"] == 10 * 8 * CONTEXT


@pytest.mark.parametrize("value", ["high", "0.5", [0.5], {}, 10**400], ids=range(5))
def test_a_deciding_metric_that_is_no_number_is_an_error(tmp_path, value):
    args = tiny_args(tmp_path, eval_strategy="steps", eval_steps=1, save_strategy="best",
                     metric_for_best_model="mark")  # fmt: skip
    with pytest.raises(ConfigError, match=r"eval_mark: got .*, expected a number"):
        score_of(args, {"eval_mark": value})

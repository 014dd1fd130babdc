"""`TaskTrainer` with every task: examples, objects and features; the same at every batch size."""

import dataclasses
import os

import numpy as np
import pytest

from plainformer.data.examples import GOLD, is_labelled
from plainformer.errors import ConfigError
from plainformer.tasks.trainer import TaskTrainer
from plainformer.training import TrainingArguments

from .tiny import TASKS, TEXTS, tune

pytestmark = pytest.mark.filterwarnings("ignore:BLEU and chrF are left out")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The task of each name after two updates, made once."""
    made, fsync = {}, os.fsync
    os.fsync = lambda descriptor: None
    for name in TASKS:
        folder = tmp_path_factory.mktemp(name)
        made[name] = tune(name, folder, eval_strategy="no", max_steps=2).task
    os.fsync = fsync
    return made


def trainer_of(task, folder, size, **options):
    args = TrainingArguments(str(folder), per_device_eval_batch_size=size, disable_tqdm=True)
    return TaskTrainer(task, args, **options)


def near(found, wanted):
    """Equal; numbers up to the rounding of sums over other batches."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for name in wanted:
            near(found[name], wanted[name])
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted):
            near(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-5, nan_ok=True)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", TASKS)
def test_figures_and_answers_are_the_same_at_every_batch_size(name, tuned, tmp_path):
    task, examples = tuned[name], TASKS[name][2][:5]
    found = []
    for size in (1, 2, 5):
        trainer = trainer_of(task, tmp_path, size, validation=examples)
        output = trainer.predict(examples)
        metrics = trainer.evaluate()
        assert output.label_ids is None
        assert len(output.predictions) == len(examples)
        near({k.removeprefix("test_"): v for k, v in output.metrics.items()},
             {k.removeprefix("eval_"): v for k, v in metrics.items()})  # fmt: skip
        found.append((output.predictions, metrics))
    near(found[1], found[0])
    near(found[2], found[0])


@pytest.mark.parametrize("name", TASKS)
def test_predictions_of_what_has_no_label_have_no_metrics(name, tuned, tmp_path):
    task, examples = tuned[name], TASKS[name][2][:3]
    if name == "dialogue":
        bare = [dataclasses.replace(e, messages=e.messages[:1]) for e in examples]
    else:
        own = [f.name for f in dataclasses.fields(examples[0]) if f.name in GOLD]
        bare = [dataclasses.replace(e, **dict.fromkeys(own)) for e in examples]
    trainer = trainer_of(task, tmp_path, 2)
    output = trainer.predict(bare)
    if name != "dialogue":  # whose turn it is decides what is answered
        near(output.predictions, trainer.predict(examples).predictions)
    labelled = name == "language-modeling"  # a text is its own label
    assert bool(output.metrics) == labelled == is_labelled(bare[0], name)


@pytest.mark.parametrize("name", [n for n in TASKS if n != "language-modeling"])
def test_features_go_through_as_in_any_trainer(name, tuned, tmp_path):
    task, examples = tuned[name], TASKS[name][2][:5]
    features = task.dataset(examples)
    losses = []
    for size in (1, 2):
        trainer = trainer_of(task, tmp_path, size, validation=features)
        losses.append(trainer.evaluate()["eval_loss"])
        output = trainer.predict(features)
        assert output.metrics["test_loss"] == losses[-1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_objects_with_the_fields_of_the_task_are_examples(tuned, tmp_path):
    task = tuned["text-classification"]
    rows = [{"text": e.text, "label": e.label} for e in TEXTS]
    trainer = trainer_of(task, tmp_path, 4, validation=rows)
    assert trainer.evaluate() == trainer.evaluate(TEXTS)
    assert trainer.predict(rows) == trainer.predict(TEXTS)
    bare = trainer.predict([{"text": e.text} for e in TEXTS])
    assert (bare.predictions, bare.metrics) == (trainer.predict(TEXTS).predictions, {})


def test_class_weights_are_of_training_alone(tuned, tmp_path):
    task = tuned["text-classification"]
    features = task.dataset(TEXTS)
    weights = np.array([5.0, 0.1], np.float32)
    plain = trainer_of(task, tmp_path, 4).evaluate(features)
    assert trainer_of(task, tmp_path, 4, class_weights=weights).evaluate(features) == plain


def test_nothing_to_predict_is_an_error(tuned, tmp_path):
    with pytest.raises(ConfigError, match="test_dataset: got no examples"):
        trainer_of(tuned["text-classification"], tmp_path, 4).predict([])

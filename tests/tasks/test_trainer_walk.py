"""`Trainer` with every task: examples, objects and features; the same at every batch size."""

import dataclasses
import os

import pytest

from plainformer.data.examples import GOLD, is_labelled
from plainformer.errors import ConfigError, DataError
from plainformer.training import Trainer, TrainingArguments

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


def trainer_of(task, folder, size, validation=None):
    args = TrainingArguments(str(folder), per_device_eval_batch_size=size, disable_tqdm=True)
    return Trainer(task.learner(), args, None, validation, task.collate)


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
        trainer = trainer_of(task, tmp_path, size, task.examples(examples))
        output = trainer.predict(task.examples(examples))
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
    output = trainer.predict(task.examples(bare))
    if name != "dialogue":  # whose turn it is decides what is answered
        near(output.predictions, trainer.predict(task.examples(examples)).predictions)
    # a text is its own label, and a pair of texts says that they are alike
    labelled = name in ("language-modeling", "sentence-similarity")
    assert bool(output.metrics) == labelled == is_labelled(bare[0], name)


@pytest.mark.parametrize("name", [n for n in TASKS if n != "language-modeling"])
def test_features_go_through_as_in_any_trainer(name, tuned, tmp_path):
    task, examples = tuned[name], TASKS[name][2][:5]
    features = task.dataset(examples)
    losses = []
    for size in (1, 2):
        trainer = trainer_of(task, tmp_path, size, features)
        losses.append(trainer.evaluate()["eval_loss"])
        output = trainer.predict(features)
        assert output.metrics["test_loss"] == losses[-1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_objects_with_the_fields_of_the_task_are_examples(tuned, tmp_path):
    task = tuned["text-classification"]
    rows = [{"text": e.text, "label": e.label} for e in TEXTS]
    read, made, bare = (
        task.examples(given) for given in (rows, TEXTS, [{"text": e.text} for e in TEXTS])
    )
    trainer = trainer_of(task, tmp_path, 4, read)
    assert trainer.evaluate() == trainer.evaluate(made)
    assert trainer.predict(read) == trainer.predict(made)
    unlabelled = trainer.predict(bare)
    assert unlabelled.predictions == trainer.predict(made).predictions
    assert unlabelled.metrics == {}
    with pytest.raises(DataError, match="label"):
        trainer.evaluate(bare)


def test_nothing_to_predict_is_an_error(tuned, tmp_path):
    task = tuned["text-classification"]
    with pytest.raises(ConfigError, match="test_dataset: got no examples"):
        trainer_of(task, tmp_path, 4).predict(task.examples([]))

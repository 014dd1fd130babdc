"""Every head of every family through `Trainer`: the same figures whatever the batch size."""

import numpy as np
import pytest

from plainformer.errors import ShapeError
from plainformer.models import MODELS
from plainformer.models.heads import PADDING_LOGIT
from plainformer.training import Trainer, TrainingArguments
from tests.models.tiny import VOCAB, batch_for, make, tasks_of

from .tiny import rows, tiny_args, tiny_model

LENGTHS = (7, 2, 6, 1, 4, 7, 3)
WALKED = [(family, task) for family in MODELS for task in tasks_of(family)]


def ragged(task, family):
    """Rows of their own lengths without masks, as a user has them."""
    batch = batch_for(task, np.random.default_rng(5), lengths=LENGTHS)
    del batch["attention_mask"]
    if task == "relation-extraction":
        batch |= {"entity_positions": np.zeros((7, 2), np.int64), "labels": np.arange(7) % 2}
    if task == "multiple-choice":  # rows of choices have one length
        return [{name: array[i] for name, array in batch.items()} for i in range(len(LENGTHS))]
    return [
        {
            name: array[i, :n] if array.shape[1:] == (max(LENGTHS),) else array[i]
            for name, array in batch.items()
        }
        for i, n in enumerate(LENGTHS)
    ]


def trainer_of(family, task, folder, size=2, **options):
    model = make(family, task)
    args = TrainingArguments(
        str(folder), per_device_eval_batch_size=size, per_device_train_batch_size=3, max_steps=2,
        save_strategy="no", disable_tqdm=True, **options,
    )  # fmt: skip
    return Trainer(model, args, ragged(task, family), compute_metrics=figure)


def as_arrays(value):
    return value if isinstance(value, tuple) else (value,)


def figure(prediction):
    """Something that depends on every place that is a token."""
    found = np.concatenate([x.reshape(-1) for x in as_arrays(prediction.predictions)])
    kept = found[(found != -100) & (found != PADDING_LOGIT)].astype(np.float64)
    return {"figure": float((kept * np.arange(1, len(kept) + 1)).sum())}


@pytest.mark.parametrize(("family", "task"), WALKED)
def test_figures_and_predictions_are_the_same_at_every_batch_size(family, task, tmp_path):
    examples = ragged(task, family)
    if task == "feature-extraction":
        found = [trainer_of(family, task, tmp_path, n).predict(examples) for n in (1, 2, 5)]
    else:
        trainer = trainer_of(family, task, tmp_path)
        trainer.train()
        found = []
        for size in (1, 2, 5):
            trainer.args.per_device_eval_batch_size = size
            found.append(trainer.predict(examples))
            metrics = trainer.evaluate(examples)
            assert metrics.keys() == {"eval_loss", "eval_figure"}
            assert metrics["eval_loss"] == found[-1].metrics["test_loss"]
        labels = [[x.tobytes() for x in as_arrays(one.label_ids)] for one in found]
        assert labels[0] == labels[1] == labels[2]
        losses = [one.metrics["test_loss"] for one in found]
        np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
        assert len({one.metrics["test_figure"] for one in found}) == 1
    arrays = [[x.tobytes() for x in as_arrays(one.predictions)] for one in found]
    assert arrays[0] == arrays[1] == arrays[2]
    assert all(len(x) == len(LENGTHS) for x in as_arrays(found[0].predictions))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_loss_is_that_of_each_example_alone(size, tmp_path):
    trainer = trainer_of("bert", "masked-lm", tmp_path, size)
    examples, total, count = ragged("masked-lm", "bert"), 0.0, 0
    for example in examples:
        batch = {name: array[None] for name, array in example.items()}
        n = trainer.model.count_labels(batch)
        total, count = total + trainer.model.eval()(**batch).loss.item() * n, count + n
    assert trainer.evaluate(examples)["eval_loss"] == pytest.approx(total / count, rel=1e-6)


@pytest.mark.parametrize("size", [1, 5])
def test_an_answer_outside_its_own_row_takes_no_part_in_any_batch(size, tmp_path):
    examples = ragged("question-answering", "bert")
    alone = trainer_of("bert", "question-answering", tmp_path, 1)
    wanted = alone.evaluate([e for i, e in enumerate(examples) if i != 1])["eval_loss"]
    examples[1] |= {"start_positions": np.int64(4), "end_positions": np.int64(5)}
    found = trainer_of("bert", "question-answering", tmp_path, size).evaluate(examples)
    assert found["eval_loss"] == pytest.approx(wanted, rel=1e-6)


def test_training_on_ragged_rows_is_training_on_rows_with_masks(tmp_path):
    """What was read of the filling moved the weights."""
    width, results = max(LENGTHS), []
    for padded in (False, True):
        trainer = trainer_of("bert", "sequence-classification", tmp_path, dropout=0.0)
        if padded:
            trainer.train_dataset = [
                {
                    "input_ids": np.pad(e["input_ids"], (0, width - n), constant_values=9),
                    "attention_mask": (np.arange(width) < n).astype(np.int8),
                    "labels": e["labels"],
                }
                for e, n in zip(trainer.train_dataset, LENGTHS)
            ]
        trainer.train()
        results.append([p.data.tobytes() for p in trainer.model.parameters()])
    assert results[0] == results[1]


def test_a_mask_of_the_user_is_kept_and_targets_get_their_own(tmp_path):
    collate = Trainer(tiny_model(), tiny_args(tmp_path), rows(3)).collate
    given = [{"input_ids": [1, 2], "attention_mask": [1, 0]}, {"input_ids": [3]} | {
        "attention_mask": [1]}]  # fmt: skip
    assert collate(given)["attention_mask"].tolist() == [[1, 0], [1, 0]]
    targets = [{"input_ids": [1, 2], "decoder_input_ids": [1, 2, 3]},
               {"input_ids": [3, 4], "decoder_input_ids": [3]}]  # fmt: skip
    batch = collate(targets)
    assert batch["decoder_attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["attention_mask"].all()  # nothing was filled up
    assert "attention_mask" not in collate([{"x": [1.0]}, {"x": [1.0, 2.0]}])
    choices = [{"input_ids": np.ones((n, 4), np.int64)} for n in (2, 3)]
    with pytest.raises(ShapeError, match=r"input_ids: got \[2, 3\] rows, expected as many in all"):
        collate(choices)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_an_id_that_is_padding_elsewhere_counts_in_every_batch(size, tmp_path):
    """Without a mask the classifier of a decoder takes the padding id at an end for padding, which
    it was in batches of equal rows alone."""
    model = make("gpt2", "sequence-classification")
    pad = model.config.pad_token_id = 3
    examples = [{"input_ids": np.array([5, 6, pad])}, {"input_ids": np.array([5, pad, pad])},
                {"input_ids": np.array([5, 6])}]  # fmt: skip
    wanted = [
        model.eval()(e["input_ids"][None], np.ones((1, len(e["input_ids"])))).logits.data[0]
        for e in examples
    ]
    args = TrainingArguments(str(tmp_path), per_device_eval_batch_size=size, disable_tqdm=True)
    found = Trainer(model, args).predict(examples).predictions
    assert found.tobytes() == np.stack(wanted).tobytes()


def test_tokens_are_counted_without_padding(tmp_path):
    trainer = trainer_of("bert", "sequence-classification", tmp_path)
    trainer.train()
    assert 0 < trainer.state.tokens_seen < 2 * 3 * VOCAB
    order = trainer.state.tokens_seen
    assert order <= sum(LENGTHS)

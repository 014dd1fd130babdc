"""Which examples make which update."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, ShapeError
from plainformer.training.batches import UpdatePlan, count_tokens, sequential_batches
from plainformer.training.losses import count_labels

from .tiny import tiny_args, tiny_model

keyed = dict.fromkeys  # a collator that shows its examples, in order


def plan(tmp_path, dataset=range(22), **options):
    """A plan over the numbers 0 to 21; what it gives as the batches of an update are lists."""
    options = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, **options}
    made = UpdatePlan(dataset, tiny_args(tmp_path, **options), collate=keyed)
    return lambda step: [list(batch) for batch in made.batches(step)]


def test_an_epoch_covers_every_example_once_and_ends_short(tmp_path):
    updates = [plan(tmp_path)(step) for step in range(4)]
    assert [[len(batch) for batch in batches] for batches in updates] == [
        [3, 3], [3, 3], [3, 3], [3, 1],
    ]  # fmt: skip
    seen = [example for batches in updates for batch in batches for example in batch]
    assert sorted(seen) == list(range(22))
    assert seen != sorted(seen)


def test_each_epoch_and_each_seed_has_its_own_order(tmp_path):
    def order(epoch, **options):
        batches = [plan(tmp_path, **options)(4 * epoch + i) for i in range(4)]
        return [example for update in batches for batch in update for example in batch]

    assert order(0) == order(0)
    assert order(0) != order(1) != order(2)
    assert order(0) != order(0, seed=1)


def test_an_update_does_not_depend_on_which_came_before(tmp_path):
    forward, backward = plan(tmp_path), plan(tmp_path)
    in_order = [forward(step) for step in range(12)]
    assert [backward(step) for step in reversed(range(12))][::-1] == in_order


def test_a_data_set_may_give_its_own_examples_for_each_epoch(tmp_path):
    class Blocks:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            raise AssertionError("the epoch's own examples are used instead")

        def for_epoch(self, seed, epoch):
            return [f"{seed}:{epoch}:{i}" for i in range(6)]

    both = plan(tmp_path, Blocks(), seed=5)
    assert sorted(both(0)[0] + both(0)[1]) == [f"5:0:{i}" for i in range(6)]
    assert both(1)[0][0].startswith("5:1:")


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"num_train_epochs": 3.0}, 12),
        ({"num_train_epochs": 0.5}, 2),
        ({"num_train_epochs": 1.01}, 5),
        ({"max_steps": 7}, 7),
    ],
)
def test_length_of_the_run(tmp_path, options, steps):
    args = tiny_args(tmp_path, per_device_train_batch_size=3, **options)
    assert UpdatePlan(range(22), args, list).total_steps(args) == steps


def test_evaluation_batches_keep_the_order():
    batches = sequential_batches(range(5), 2, keyed)
    assert [list(batch) for batch in batches] == [[0, 1], [2, 3], [4]]


def test_tokens_are_counted_without_padding_where_a_mask_tells():
    ids = np.zeros((2, 5), np.int32)
    assert count_tokens({"input_ids": ids}) == 10
    assert count_tokens({"input_ids": ids, "attention_mask": np.tri(2, 5)}) == 3
    assert count_tokens({"pixels": ids}) == 0


def test_labels_that_count():
    labels = np.array([[1, 2, -100, 3], [-100, -100, -100, -100]], np.int32)
    assert count_labels(tiny_model(), {"labels": labels}) == 2  # the first has nothing before it
    assert count_labels(tiny_model(), {"shift_labels": labels}) == 3
    assert count_labels(lambda **batch: None, {"labels": labels}) == 3


def test_training_without_labels_says_what_is_missing():
    with pytest.raises(ShapeError, match=r"got input_ids, training needs labels"):
        count_labels(tiny_model(), {"input_ids": np.zeros((1, 2), np.int32)})


@pytest.mark.parametrize(
    ("dataset", "message"),
    [(iter([1]), "expected __len__ and __getitem__"), ([], "got no examples")],
)
def test_what_is_not_a_data_set(tmp_path, dataset, message):
    with pytest.raises(ConfigError, match=f"train_dataset: .*{message}"):
        UpdatePlan(dataset, tiny_args(tmp_path), list)

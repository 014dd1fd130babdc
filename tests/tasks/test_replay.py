"""Old data beside new: how much, which, and whether old skills stayed."""

import json
import logging

import numpy as np
import pytest

from plainformer.data import TextExample, TokenBlocks
from plainformer.data.batches import of_epoch
from plainformer.errors import ConfigError
from plainformer.tasks.replay import ReplayDataset

from .tiny import TEXTS, tune

WEATHER = [TextExample(f"{w} and wind", "weather") for w in ("rain", "snow", "storm", "fog")]


@pytest.mark.parametrize(
    ("fraction", "count"), [(0.01, 1), (0.25, 5), (0.5, 10), (1.0, 20), (9.0, 30)]
)
def test_so_many_old_examples_join_an_epoch(fraction, count):
    new, old = list(range(20)), list(range(100, 130))
    dataset = ReplayDataset(new, old, fraction)
    assert len(dataset) == 20 + count
    for epoch in range(3):
        items = [dataset.for_epoch(7, epoch)[i] for i in range(len(dataset))]
        assert items[:20] == new
        assert len(set(items[20:])) == count
        assert set(items[20:]) <= set(old)


def test_each_epoch_has_others_and_a_seed_always_the_same():
    dataset = ReplayDataset(list(range(4)), list(range(100, 200)), 2.0)

    def chosen(seed, epoch):
        view = dataset.for_epoch(seed, epoch)
        return [view[i] for i in range(4, len(view))]

    assert chosen(1, 0) == chosen(1, 0)
    assert len({tuple(chosen(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


class EachEpoch(list):
    """A data set whose examples are others in each epoch."""

    def for_epoch(self, seed, epoch):
        return EachEpoch((item, seed, epoch) for item in self)


@pytest.mark.parametrize("new_changes", [False, True])
@pytest.mark.parametrize("old_changes", [False, True])
def test_what_changes_with_the_epoch_still_does(new_changes, old_changes):
    new, old = list(range(4)), list(range(100, 110))
    dataset = ReplayDataset(
        EachEpoch(new) if new_changes else new, EachEpoch(old) if old_changes else old, 0.5
    )
    for epoch in range(3):
        view = dataset.for_epoch(7, epoch)
        items = [view[i] for i in range(len(view))]
        assert items[:4] == ([(i, 7, epoch) for i in new] if new_changes else new)
        assert all((type(item) is tuple) == old_changes for item in items[4:])
        assert view[-1] == items[-1]
        with pytest.raises(IndexError):
            view[len(view)]


@pytest.mark.parametrize("replayed", [False, True])
def test_blocks_of_a_language_model_start_elsewhere_in_each_epoch(replayed):
    blocks = TokenBlocks(np.arange(100), 8)
    dataset = ReplayDataset(blocks, blocks, 0.5) if replayed else blocks
    starts = [int(of_epoch(dataset, 3, epoch)[0]["input_ids"][0]) for epoch in range(6)]
    assert starts == [blocks.for_epoch(3, epoch).offset for epoch in range(6)]
    assert len(set(starts)) > 1


@pytest.mark.parametrize("fraction", [0.0, -1.0, float("nan")])
def test_a_fraction_that_adds_nothing_is_an_error(fraction):
    with pytest.raises(ConfigError, match="replay_fraction"):
        ReplayDataset([1], [2], fraction)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    directory = tmp_path_factory.mktemp("first")
    tune("text-classification", directory, max_steps=40, eval_strategy="no")
    return directory


def again(first, tmp_path, name, **options):
    return tune(
        "text-classification", tmp_path / name, model=first, train=WEATHER, validation=WEATHER,
        replay_validation=TEXTS, max_steps=40, eval_strategy="no", **options,
    )  # fmt: skip


def test_replay_keeps_old_skills_and_both_are_reported(first, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "plainformer"):
        alone = again(first, tmp_path, "alone").metrics
        mixed = again(first, tmp_path, "mixed", replay=TEXTS, replay_fraction=2.0).metrics
    assert alone["before_replay_accuracy"] == mixed["before_replay_accuracy"] == 1.0
    assert alone["replay_accuracy"] < 0.5 < mixed["replay_accuracy"]
    assert mixed["eval_accuracy"] == 1.0
    told = [m for m in caplog.messages if m.startswith("the old skill")]
    assert [m.split(":")[0] for m in told] == ["the old skill fell", "the old skill did not fall"]
    assert "8 old examples in each epoch" in caplog.messages


def test_the_best_model_is_good_at_both(first, tmp_path):
    """Not the first one that knows the new label, which may have forgotten all others."""
    result = tune(
        "text-classification", tmp_path / "out", model=first, train=WEATHER, validation=WEATHER,
        replay_validation=TEXTS, replay=TEXTS, replay_fraction=0.5, max_steps=40,
    )  # fmt: skip
    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    found = {r["step"]: r for r in map(json.loads, lines) if "eval_both_accuracy" in r}
    for record in found.values():
        mean = (record["eval_accuracy"] + record["eval_replay_accuracy"]) / 2
        assert record["eval_both_accuracy"] == pytest.approx(mean)
    best = found[result.metrics["best_step"]]
    assert best["eval_both_accuracy"] == max(r["eval_both_accuracy"] for r in found.values())
    assert result.metrics["replay_accuracy"] == best["eval_replay_accuracy"]
    assert result.metrics["eval_accuracy"] == best["eval_accuracy"]
    new_alone = next(s for s, r in found.items() if r["eval_accuracy"] == 1.0)
    assert found[new_alone]["eval_replay_accuracy"] < best["eval_replay_accuracy"]


def test_another_metric_may_decide(first, tmp_path):
    for name, wanted in (("a", "accuracy"), ("b", "replay_accuracy")):
        result = tune(
            "text-classification", tmp_path / name, model=first, train=WEATHER,
            validation=WEATHER, replay_validation=TEXTS, max_steps=40, metric_for_best_model=wanted,
        )  # fmt: skip
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        found = {r["step"]: r for r in map(json.loads, lines) if "eval_accuracy" in r}
        values = {step: r[f"eval_{wanted}"] for step, r in found.items()}
        assert values[result.metrics["best_step"]] == max(values.values())


def test_a_fraction_needs_something_to_replay(first, tmp_path):
    with pytest.raises(ConfigError, match="replay_fraction: has no effect without replay"):
        again(first, tmp_path, "x", replay_fraction=0.5)

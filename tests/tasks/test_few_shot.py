"""Few labels: the pairs that are drawn, the head that is fitted, and what a run does with both."""

import json
from collections import Counter

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import SimilarityExample
from plainformer.errors import ConfigError, DataError
from plainformer.tasks import open_task
from plainformer.tasks.few_shot import LabelPairs
from plainformer.tasks.logistic import logistic_regression

from .tiny import ENCODER, TEXTS, TOKENS, WORDPIECE, tune

SIZES = {k: v for k, v in ENCODER.items() if k != "model_type"}
FAMILIES = {
    "bert": ENCODER,
    "roberta": {"model_type": "roberta", **SIZES},
    "distilbert": {"model_type": "distilbert", "dim": 16, "n_layers": 2, "n_heads": 2,
                   "hidden_dim": 32, "max_position_embeddings": 48, "dropout": 0.0,
                   "attention_dropout": 0.0, "initializer_range": 0.1},
}  # fmt: skip
FEW = {"few_shot": True, "validation": None, "test": TEXTS, "num_train_epochs": 1,
       "max_steps": -1, "eval_strategy": "no", "save_strategy": "no"}  # fmt: skip


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    for name, config in FAMILIES.items():
        tune("text-classification", root / name, model=config, tokenizer=WORDPIECE, max_steps=2,
             eval_strategy="no")  # fmt: skip
    return root


def test_a_logistic_regression_is_at_its_optimum(rng):
    x, labels = rng.standard_normal((40, 6)), rng.integers(0, 3, 40)
    for strength in (0.1, 1.0, 100.0):
        weights, bias = logistic_regression(x, labels, 3, strength)
        logits = x @ weights.T + bias
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        wrong = p - np.eye(3)[labels]
        np.testing.assert_allclose(wrong.T @ x + weights / strength, 0, atol=1e-4)
        np.testing.assert_allclose(wrong.sum(axis=0), 0, atol=1e-4)
    found = []
    for threads in (1, 2, 3):
        with pf.num_threads(threads):
            found.append(logistic_regression(x, labels, 3)[0].tobytes())
    assert len(set(found)) == 1


def test_pairs_are_of_both_kinds_and_each_epoch_has_its_own():
    labels = np.array([0, 0, 0, 1, 1, 2])
    inputs = [{"input_ids": np.array([i]), "labels": 0} for i in range(6)]
    pairs = LabelPairs(inputs, labels, 4).for_epoch(7, 1)
    assert len(pairs) == 6 * 2 * 4
    seen = Counter()
    for index in range(len(pairs)):
        one = pairs[index]
        i, j = (int(row[0]) for row in one["input_ids"])
        assert one["labels"] == (labels[i] == labels[j])
        assert i != j or list(labels).count(labels[i]) == 1
        seen[i, bool(one["labels"])] += 1
    assert set(seen.values()) == {4}
    again, other = (LabelPairs(inputs, labels, 4).for_epoch(7, e) for e in (1, 2))
    assert again._chosen == pairs._chosen != other._chosen
    with pytest.raises(DataError, match="at least two to tell apart"):
        LabelPairs(inputs, np.zeros(6, int), 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_a_logistic_regression_on_the_vectors(encoders, tmp_path, family):
    """Before training of those that the encoder came with, then of its new ones; also of families
    with a layer between both."""
    model = str(encoders / family)
    result = tune("text-classification", tmp_path, model=model, **FEW)
    labels = np.array([result.task.labels.label2id[e.label] for e in TEXTS])

    def probabilities(directory):
        texts = [e.text for e in TEXTS]
        vectors = pf.pipeline("feature-extraction", directory, pooling="mean", normalize=True)(
            texts
        )
        weights, bias = logistic_regression(vectors.astype(np.float64), labels, 2)
        logits = vectors @ weights.T + bias
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    opened = open_task(tmp_path)
    found = np.array([prediction for _, prediction in opened.predict(TEXTS)])
    # tanh of a small number is not quite that number
    rough = 0.02 if family == "roberta" else 2e-4
    np.testing.assert_allclose(found, probabilities(tmp_path), atol=rough)
    frozen = -np.log(probabilities(model)[np.arange(len(labels)), labels]).mean()
    assert result.metrics["before_test_loss"] == pytest.approx(frozen, abs=rough)
    assert result.metrics["test_loss"] < frozen
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["classifier_pooling"] == "mean"
    assert result.metrics["steps"] == 10 * 2 * 20 / 4


def test_the_pooling_of_the_encoder_is_kept(encoders, tmp_path):
    tune("sentence-similarity", tmp_path / "a", model=str(encoders / "bert"), pooling="cls",
         max_steps=1)  # fmt: skip
    tune("text-classification", tmp_path / "b", model=str(tmp_path / "a"), **FEW)
    assert open_task(tmp_path / "b").model.config.classifier_pooling == "cls"


def test_the_best_epoch_has_a_head_of_its_own(encoders, tmp_path):
    options = {**FEW, "validation": TEXTS, "test": None, "eval_strategy": "epoch",
               "save_strategy": "epoch", "num_train_epochs": 2, "few_shot_pairs": 2}  # fmt: skip
    result = tune("text-classification", tmp_path, model=str(encoders / "bert"), **options)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    told = [line for line in log if "eval_loss" in line]
    assert len(told) == 2
    best = next(line for line in told if line["step"] == result.metrics["best_step"])
    assert best["eval_loss"] == pytest.approx(result.metrics["eval_loss"], rel=1e-5)


@pytest.mark.parametrize(("options", "told"), [
    ({"class_weights": "balanced"}, "class_weights: has no effect beside few_shot"),
    ({"label_smoothing_factor": 0.1}, "label_smoothing_factor: has no effect beside few_shot"),
    ({"head_only": True}, "few_shot: has no effect beside head_only"),
    ({"few_shot": False, "few_shot_pairs": 3}, "few_shot_pairs: has no effect without few_shot"),
    ({"train": [pf.data.TextExample(e.text, 0.5) for e in TEXTS], "test": None},
     "few_shot: learns one label a text, got regression"),
])  # fmt: skip
def test_what_it_cannot_do_is_told(encoders, tmp_path, options, told):
    with pytest.raises(ConfigError, match=told):
        tune("text-classification", tmp_path, model=str(encoders / "bert"), **{**FEW, **options})


def test_other_tasks_and_new_models_are_told(encoders, tmp_path):
    with pytest.raises(ConfigError, match="few_shot: has no effect on token-classification"):
        tune("token-classification", tmp_path, train=TOKENS, few_shot=True)
    with pytest.raises(ConfigError, match="few_shot: needs an encoder that has read much"):
        tune("text-classification", tmp_path, few_shot=True)
    pairs = [SimilarityExample("a", "b")]
    with pytest.raises(ConfigError, match="few_shot: has no effect on sentence-similarity"):
        tune("sentence-similarity", tmp_path, train=pairs, few_shot=True)

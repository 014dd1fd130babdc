"""Sentence similarity: losses as their formulas, figures by hand, what is saved and refused."""

import json
from itertools import pairwise

import numpy as np
import pytest

import plainformer as pf
from plainformer.checkpoints.sentence_transformers import SentenceFiles, read_sentence_files
from plainformer.data import SimilarityExample, examples_of
from plainformer.errors import ConfigError, DataError, ShapeError
from plainformer.nn import RaggedRows
from plainformer.tasks import open_task, sentence_losses
from plainformer.tasks.sentence_losses import SentenceLearner, same_texts
from plainformer.tensor import Tensor

from .tiny import BAD, ENCODER, GOOD, LIKE, TEXTS, WORDPIECE, tune

ALIKE = [SimilarityExample(a, b) for own in (GOOD, BAD) for a, b in pairwise(own)]
TRIPLETS = [SimilarityExample(a, b, None, c) for a, b, c in zip(GOOD, GOOD[1:], BAD)]
LONG = {"num_train_epochs": 12, "max_steps": -1, "learning_rate": 2e-3}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def loss_and_gradient(vectors, group, labels, same=None, **options):
    x = Tensor(vectors.astype(np.float64), requires_grad=True)
    learner = SentenceLearner(None, pooling="mean", **options)
    loss = learner.loss_of(x, labels, same, group)
    loss.backward()
    return loss.item(), np.asarray(x.grad)


def check(formula, vectors, group, labels, same=None, **options):
    """Loss and gradient beside the formula and its differences."""
    loss, gradient = loss_and_gradient(vectors, group, labels, same, **options)
    assert loss == pytest.approx(formula(vectors), rel=1e-10)
    for i in np.ndindex(vectors.shape):
        up, down = vectors.copy(), vectors.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        wanted = (formula(up) - formula(down)) / 2e-6
        assert gradient[i] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


NOTHING = np.full(3, np.nan)


@pytest.mark.parametrize("group", [2, 3])
@pytest.mark.parametrize("hidden", [False, True])
def test_ranking(rng, group, hidden):
    same = np.zeros((3, 3 * (group - 1)), bool)
    same[0, 1] = hidden

    def formula(v):
        x = v.reshape(3, group, -1)
        candidates = np.concatenate([x[:, i] for i in range(1, group)])
        scores = np.where(same, -np.inf, 5 * x[:, 0] @ candidates.T)
        return -sum(s[i] - np.log(np.exp(s).sum()) for i, s in enumerate(scores))

    vectors = unit(rng.standard_normal((3 * group, 4)))
    check(formula, vectors, group, NOTHING, same, scale=5.0)


def test_cosine(rng):
    labels = np.array([0.0, 2.5, 5.0])
    vectors = unit(rng.standard_normal((6, 4)))

    def formula(v):
        return (((v[::2] * v[1::2]).sum(axis=1) - labels / 5) ** 2).sum()

    check(formula, vectors, 2, labels, largest=5.0)


def test_contrastive(rng):
    labels = np.array([0.0, 1.0, 0.0])
    vectors = unit(rng.standard_normal((6, 4)))
    vectors[5] = unit(vectors[4] + 0.1)  # nearer than the margin

    def formula(v):
        d = 1 - (v[::2] * v[1::2]).sum(axis=1)
        return 0.5 * (labels * d**2 + (1 - labels) * np.maximum(0.7 - d, 0) ** 2).sum()

    check(formula, vectors, 2, labels, loss="contrastive", margin=0.7)


def test_the_same_text_is_no_wrong_answer():
    rows = [[1, 2], [3], [4], [3], [5], [1, 2]]  # 3 answers twice; [1, 2] is asked for and answers
    found = same_texts(RaggedRows([np.array(r) for r in rows], group=2), 2)
    assert found.tolist() == [[False, True, True], [True, False, False], [False, False, False]]


@pytest.mark.parametrize(("data", "metric"), [
    (LIKE, "spearman"), (ALIKE, "mrr"), (TRIPLETS, "accuracy"),
])  # fmt: skip
def test_what_is_learned_and_what_decides(tmp_path, data, metric):
    result = tune("sentence-similarity", tmp_path, train=data, validation=data, **LONG)
    assert result.metrics[f"eval_{metric}"] > result.metrics[f"before_eval_{metric}"]
    assert f"eval_{metric}" in str(result)
    assert result.decided[0] == f"eval_{metric}"
    opened = open_task(tmp_path)
    figures = opened.evaluate(data)
    assert figures["loss"] == pytest.approx(result.metrics["eval_loss"], rel=1e-6)


def test_figures_by_hand(tmp_path):
    task = tune("sentence-similarity", tmp_path, max_steps=3).task
    embed = pf.pipeline("feature-extraction", tmp_path, normalize=True)
    scores = embed([e.text for e in ALIKE]) @ embed([e.text_pair for e in ALIKE]).T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    found = task.evaluate(ALIKE)
    assert found["mrr"] == pytest.approx(np.mean(1 / ranks))
    assert found["recall_at_1"] == pytest.approx(np.mean(ranks == 1))
    a, b, c = (embed([getattr(e, n) for e in TRIPLETS]) for n in ("text", "text_pair", "negative"))
    wanted = np.mean((a * b).sum(axis=1) > (a * c).sum(axis=1))
    assert task.evaluate(TRIPLETS)["accuracy"] == wanted
    ask = pf.pipeline(None, tmp_path)
    cosines = ask([(e.text, e.text_pair) for e in LIKE])
    wanted = pf.metrics.spearman_correlation([e.label for e in LIKE], cosines)
    assert task.evaluate(LIKE)["spearman"] == pytest.approx(wanted)


def test_training_pairs_may_be_watched_by_other_data(tmp_path):
    result = tune("sentence-similarity", tmp_path, train=ALIKE, validation=LIKE, test=TRIPLETS)
    assert result.decided[0] == "eval_spearman"
    assert 0 <= result.metrics["test_accuracy"] <= 1


def test_what_is_saved_is_a_sentence_encoder(tmp_path):
    tune("sentence-similarity", tmp_path / "a", pooling="cls", normalize=True, prompt="q: ",
         max_length=9, max_steps=2)  # fmt: skip
    found = read_sentence_files(tmp_path / "a")
    assert found == SentenceFiles("cls", True, 9, False, {"default": "q: "}, "default")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["architectures"] == ["BertModel"]
    embed = pf.pipeline("feature-extraction", tmp_path / "a")
    assert (embed.task.pooling, embed.task.prompt, embed.task.max_length) == ("cls", "q: ", 9)
    tune("sentence-similarity", tmp_path / "b", model=str(tmp_path / "a"), max_steps=1)
    assert read_sentence_files(tmp_path / "b") == found  # goes on as it was
    (tmp_path / "b" / "task.json").unlink()  # as from elsewhere
    task = tune("sentence-similarity", tmp_path / "c", model=str(tmp_path / "b"), max_steps=1).task
    assert (task.pooling, task.normalize, task.prompt, task.max_length) == ("cls", True, "q: ", 9)


def test_the_body_of_another_model_stays_as_it_was(tmp_path):
    tune("text-classification", tmp_path / "a", max_steps=2)
    result = tune("sentence-similarity", tmp_path / "b", model=str(tmp_path / "a"),
                  learning_rate=1e-12, weight_decay=0.0)  # fmt: skip
    old = pf.load(tmp_path / "a").bert.state_dict()
    for name, array in result.task.model.state_dict().items():
        if not name.startswith("pooler."):
            np.testing.assert_allclose(array, old[name], atol=1e-9)


@pytest.mark.parametrize("options", [{"lora_r": 2}, {"freeze_layers": 1}])
def test_parts_can_be_trained(tmp_path, options):
    tune("sentence-similarity", tmp_path / "a", max_steps=2)
    result = tune("sentence-similarity", tmp_path / "b", model=str(tmp_path / "a"), **options)
    assert result.metrics["trainable_parameters"] < result.metrics["parameters"]
    open_task(tmp_path / "b")
    with pytest.raises(ConfigError, match="head_only: BertModel has no head"):
        tune("sentence-similarity", tmp_path / "c", model=str(tmp_path / "a"), head_only=True)


def test_scores_of_sts_are_scaled(tmp_path):
    stars = [SimilarityExample(e.text, e.text_pair, 5 * e.label) for e in LIKE]
    result = tune("sentence-similarity", tmp_path / "a", train=stars, validation=stars)
    assert result.task.settings.largest_score == 5
    plain = tune("sentence-similarity", tmp_path / "b")
    assert plain.task.settings.largest_score is None
    for (name, a), (_, b) in zip(*(r.task.model.named_parameters() for r in (result, plain))):
        assert a.data.tobytes() == b.data.tobytes(), name


def test_gradient_accumulation_changes_no_cosine_loss(tmp_path):
    common = {"lr_scheduler_type": "constant", "num_train_epochs": 1, "max_steps": -1}
    one = tune("sentence-similarity", tmp_path / "a", per_device_train_batch_size=10, **common)
    two = tune("sentence-similarity", tmp_path / "b", per_device_train_batch_size=5,
               gradient_accumulation_steps=2, **common)  # fmt: skip
    assert two.metrics["eval_loss"] == pytest.approx(one.metrics["eval_loss"], rel=1e-4)


def test_threads_change_no_byte(tmp_path):
    found = []
    for threads in (1, 3):
        with pf.num_threads(threads):
            task = tune("sentence-similarity", tmp_path / str(threads), train=ALIKE,
                        validation=ALIKE).task  # fmt: skip
            found.append({n: p.data.tobytes() for n, p in task.model.named_parameters()})
    assert found[0] == found[1]


def test_answers(tmp_path):
    tune("sentence-similarity", tmp_path, max_steps=2)
    ask = pf.pipeline("sentence-similarity", tmp_path)
    texts = ["so good", "truly bad", "warm"]
    vectors = pf.pipeline("feature-extraction", tmp_path, normalize=True)(texts)
    np.testing.assert_allclose(ask(texts), vectors @ vectors.T, atol=1e-6)
    one = ask(text=texts[0], text_pair=texts[1])
    assert one == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
    assert ask([(texts[0], texts[1]), {"query": texts[0], "passage": texts[1]}]) == [one, one]
    with pytest.raises(DataError, match="got one alone, expected text and text_pair"):
        ask.task.record(TEXTS[0], vectors[:1])


@pytest.mark.parametrize(("rows", "told"), [
    ([{"text": "a", "text_pair": "b"}, {"text": "a", "text_pair": "b", "label": 1}],
     "got a 'label', expected as in the first example"),
    ([{"anchor": "a", "positive": "b", "negative": "c"}, {"anchor": "a", "positive": "b"}],
     "got no 'negative', expected as in the first example"),
    ([{"text": "a", "text_pair": "b", "label": 1, "negative": "c"}], "one of them or neither"),
    ([{"text": "a", "text_pair": "b", "label": "high"}], "'label': got 'high', expected a number"),
    ([{"text": "a", "text_pair": "b", "label": True}], "expected a number"),
    ([{"text": "a"}], "no 'text_pair'"),
])  # fmt: skip
def test_bad_examples_are_told(rows, told):
    with pytest.raises(DataError, match=told):
        examples_of(rows, "sentence-similarity")


@pytest.mark.parametrize(("options", "told"), [
    ({"loss": "multiple-negatives-ranking"}, "takes pairs or triplets without labels"),
    ({"train": ALIKE, "loss": "cosine"}, "cosine takes pairs with a label"),
    ({"train": [SimilarityExample("a", "b", 0.5)], "loss": "contrastive"},
     "takes labels 0 and 1, got 0.5"),
    ({"loss": "triplet"}, "loss: got 'triplet', expected one of multiple-negatives-ranking"),
    ({"class_weights": "balanced"}, "class_weights: sentence-similarity has no labels"),
    ({"label_smoothing_factor": 0.1}, "label_smoothing_factor: has no effect"),
])  # fmt: skip
def test_what_a_loss_cannot_learn_from_is_told(tmp_path, options, told):
    with pytest.raises(ConfigError, match=told):
        tune("sentence-similarity", tmp_path, **{"validation": None, "model": ENCODER, **options},
             tokenizer=WORDPIECE)  # fmt: skip


def test_mixed_batches_are_told(tmp_path):
    task = tune("sentence-similarity", tmp_path, max_steps=1).task
    inputs = [own[0].inputs for own in task.encode([ALIKE[0], TRIPLETS[0]], labelled=True)]
    with pytest.raises(ShapeError, match=r"texts: got \[2, 3\] in one batch"):
        task.collate(inputs)
    assert sentence_losses.LOSSES[0] == "multiple-negatives-ranking"

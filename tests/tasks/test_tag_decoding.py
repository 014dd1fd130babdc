"""The best tags that make sense together: brute force over all sequences says the same."""

import itertools

import numpy as np
import pytest

import plainformer as pf
from plainformer.metrics.tags import check_tags
from plainformer.tasks.tag_decoding import TagDecoder

from .tiny import tune

SCHEMES = {"IOB2": "BI", "IOBES": "BIES", "BILOU": "BILU"}


def labels_of(letters, kinds=("PER", "LOC")):
    return ["O", *(f"{letter}-{kind}" for kind in kinds for letter in letters)]


def best_by_hand(labels, logits, scheme):
    sequences = (
        ids
        for ids in itertools.product(range(len(labels)), repeat=len(logits))
        if check_tags([labels[i] for i in ids], scheme) is None
    )
    return max(sequences, key=lambda ids: sum(row[i] for row, i in zip(logits, ids)))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("words", [1, 2, 4])
def test_the_best_of_all_sequences_in_order_is_found(scheme, words, rng):
    labels = labels_of(SCHEMES[scheme])
    decoder = TagDecoder(labels)
    for _ in range(4 if words == 4 else 20):
        logits = rng.standard_normal((words, len(labels))).astype(np.float32)
        assert tuple(decoder.best(logits)) == best_by_hand(labels, logits.astype(float), scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_may_follow_is_what_the_checks_of_data_allow(scheme):
    labels = labels_of(SCHEMES[scheme])
    decoder = TagDecoder(labels)
    for size in (1, 2, 3):
        for ids in itertools.product(range(len(labels)), repeat=size):
            in_order = check_tags([labels[i] for i in ids], scheme) is None
            assert decoder.is_in_order(np.array(ids)) == in_order, [labels[i] for i in ids]


def test_united_nations_are_one_entity():
    labels = labels_of("BI", ("LOC", "ORG"))
    chances = {"B-LOC": 0.4, "B-ORG": 0.39}, {"I-ORG": 0.6, "I-LOC": 0.2}, {"O": 0.9}
    logits = np.log([[row.get(label, 0.01) for label in labels] for row in chances])
    assert [labels[i] for i in logits.argmax(1)] == ["B-LOC", "I-ORG", "O"]  # no entity of any kind
    assert [labels[i] for i in TagDecoder(labels).best(logits)] == ["B-ORG", "I-ORG", "O"]


def test_a_type_without_b_begins_with_i():
    labels = ["O", "I-PER", "B-LOC", "I-LOC"]
    decoder = TagDecoder(labels)
    assert decoder.is_in_order(np.array([0, 1, 1, 2, 3, 1]))
    assert not decoder.is_in_order(np.array([0, 3]))


def test_a_scheme_that_lacks_an_ending_ends_with_what_it_has():
    assert TagDecoder(["O", "B-X", "I-X", "S-X"]).is_in_order(np.array([1, 2, 0, 3, 1, 2]))
    assert TagDecoder(["O", "B-X", "E-X"]).is_in_order(np.array([1, 0, 1, 2]))


def test_a_long_sentence_stays_in_order(rng):
    labels = labels_of("BIES", [f"T{i}" for i in range(20)])
    logits = rng.standard_normal((500, len(labels))).astype(np.float32)
    best = TagDecoder(labels).best(logits)
    assert check_tags([labels[i] for i in best], "IOBES") is None


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("tags")
    tune("token-classification", path, max_steps=3, eval_strategy="no")
    return path


TEXTS = ["Ann Lee saw Paris .", "Parisian Leesburg sawed Romeo", "x"]


def test_what_is_answered_is_in_order_and_argmax_on_request(directory, rng):
    """Weights at random give tags at random."""
    task, wrong = pf.pipeline("ner", directory).task, 0
    weight = task.model.classifier.weight
    examples = [pf.data.TextExample(" ".join(TEXTS * 3))]
    for _ in range(8):
        weight.assign(9 * rng.standard_normal(weight.shape).astype(np.float32))
        [(_, best)] = task.predict(examples)
        [(_, argmax)] = task.with_settings(aggregation_strategy="first").predict(examples)
        assert check_tags(best.tags, "IOB2") is None
        assert best.tags == argmax.tags or check_tags(argmax.tags, "IOB2")
        wrong += best.tags != argmax.tags
    assert wrong


def test_none_answers_each_sub_token_with_its_characters(directory):
    tag = pf.pipeline("ner", directory, aggregation_strategy="none")
    for text in TEXTS:
        for one in tag(text):
            assert set(one) == {"entity", "score", "index", "word", "start", "end"}
            assert text[one["start"] : one["end"]].lower() == one["word"].removeprefix("##").lower()


def test_an_unknown_strategy_is_refused(directory):
    with pytest.raises(pf.errors.ConfigError, match="aggregation_strategy: got 'all'"):
        pf.pipeline("ner", directory, aggregation_strategy="all")

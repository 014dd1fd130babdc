"""Unigram and bigram losses: against direct counting, on known sources, in bounded memory."""

import math
from itertools import pairwise

import numpy as np
import pytest

from plainformer.data import baselines as b
from plainformer.data.baselines import UNKNOWN, Labels


def markov(rng, count, size=20):
    """A chain in which each token is followed by one of two."""
    tokens = [0]
    for bit in rng.integers(0, 2, count - 1):
        tokens.append((3 * tokens[-1] + 1 + 7 * bit) % size)
    return np.array(tokens)


def direct(labels, texts, size):
    """The same losses by loops over every weight that is tried."""
    unigrams, firsts, pairs = np.zeros(size), np.zeros(size), np.zeros((size, size))
    for text in texts:
        for a, c in pairwise(text):
            unigrams[c] += 1
            firsts[a] += 1
            pairs[a, c] += 1

    def best(of_weight):
        return min((of_weight(w) for w in b._PRIORS), key=lambda p: -np.log(p).sum())

    prior = best(lambda w: (unigrams + w / size)[labels.target] / (unigrams.sum() + w))
    left = best(
        lambda w: [
            p if a == UNKNOWN else (pairs[a, t] + w * p) / (firsts[a] + w)
            for a, t, p in zip(labels.left, labels.target, prior)
        ]
    )
    if labels.right is None:
        return -np.log(prior).mean(), -np.log(left).mean()
    right = best(
        lambda w: [
            p if c == UNKNOWN else (pairs[t, c] + w * p) / (unigrams[c] + w)
            for c, t, p in zip(labels.right, labels.target, prior)
        ]
    )

    def mixed(share):
        known = zip(labels.left, left, labels.right, right)
        return [
            share * p + (1 - share) * q if UNKNOWN not in (a, c) else (p if a != UNKNOWN else q)
            for a, p, c, q in known
        ]

    losses = [-np.log(mixed(share)).mean() for share in b._SHARES]
    return -np.log(prior).mean(), min(losses)


@pytest.mark.parametrize("both", [False, True])
def test_losses_are_those_of_direct_counting(rng, monkeypatch, both):
    monkeypatch.setattr(b, "_BATCH", 50)
    texts = [rng.integers(0, 9, n) for n in (30, 1, 40, 2, 25)]
    left, target, right = rng.integers(-1, 9, (3, 60))
    target = np.maximum(target, 0)
    labels = Labels(target, left, right if both else None)
    got = b.measure(labels, iter(texts), 10)
    assert (got.unigram, got.bigram) == pytest.approx(direct(labels, texts, 10), abs=1e-12)
    assert got.labels == 60
    assert got.tokens == sum(len(t) - 1 for t in texts)


def test_a_markov_chain_is_learned(rng):
    tokens, held = markov(rng, 20_000), markov(rng, 2_000)
    example = {"input_ids": held[:-1], "shift_labels": held[1:]}
    got = b.measure(b.causal_labels([example]), [tokens], 20)
    assert got.bigram == pytest.approx(math.log(2), abs=0.01)
    assert got.unigram > math.log(2) + 0.5
    hidden = np.arange(1, 1999, 3)
    labels = np.full(2000, -100)
    labels[hidden] = held[hidden]
    ids = held.copy()
    ids[hidden] = 20  # the mask
    special = np.arange(21) == 20
    seen = b.masked_labels([{"input_ids": ids, "labels": labels}], special)
    both = b.measure(seen, [tokens], 21)
    assert both.bigram < got.bigram + 0.05
    assert seen.target.tolist() == held[hidden].tolist()
    assert seen.left.tolist() == held[hidden - 1].tolist()


def test_neighbours_of_masked_labels_are_those_that_a_model_sees():
    special = np.array([False] * 8 + [True, True])  # 8 the mask, 9 a border
    example = {
        "input_ids": np.array([9, 1, 8, 8, 4, 7, 9]),
        "labels": np.array([-100, 1, 2, 3, -100, 5, -100]),
    }
    got = b.masked_labels([example, example], special)
    assert got.target.tolist() == [1, 2, 3, 5] * 2
    assert got.left.tolist() == [UNKNOWN, 1, UNKNOWN, 4] * 2
    assert got.right.tolist() == [UNKNOWN, UNKNOWN, 4, UNKNOWN] * 2


def test_labels_of_a_decoder_follow_each_other():
    got = b.target_labels([{"labels": np.array([4, 5, 6])}, {"labels": np.array([7])}], 10)
    assert got.target.tolist() == [4, 5, 6, 7]
    assert got.left.tolist() == [10, 4, 5, 10]
    assert b.target_text({"labels": np.array([4, 5])}, 10).tolist() == [10, 4, 5]


def test_ignored_labels_take_no_part():
    example = {"input_ids": np.array([1, 2, 3]), "shift_labels": np.array([2, -100, 4])}
    got = b.causal_labels([example])
    assert (got.target.tolist(), got.left.tolist()) == ([2, 4], [1, 3])


def test_tokens_never_seen_have_a_finite_loss():
    labels = Labels(np.array([7, 8]), np.array([6, 1]))
    got = b.measure(labels, [np.array([1, 2, 1, 2])], 1000)
    assert math.log(1000) - 0.1 < got.unigram < 20
    assert math.isfinite(got.bigram)

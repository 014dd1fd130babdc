"""Metrics beside the packages that define them, on random input; each skipped if not installed."""

import random
import warnings

import pytest

from plainformer import metrics


@pytest.fixture
def dice():
    return random.Random(20240)


def test_sacrebleu():
    """The example of sacrebleu's README, with the figures printed there."""
    pytest.importorskip("sacrebleu")
    predictions = [
        "The dog bit the man.",
        "It wasn't surprising.",
        "The man had just bitten him.",
    ]
    references = [
        ["The dog bit the man.", "The dog had bit the man."],
        ["It was not unexpected.", "No one was surprised."],
        ["The man bit him first.", "The man had bitten the dog."],
    ]
    bleu = metrics.bleu(predictions, references)
    assert bleu.score == pytest.approx(48.530827, abs=1e-6)
    assert bleu.signature.startswith("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2")
    chrf = metrics.chrf(predictions, references)
    assert chrf.score == pytest.approx(59.73, abs=0.005)
    assert chrf.signature.startswith("nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2")
    with pytest.raises(ValueError, match="tokenize: got 'none such'"):
        metrics.bleu(predictions, references, tokenize="none such")


def test_sklearn(dice):
    theirs = pytest.importorskip("sklearn.metrics")
    for labels in (["a", "b", "c", "d"], [0, 1], [3, 10, 2]) * 20:
        count = dice.randint(1, 30)
        p, r = ([dice.choice(labels) for _ in range(count)] for _ in range(2))
        for average in ("macro", "micro", "weighted"):
            for chosen in (None, labels[:2]):
                expected = theirs.f1_score(r, p, average=average, labels=chosen, zero_division=0)
                got = metrics.f1_score(p, r, average=average, labels=chosen)
                assert got == pytest.approx(expected)
        assert metrics.matthews_corrcoef(p, r) == pytest.approx(theirs.matthews_corrcoef(r, p))
        assert (metrics.confusion_matrix(p, r)[1] == theirs.confusion_matrix(r, p)).all()


@pytest.mark.parametrize(("scheme", "letters"), [("IOB2", "BI"), ("IOB1", "BI"), ("IOBES", "BIES")])
def test_seqeval(dice, scheme, letters):
    theirs = pytest.importorskip("seqeval.metrics")
    schemes = pytest.importorskip("seqeval.scheme")
    for _ in range(300):
        sides = [
            [
                "O" if dice.random() < 0.3 else f"{dice.choice(letters)}-{dice.choice('XY')}"
                for _ in range(8)
            ]
            for _ in range(2)
        ]
        p, r = ([side] for side in sides)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loose = theirs.f1_score(r, p)
        assert metrics.entity_metrics(p, r)["f1"] == pytest.approx(loose)
        for side in sides:
            entities = schemes.Entities([side], getattr(schemes, scheme)).entities[0]
            expected = [(e.tag, e.start, e.end) for e in entities]
            got = metrics.spans_of(side, scheme=scheme, strict=True)
            assert [tuple(span) for span in got] == expected


def test_rouge_score(dice):
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    kinds = ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"]
    words = [
        *["the", "cat", "sat", "runs", "ran", "3", "dogs", "dog", "café", "don't", "a.b"],
        "happily",
        "running",
    ]
    for stem in (False, True) * 150:
        p, r = (
            dice.choice([" ", "\n"]).join(dice.choice(words) for _ in range(dice.randint(0, 14)))
            for _ in range(2)
        )
        expected = scorer.RougeScorer(kinds, use_stemmer=stem).score(r, p)
        got = metrics.rouge_scores(p, r, rouge_types=kinds, use_stemmer=stem)
        for kind in kinds:
            assert got[kind] == pytest.approx(tuple(expected[kind]))

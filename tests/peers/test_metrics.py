"""Metrics beside the packages that define them, on random input; each skipped if not installed."""

import random
import warnings

import pytest

from plainformer import metrics
from plainformer.metrics._tokenize import TOKENIZERS


@pytest.fixture
def dice():
    return random.Random(20240)


PIECES = [
    "the", "dog", "3.5", "1,000", "x-ray", "(hi)", "&quot;a&quot;", "&amp;", "don't", "end.", "“q”",
    "中国", "很好，", "…", "<skipped>", "-\n", "10-20", "é", "\u3000", "a.b", "...", "¥5", "𠀀字",
    "-", ".", "\t", "U.S.", "—",
]  # fmt: skip


def test_sacrebleu(dice):
    """The same figures for drawn texts, with one reference, several, or different numbers."""
    theirs = pytest.importorskip("sacrebleu.metrics")

    def text():
        pieces = [dice.choice(PIECES) for _ in range(dice.choice([0, 1, 2, 3, 5, 8, 14]))]
        return dice.choice([" ", "", "  "]).join(pieces)

    for _ in range(600):
        predictions = [text() for _ in range(dice.randint(1, 5))]
        most = dice.choice([1, 1, 3])
        references = [
            [text() if dice.random() < 0.6 else p + dice.choice(["", " x", "."])
             for _ in range(dice.randint(1, most))]
            for p in predictions
        ]  # fmt: skip
        streams = [
            [own[k] if k < len(own) else None for own in references]
            for k in range(max(map(len, references)))
        ]
        for name in ("13a", "zh", "char", "none"):
            options = {"tokenize": name, "lowercase": dice.random() < 0.3}
            compare(
                theirs.BLEU(**options),
                metrics.bleu(predictions=predictions, references=references, **options),
                predictions,
                streams,
            )
        orders = dict(zip(("char_order", "word_order"), dice.choice([(6, 0), (6, 2), (2, 3)])))
        options = {**orders, "beta": dice.choice([1, 2, 3])}
        found = metrics.chrf(predictions=predictions, references=references, **options)
        compare(theirs.CHRF(**options), found, predictions, streams)


def compare(theirs, found, predictions, streams):
    assert found.score == pytest.approx(theirs.corpus_score(predictions, streams).score, abs=1e-9)
    wanted = str(theirs.get_signature()).rpartition("|")[0]
    assert found.signature == wanted + "|version:plainformer"


@pytest.mark.parametrize("name", ["13a", "zh"])
def test_every_character_is_cut_as_sacrebleu_cuts_it(name):
    module = pytest.importorskip(f"sacrebleu.tokenizers.tokenizer_{name}")
    theirs = {"13a": "Tokenizer13a", "zh": "TokenizerZh"}[name]
    cut = getattr(module, theirs)()
    for code in (*range(0x20, 0xD800), *range(0xE000, 0x30000)):
        line = f"a{chr(code)}b 1{chr(code)}2"
        assert TOKENIZERS[name](line) == cut(line).split(), hex(code)


def test_sklearn(dice):
    theirs = pytest.importorskip("sklearn.metrics")
    for labels in (["a", "b", "c", "d"], [0, 1], [3, 10, 2]) * 20:
        count = dice.randint(1, 30)
        p, r = ([dice.choice(labels) for _ in range(count)] for _ in range(2))
        for average in ("macro", "micro", "weighted"):
            for chosen in (None, labels[:2]):
                expected = theirs.f1_score(r, p, average=average, labels=chosen, zero_division=0)
                got = metrics.f1_score(predictions=p, references=r, average=average, labels=chosen)
                assert got == pytest.approx(expected)
        assert metrics.matthews_corrcoef(predictions=p, references=r) == pytest.approx(
            theirs.matthews_corrcoef(r, p)
        )
        assert (
            metrics.confusion_matrix(predictions=p, references=r)[1]
            == theirs.confusion_matrix(r, p)
        ).all()


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
        assert metrics.entity_metrics(predictions=p, references=r)["f1"] == pytest.approx(loose)
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
        got = metrics.rouge_scores(prediction=p, references=r, rouge_types=kinds, use_stemmer=stem)
        for kind in kinds:
            assert got[kind] == pytest.approx(tuple(expected[kind]))


def test_scipy(dice):
    theirs = pytest.importorskip("scipy.stats")
    for _ in range(300):
        count = dice.randint(2, 30)
        digits = dice.choice([0, 1, 9])
        x, y = ([round(dice.gauss(0, 1), digits) for _ in range(count)] for _ in "xy")
        if len(set(x)) == 1 or len(set(y)) == 1:
            continue
        for name, function in (("pearsonr", metrics.pearson_correlation),
                               ("spearmanr", metrics.spearman_correlation)):  # fmt: skip
            wanted = float(getattr(theirs, name)(x, y)[0])
            assert function(x, y) == pytest.approx(wanted, abs=1e-12)


def test_sklearn_of_several_labels(dice):
    theirs = pytest.importorskip("sklearn.metrics")
    labels = ["a", "b", "c", "d"]
    for _ in range(200):
        p, r = (
            [[x for x in labels if dice.random() < 0.4] for _ in range(dice.randint(1, 9))]
            for _ in "pr"
        )
        p = (p * 9)[: len(r)]
        told = metrics.multi_label_metrics(predictions=p, references=r)
        occurs = [x for x in labels if any(x in own for own in (*p, *r))]
        rows = [[[x in own for x in occurs] for own in side] for side in (r, p)]
        if len(occurs) < 2:  # scikit-learn takes one column for one label a text
            continue
        for average in ("micro", "macro"):
            wanted = theirs.f1_score(*rows, average=average, zero_division=0)
            assert told[f"{average}_f1"] == pytest.approx(wanted)
        assert told["subset_accuracy"] == pytest.approx(theirs.accuracy_score(*rows))


def test_sklearn_of_calibration(dice):
    calibration = pytest.importorskip("sklearn.calibration")
    for _ in range(200):
        bins, count = dice.choice([2, 5, 10, 15]), dice.randint(2, 60)
        chances = [dice.choice([0.0, 0.2, 0.5, 1.0, dice.random()]) for _ in range(count)]
        right = [dice.random() < 0.5 for _ in range(count)]
        if len(set(right)) < 2:
            continue
        true, mean = calibration.calibration_curve(right, chances, n_bins=bins)
        own = metrics.calibration_bins(chances, right, bins=bins)
        filled = [one for one in own if one.size]
        assert [one.accuracy for one in filled] == pytest.approx(list(true))
        assert [one.confidence for one in filled] == pytest.approx(list(mean))
        ece = sum(one.size * abs(t - m) for one, t, m in zip(filled, true, mean)) / count
        assert metrics.expected_calibration_error(chances, right, bins=bins) == pytest.approx(ece)


@pytest.mark.parametrize("count", [2, 5, 150])
def test_sklearn_of_a_whole_report(dice, count):
    """Scores, means and confusions of a report, as scikit-learn prints them."""
    theirs = pytest.importorskip("sklearn.metrics")
    import numpy as np

    from plainformer.data import LabelMap
    from plainformer.tasks.problems import SingleLabel

    labels = LabelMap([f"l{i:03}" for i in range(count)])
    rows = np.random.default_rng(count).dirichlet(np.ones(count), 400).astype(np.float32)
    wanted = [dice.choice(labels.labels) for _ in rows]
    report = SingleLabel(labels).report(list(rows), wanted, [{} for _ in rows])
    found = [labels.labels[i] for i in rows.argmax(axis=1)]
    told = theirs.classification_report(wanted, found, output_dict=True, zero_division=0)
    names = ("precision", "recall", "f1-score", "support")
    for label, score in report.scores.items():
        assert tuple(score) == pytest.approx([told[label][name] for name in names])
    assert (report.confusion[1] == theirs.confusion_matrix(wanted, found)).all()
    for line in str(report).splitlines():
        name = {"macro": "macro avg", "weighted": "weighted avg"}.get(line.partition(" ")[0])
        if name is not None:
            figures = [float(x) for x in line.split()[1:]]
            assert figures == pytest.approx([told[name][n] for n in names], abs=5.1e-5)

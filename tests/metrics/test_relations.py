"""SemEval-2010 Task 8. Figures made by running the scoring part of the official scorer, version
1.2 (Perl), on COUNTS."""

import pytest

from plainformer import metrics
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.metrics.relations import relation_of

# (reference, prediction): times. Wrong directions, `Other` both ways, a relation predicted that
# no reference has (Entity-Origin), one never right (Product-Producer).
COUNTS = {
    ("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)"): 5,
    ("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)"): 2,
    ("Cause-Effect(e2,e1)", "Cause-Effect(e2,e1)"): 7,
    ("Cause-Effect(e2,e1)", "Product-Producer(e1,e2)"): 1,
    ("Cause-Effect(e1,e2)", "Other"): 1,
    ("Component-Whole(e1,e2)", "Component-Whole(e1,e2)"): 3,
    ("Component-Whole(e2,e1)", "Component-Whole(e1,e2)"): 2,
    ("Component-Whole(e2,e1)", "Other"): 2,
    ("Product-Producer(e1,e2)", "Product-Producer(e2,e1)"): 2,
    ("Product-Producer(e2,e1)", "Cause-Effect(e1,e2)"): 1,
    ("Product-Producer(e2,e1)", "Entity-Origin(e1,e2)"): 1,
    ("Other", "Other"): 4,
    ("Other", "Cause-Effect(e1,e2)"): 2,
    ("Other", "Component-Whole(e2,e1)"): 1,
}
REFERENCES = [r for (r, _), times in COUNTS.items() for _ in range(times)]
PREDICTIONS = [p for (_, p), times in COUNTS.items() for _ in range(times)]


def test_the_official_scorer():
    percent = {
        k: 100 * v
        for k, v in metrics.relation_metrics(predictions=PREDICTIONS, references=REFERENCES).items()
    }
    assert percent["f1"] == pytest.approx(39.63, abs=0.005)
    assert percent["precision"] == pytest.approx(40.20, abs=0.005)
    assert percent["recall"] == pytest.approx(39.29, abs=0.005)
    assert percent["micro_f1"] == pytest.approx(56.60, abs=0.005)
    assert percent["accuracy"] == pytest.approx(100 * 19 / 34)


def test_the_official_scorer_relation_by_relation():
    scores = metrics.relation_scores(predictions=PREDICTIONS, references=REFERENCES)
    expected = {
        "Cause-Effect": (70.59, 75.00, 72.73, 1600),
        "Component-Whole": (50.00, 42.86, 46.15, 700),
        "Product-Producer": (0.00, 0.00, 0.00, 400),
    }
    assert list(scores) == list(expected)
    for name, figures in expected.items():
        assert [100 * x for x in scores[name]] == pytest.approx(figures, abs=0.005)


def test_direction_counts():
    right, wrong = "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)"
    assert metrics.relation_metrics(predictions=[right], references=[right])["f1"] == 1
    assert metrics.relation_metrics(predictions=[wrong], references=[right])["f1"] == 0
    assert relation_of(wrong) == "Cause-Effect"
    assert relation_of("born in") == "born in"


def test_another_word_for_none():
    metric = metrics.relation_metrics(
        predictions=["born in", "none"], references=["born in", "none"], other="none"
    )
    assert metric["f1"] == metric["micro_f1"] == 1


@pytest.mark.parametrize(
    ("predictions", "references", "error", "message"),
    [
        ([], [], ShapeError, "no examples"),
        (["a"], ["a", "b"], ShapeError, "one for each"),
        ([1], ["a"], DTypeError, r"predictions\[0\]: got 1"),
        (["a"], ["Other"], ConfigError, "every reference is 'Other'"),
    ],
)
def test_bad_input_is_named(predictions, references, error, message):
    with pytest.raises(error, match=message):
        metrics.relation_metrics(predictions=predictions, references=references)

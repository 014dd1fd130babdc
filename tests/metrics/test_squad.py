"""SQuAD EM and F1. Figures of CASES come from running the official 2.0 script's functions
(`compute_exact`, `compute_f1`), as kept in transformers 4.57's `squad_metrics.py`."""

import math

import pytest

from plainformer import metrics
from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError

CASES = [
    # prediction, answers, exact match, F1
    ("Denver Broncos", ["Denver Broncos"], 1, 1),
    ("the Denver   broncos!", ["Denver Broncos"], 1, 1),
    ("Broncos", ["Denver Broncos", "The Denver Broncos"], 0, 2 / 3),
    ("Santa Clara, California", ["Levi's Stadium", "Santa Clara"], 0, 0.8),
    ("a a b b", ["b b b"], 0, 0.8),  # "a" is an article
    ("cat-like", ["cat like"], 0, 0),  # punctuation goes without leaving a space
    ("", ["x"], 0, 0),
    ("", [], 1, 1),
    ("the", [], 1, 1),
    ("x", [], 0, 0),
]


@pytest.mark.parametrize(("prediction", "answers", "exact", "f1"), CASES)
def test_official_figures(prediction, answers, exact, f1):
    result = metrics.squad_metrics(predictions=[prediction], references=[answers])
    assert result["exact_match"] == exact
    assert result["f1"] == pytest.approx(f1)


def test_normalisation():
    assert metrics.normalize_answer(" The U.S.A.,  an\tanswer\n") == "usa answer"
    assert metrics.normalize_answer("Theatre another") == "theatre another"  # whole words only
    assert metrics.normalize_answer("“Café”") == "“café”"  # ASCII punctuation only


def test_questions_with_and_without_an_answer_are_told_apart():
    result = metrics.squad_metrics(predictions=["x", "", "y z"], references=[["x"], [], ["y"]])
    assert result == {
        "exact_match": pytest.approx(2 / 3),
        "f1": pytest.approx((1 + 1 + 2 / 3) / 3),
        "has_answer_exact_match": 0.5,
        "has_answer_f1": pytest.approx(5 / 6),
        "no_answer_accuracy": 1.0,
    }
    assert set(metrics.squad_metrics(predictions=["x"], references=[["x"]])) == {
        "exact_match",
        "f1",
    }


def test_chinese_needs_characters():
    assert metrics.answer_f1("北京市", "北京") == 0
    found = metrics.squad_metrics(
        predictions=["北京市。", "x y"],
        references=[["北京"], ["x"]],
        tokenize=metrics.rouge_characters,
    )
    assert found == {"exact_match": 0, "f1": pytest.approx((0.8 + 2 / 3) / 2)}


def test_answers_of_articles_only_part_the_two_versions():
    assert metrics.squad_metrics(predictions=["the"], references=[["The"]], version="1.1") == {
        "exact_match": 1,
        "f1": 0,
    }
    result = metrics.squad_metrics(predictions=["the"], references=[["The"]], version="2.0")
    assert (result["exact_match"], result["f1"]) == (1, 1)


def test_no_answer_scores():
    """Above the threshold a question scores 1 if it has no answer, else 0, whatever was said."""
    predictions, references = ["x", "y", "z"], [["x"], [], ["z"]]
    scores = [0.2, 0.9, 0.5]
    kept = metrics.squad_metrics(
        predictions=predictions,
        references=references,
        no_answer_scores=scores,
        no_answer_threshold=0.5,
    )
    assert kept["exact_match"] == 1
    lost = metrics.squad_metrics(
        predictions=predictions,
        references=references,
        no_answer_scores=scores,
        no_answer_threshold=0.4,
    )
    assert lost["exact_match"] == pytest.approx(2 / 3)


def test_best_threshold():
    best = metrics.best_no_answer_threshold(
        predictions=["x", "y", "z", "w w"],
        references=[["x"], [], ["z"], ["w"]],
        no_answer_scores=[0.2, 0.9, 0.5, 0.5],
    )
    assert best == {
        "best_exact_match": 0.75,
        "best_exact_match_threshold": 0.5,
        "best_f1": pytest.approx((1 + 1 + 1 + 2 / 3) / 4),
        "best_f1_threshold": 0.5,
    }
    nothing = metrics.best_no_answer_threshold(
        predictions=["x"], references=[[]], no_answer_scores=[0.3]
    )
    assert nothing["best_exact_match"] == 1
    assert nothing["best_exact_match_threshold"] == -math.inf
    everything = metrics.best_no_answer_threshold(
        predictions=["x", "x"], references=[["x"], ["x"]], no_answer_scores=[math.inf, 1.0]
    )
    assert everything["best_exact_match_threshold"] == math.inf


def test_the_best_threshold_is_what_squad_metrics_then_gives():
    predictions = ["x", "", "z z", "w", "q"]
    references = [["x"], [], ["z"], [], ["r"]]
    scores = [0.1, 0.7, 0.3, 0.2, 0.2]
    best = metrics.best_no_answer_threshold(
        predictions=predictions, references=references, no_answer_scores=scores
    )
    for name in ("exact_match", "f1"):
        again = metrics.squad_metrics(
            predictions=predictions,
            references=references,
            no_answer_scores=scores,
            no_answer_threshold=best[f"best_{name}_threshold"],
        )
        assert again[name] == pytest.approx(best[f"best_{name}"])
        for threshold in (-1, *scores):
            other = metrics.squad_metrics(
                predictions=predictions,
                references=references,
                no_answer_scores=scores,
                no_answer_threshold=threshold,
            )
            assert other[name] <= again[name] + 1e-12


@pytest.mark.parametrize(
    ("predictions", "references", "options", "error", "message"),
    [
        ([], [], {}, ShapeError, "no examples"),
        (["x"], [["x"], ["y"]], {}, ShapeError, "one for each"),
        ([None], [["x"]], {}, DTypeError, r"predictions\[0\]: got None"),
        (["x"], ["x"], {}, DTypeError, r"references\[0\]: got a string"),
        (["x"], [[1]], {}, DTypeError, r"references\[0\]\[0\]: got 1"),
        (["x"], [[]], {"version": "1.1"}, ConfigError, r"references\[0\] has no answer"),
        (["x"], [["x"]], {"version": "3"}, ConfigError, "version: got '3'"),
        (["x"], [["x"]], {"no_answer_scores": [1, 2]}, ShapeError, r"expected \(1,\)"),
        (["x"], [["x"]], {"no_answer_scores": [math.nan]}, DataError, r"\[0\]: got NaN"),
    ],
)
def test_bad_input_is_named(predictions, references, options, error, message):
    with pytest.raises(error, match=message):
        metrics.squad_metrics(predictions=predictions, references=references, **options)

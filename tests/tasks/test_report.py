"""What an evaluation reports: figures of labels done by hand, orders, and tables of any size.

Figures beside scikit-learn: tests/peers/test_metrics.py.
"""

import numpy as np
import pytest

from plainformer.characters import display_width
from plainformer.data import ChoiceExample, TextExample
from plainformer.data.labels import LabelMap
from plainformer.metrics import LabelScore, entity_scores
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks.problems import MultiLabel, Regression, SingleLabel
from plainformer.tasks.report import choices_report
from plainformer.tasks.report_entities import entities_report, words_report
from plainformer.tasks.report_text import confusion_text, scores_text
from plainformer.tasks.token_classification import Tagging

from .tiny import TASKS, tune

LABELS = LabelMap(["a", "b", "c"])


def asked(count):
    return [{"text": f"t{i}", "line": i + 1} for i in range(count)]


def single():
    rows = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.55, 0.4, 0.05], [0.3, 0.1, 0.6]], "f4")
    return SingleLabel(LABELS).report(list(rows), ["b", "b", "b", "a"], asked(4))


def test_confident_errors_come_first_and_doubtful_answers_next():
    report = single()
    rows = report.rows()
    assert [row["text"] for row in rows] == ["t0", "t3", "t2", "t1"]
    assert [row["correct"] for row in rows] == [False, False, False, True]
    assert rows[0]["probabilities"] == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0})
    assert list(rows[0]) == [
        "gold", "prediction", "correct", "score", "text", "line", "probabilities",
    ]  # fmt: skip
    more = SingleLabel(LABELS).report(
        [np.array([0.9, 0.1, 0], "f4"), np.array([0.5, 0.4, 0.1], "f4")], ["a", "a"], asked(2)
    )
    assert [row["text"] for row in more.rows()] == ["t1", "t0"]


def test_scores_confusions_and_calibration_of_labels():
    report = single()
    assert report.scores["b"] == LabelScore(1.0, 1 / 3, 0.5, 3)
    labels, matrix = report.confusion
    assert labels == ["a", "b", "c"]
    assert matrix.tolist() == [[0, 0, 1], [2, 1, 0], [0, 0, 0]]
    assert report.ece == pytest.approx((0.9 + 0.3 + 0.55 + 0.6) / 4)
    told = report.as_dict()
    assert told["ece"] == report.ece
    assert told["labels"]["b"] == {"precision": 1.0, "recall": 1 / 3, "f1": 0.5, "support": 3}
    assert told["confusion"] == {"labels": labels, "matrix": matrix.tolist()}
    assert sum(one["size"] for one in told["calibration"]) == 4


def test_several_labels_are_judged_each():
    problem = MultiLabel(LABELS)
    rows = [np.array(r, "f4") for r in ([0.9, 0.6, 0.1], [0.8, 0.1, 0.3], [0.2, 0.1, 0.4])]
    report = problem.report(rows, [("a", "b"), ("c",), ("c",)], asked(3))
    assert [row["text"] for row in report.rows()] == ["t1", "t2", "t0"]  # 0.8 for a, 0.6 against c
    assert report.rows()[0]["prediction"] == ["a"]
    assert report.rows()[0]["score"] == pytest.approx(0.8)
    assert report.scores["c"] == LabelScore(0.0, 0.0, 0.0, 2)
    assert report.confusion is None
    assert sum(one.size for one in report.calibration) == 9


def test_numbers_come_the_farthest_first():
    report = Regression(LabelMap(["x"])).report(
        [np.array([x], "f4") for x in (1, 2.5, 3)], [(1.5,), (4.5,), (3.0,)], asked(3)
    )
    assert [row["error"] for row in report.rows()] == pytest.approx([2.0, 0.5, 0.0])
    assert report.rows()[0]["gold"] == 4.5
    assert report.ece is None
    assert str(report) == "error: 50 % 0.5, 90 % 2, 99 % 2, largest 2"


class Tagged:
    file, line = "f", 3

    def __init__(self, words, tags):
        self.words, self.tags = words.split(), tags.split()
        self.text, at = words, np.cumsum([0, *(len(w) + 1 for w in self.words)])
        self.spans = [(int(a), int(a) + len(w)) for a, w in zip(at, self.words)]


def entities():
    first = Tagged("Ann Lee saw Rome", "B-PER I-PER O B-LOC")
    second = Tagged("Bob fell", "B-PER O")
    found = [
        Tagging(["B-PER", "I-PER", "O", "B-PER"], np.array([0.9, 0.7, 1, 0.6], "f4")),
        Tagging(["O", "B-LOC"], np.array([0.95, 0.5], "f4")),
    ]
    texts = [(one.text, one.spans) for one in (first, second)]
    return found, [first, second], texts


def test_entities_are_judged_by_their_spans():
    found, examples, texts = entities()
    report = entities_report(found, examples, texts)
    told = [(r["entity"], r["gold"], r["prediction"]) for r in report.rows()]
    assert told == [("Bob", "PER", None), ("Rome", "LOC", "PER"), ("fell", None, "LOC"),
                    ("Ann Lee", "PER", "PER")]  # fmt: skip
    assert report.scores == entity_scores(
        references=[e.tags for e in examples], predictions=[p.tags for p in found]
    )
    assert report.rows()[3]["score"] == pytest.approx(0.8)
    labels, matrix = report.confusion
    assert labels == ["LOC", "PER", "(none)"]
    assert matrix.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert sum(one.size for one in report.calibration) == 3  # what was found
    row = report.rows()[1]
    assert row["text"][row["start"] : row["end"]] == "Rome"
    assert (row["file"], row["line"]) == ("f", 3)


def test_tags_that_are_no_entities_are_judged_word_by_word():
    example = Tagged("the cat", "DET NOUN")
    found = Tagging(["DET", "VERB"], np.array([0.9, 0.8], "f4"))
    report = words_report([found], [example], [(example.text, example.spans)])
    assert [(r["word"], r["prediction"]) for r in report.rows()] == [
        ("cat", "VERB"),
        ("the", "DET"),
    ]
    assert set(report.scores) == {"DET", "NOUN", "VERB"}


def test_choices_are_judged():
    examples = [ChoiceExample("q", ["x", "y"], 1), ChoiceExample("r", ["x", "y"], 0)]
    report = choices_report([np.array(r, "f4") for r in ([0.8, 0.2], [0.9, 0.1])], examples)
    assert report.rows()[0]["gold"] == "y"
    assert report.ece == pytest.approx((0.8 + 0.1) / 2)


@pytest.mark.parametrize("task", TASKS)
def test_judging_gives_the_metrics_of_evaluating(task, tmp_path):
    """Of every task; a report of those that say so."""
    made = tune(task, tmp_path, eval_strategy="no", max_steps=1).task
    examples = TASKS[task][2]
    metrics, report = made.judge(examples, 3)
    assert metrics == made.evaluate(examples, 3)
    assert (report is not None) == KINDS[task].reports
    if report is None:
        return
    assert report.rows()
    assert all({"gold", "prediction", "correct", "score"} <= row.keys() for row in report.rows())
    wanted = sum(one.correct for one in report.verdicts) / len(report.verdicts)
    if task in ("text-classification", "relation-extraction", "multiple-choice"):
        assert wanted == metrics["accuracy"]
    if task == "relation-extraction":
        assert np.mean([s.f1 for s in report.scores.values()]) == pytest.approx(metrics["f1"])


def test_a_matrix_of_few_labels_is_shown_whole():
    told = confusion_text(["no", "yes"], np.array([[40, 3], [0, 7]]), 80)
    assert told.splitlines() == [
        "confusion: rows are right, columns were predicted",
        "        1   2",
        "1 no   40   3",
        "2 yes   .   7",
    ]


def test_very_many_labels_do_not_overflow():
    names = [f"label {i}" for i in range(150)]
    matrix = np.eye(150, dtype=np.int64) * 5
    for i in range(60):
        matrix[i, i + 1] = i + 1
    told = confusion_text(names, matrix, 100).splitlines()
    assert told[0] == "confusion: 1830 errors among 150 labels, 60 confusions, the 20 most frequent"
    assert told[2].split() == ["60", "92", "%", "label", "59", "label", "60"]
    assert len(told) == 22
    scores = {n: LabelScore(i / 150, i / 150, i / 150, 5) for i, n in enumerate(names)}
    scores |= {"never seen": LabelScore(0.0, 0.0, 0.0, 0)}  # which tells of no error of its own
    table = scores_text("label", scores).splitlines()
    assert len(table) == 24
    assert table[1].startswith("label 0 ")
    assert "20 of 151 labels, those with the least F1" in table[-1]
    assert max(map(len, [*told, *table])) <= 100


def test_wide_and_long_names_keep_columns():
    names = ["体育", "x" * 90, "a\nb"]
    for told in (
        confusion_text(names, np.ones((3, 3), np.int64), 100).splitlines()[1:],
        scores_text("label", dict.fromkeys(names, LabelScore(1.0, 1.0, 1.0, 1))).splitlines(),
    ):
        assert len({display_width(line) for line in told}) == 1


def test_a_label_that_the_model_has_not_is_in_the_matrix():
    report = SingleLabel(LABELS).report([np.array([0.9, 0.1, 0], "f4")], ["z"], asked(1))
    assert report.confusion[0] == ["a", "z"]


def test_texts_of_a_pair_are_in_the_rows(tmp_path):
    rows = [TextExample("x", "a", text_pair="y"), TextExample("y", "b", text_pair="x")]
    made = tune("text-classification", tmp_path, train=rows, validation=None, max_steps=1).task
    [first, _] = made.judge(rows)[1].rows()
    assert {"text", "text_pair"} <= first.keys()

"""Heads with one score, several labels or numbers: learned, scored and asked as transformers does.

Numbers beside transformers' pipeline: tests/peers/test_problem_types.py and tests/models/golden.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.data import TextExample
from plainformer.errors import ConfigError, DataError
from plainformer.models import MODELS, from_config
from plainformer.tasks import open_task
from plainformer.tasks.problems import REGRESSION, problem_to_learn, sigmoid
from tests.models.tiny import CONFIGS

from .tiny import BAD, ENCODER, GOOD, TEXTS, WORDPIECE, tune, write_jsonl

MULTI = "multi_label_classification"
BOTH = [
    *(TextExample(t, ("good", "film") if "film" in t else ("good",)) for t in GOOD),
    *(TextExample(t, ("bad", "film") if "film" in t else ("bad",)) for t in BAD),
    TextExample("rain on sand", ()),
]
NUMBERS = [
    *(TextExample(t, 4.0 + i / 4) for i, t in enumerate(GOOD)),
    *(TextExample(t, 1.0 + i / 4) for i, t in enumerate(BAD)),
]
LEARNED = {"max_steps": 200, "learning_rate": 1e-2, "eval_strategy": "no"}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    directory = tmp_path_factory.mktemp("several")
    return directory, tune("text-classification", directory, train=BOTH, validation=BOTH, **LEARNED)


@pytest.fixture(scope="module")
def number(tmp_path_factory):
    directory = tmp_path_factory.mktemp("number")
    return directory, tune(
        "text-classification", directory, train=NUMBERS, validation=NUMBERS, **LEARNED
    )


def config(directory):
    return json.loads((directory / "config.json").read_text())


@pytest.mark.parametrize(("num_labels", "problem", "function"), [
    (1, None, "sigmoid"), (1, MULTI, "sigmoid"), (3, MULTI, "sigmoid"), (1, REGRESSION, "none"),
    (3, REGRESSION, "none"), (3, None, "softmax"), (3, "single_label_classification", "softmax"),
])  # fmt: skip
@pytest.mark.parametrize(
    "family", [f for f, m in MODELS.items() if "sequence-classification" in m.models]
)
def test_every_family_gives_what_its_problem_type_says(
    tmp_path, several, family, num_labels, problem, function
):
    """A score that nothing was asked of is not 1.0."""
    tokenizer = several[1].task.tokenizer
    options = {"num_labels": num_labels, "problem_type": problem, "vocab_size": 200}
    values = {**CONFIGS[family], "model_type": family, **options}
    model = from_config(values, "sequence-classification", seed=3).eval()
    task = type(several[1].task)(tokenizer, model)
    example = TextExample("a good film")
    [(_, found)] = task.predict([example])
    [[feature]] = task.encode([example], labelled=False)
    x = np.asarray(model(**task.collate([feature.inputs])).logits.data, np.float64)[0]
    wanted = {
        "sigmoid": 1 / (1 + np.exp(-x)), "none": x, "softmax": np.exp(x) / np.exp(x).sum(),
    }[function]  # fmt: skip
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    [answer] = pf.pipeline("text-classification", task)("a good film")
    assert answer == {"label": f"LABEL_{wanted.argmax()}", "score": pytest.approx(wanted.max())}


def test_sigmoid_does_not_overflow():
    x = np.array([-1000, -0.505, 0, 0.505, 1000], np.float32)
    assert sigmoid(x).tolist() == pytest.approx([0, 0.376366, 0.5, 0.623634, 1])
    assert sigmoid(x).dtype == np.float32


def test_several_labels_are_learned(several):
    directory, result = several
    assert config(directory)["problem_type"] == MULTI
    assert result.metrics["eval_micro_f1"] == result.metrics["eval_f1_film"] == 1
    assert result.metrics["eval_subset_accuracy"] == 1
    assert "eval_accuracy" not in result.metrics
    assert result.metrics["eval_loss"] < 0.3 < result.metrics["before_eval_loss"]
    ask = pf.pipeline(None, directory)
    ranked = ask("a bad film", top_k=None)
    assert {one["label"] for one in ranked[:2]} == {"bad", "film"}
    assert ranked[1]["score"] > 0.5 > ranked[2]["score"]
    task = open_task(directory)
    [(example, prediction)] = task.predict([TextExample("a bad film")])
    assert set(task.record(example, prediction)["label"]) == {"bad", "film"}
    sure = open_task(directory, threshold=0.999)
    assert sure.record(example, prediction)["label"] == []


def test_numbers_are_learned(number):
    directory, result = number
    assert config(directory)["problem_type"] == REGRESSION
    assert config(directory)["id2label"] == {"0": "LABEL_0"}
    assert result.metrics["eval_pearson"] > 0.9
    assert result.metrics["eval_spearman"] > result.metrics["before_eval_spearman"]
    [found] = pf.pipeline(None, directory)("a good film")
    assert found["label"] == "LABEL_0"
    assert found["score"] > 2.5


def test_a_head_goes_on_or_starts_anew_by_its_problem(tmp_path, several, number):
    more = {"eval_strategy": "no", "max_steps": 1, "learning_rate": 1e-9, "validation": None}
    (old, _), (scores, _) = several, number
    new = [*BOTH, TextExample("sand", ("dry",))]
    task = tune("text-classification", tmp_path / "a", model=str(old), train=new, **more).task
    assert task.labels.labels == ("bad", "film", "good", "dry")
    [(_, found)] = task.predict([TextExample("a bad film")])
    assert found[:3] == pytest.approx([x for _, x in _scores(old, "a bad film")], abs=1e-3)
    same = tune("text-classification", tmp_path / "b", model=str(scores), train=NUMBERS, **more)
    [(_, found)] = same.task.predict([TextExample("a bad film")])
    assert found[0] == pytest.approx(_scores(scores, "a bad film")[0][1], abs=1e-3)
    for source in (old, scores):  # another problem is another head
        task = tune(
            "text-classification",
            tmp_path / source.name,
            model=str(source),
            train=TEXTS,
            new_head=True,
            problem_type="single_label_classification",
            **more,
        ).task
        assert task.labels.labels == ("neg", "pos")
        assert config(tmp_path / source.name)["problem_type"] == "single_label_classification"


def _scores(directory, text):
    task = open_task(directory)
    [(_, prediction)] = task.predict([TextExample(text)])
    return list(zip(task.labels.labels, prediction.tolist()))


def test_a_reranker_learns_numbers_and_says_so(tmp_path):
    """As transformers' own loss takes one label without a problem type."""
    model = {**ENCODER, "num_labels": 1}
    marked = [TextExample(e.text, str(int(e.label == "pos"))) for e in TEXTS]
    tune("text-classification", tmp_path, model=model, tokenizer=WORDPIECE, train=marked,
         validation=marked, max_steps=1, eval_strategy="no")  # fmt: skip
    assert config(tmp_path)["problem_type"] == REGRESSION


def test_what_decides_and_stops_follows_the_problem(tmp_path):
    for train, metric in ((BOTH, "micro_f1"), (NUMBERS, "spearman"), (TEXTS, "accuracy")):
        directory = tmp_path / metric
        result = tune("text-classification", directory, train=train, validation=train,
                      max_steps=9, early_stopping_patience=5)  # fmt: skip
        lines = (directory / "log.jsonl").read_text().splitlines()
        assert any(f"eval_{metric}" in json.loads(line) for line in lines)
        assert result.decided == [f"eval_{metric}"]


@pytest.mark.parametrize(("wanted", "values", "labels", "new_head", "found"), [
    (None, {}, ["a", "b"], False, "single_label_classification"),
    (None, {}, ["1", "0"], False, "single_label_classification"),
    (None, {}, ["1", 0.5], False, REGRESSION),
    (None, {}, [("a",), ()], False, MULTI),
    (None, {}, [(0.5, 1.0)], False, REGRESSION),
    (None, {"num_labels": 1}, ["1", "0"], False, REGRESSION),
    (None, {"id2label": {"0": "x"}}, ["1", "0"], False, REGRESSION),
    (None, {"num_labels": 1}, ["1", "0"], True, "single_label_classification"),
    (None, {"num_labels": 1}, ["a", "b"], False, "single_label_classification"),
    (None, {"problem_type": MULTI}, ["a", "b"], False, MULTI),
    (None, {"problem_type": MULTI}, ["a", "b"], True, MULTI),
    (None, {"problem_type": "single_label_classification"}, [("a",)], True, MULTI),
    (None, {"problem_type": "single_label_classification"}, [("a",)], False,
     "single_label_classification"),
    (REGRESSION, {"problem_type": MULTI}, ["1"], False, REGRESSION),
])  # fmt: skip
def test_what_is_learned(wanted, values, labels, new_head, found):
    assert problem_to_learn(wanted, values, labels, new_head=new_head).name == found


def test_files_of_several_labels_and_of_numbers(tmp_path):
    rows = [{"text": e.text, "label": list(e.label)} for e in BOTH]
    table = tmp_path / "rows.csv"
    lines = (f"{e.text},{'; '.join(e.label) or ';'}\n" for e in BOTH)
    table.write_text("text,label\n" + "".join(lines))
    more = {"max_steps": 2, "validation": None, "eval_strategy": "no"}
    one = tune("text-classification", tmp_path / "a",
               train=str(write_jsonl(tmp_path / "rows.jsonl", rows)), **more)  # fmt: skip
    other = tune("text-classification", tmp_path / "b", train=str(table), problem_type=MULTI,
                 label_separator=";", **more)  # fmt: skip
    assert one.metrics["train_loss"] == other.metrics["train_loss"]
    assert open_task(tmp_path / "b").settings.label_separator == ";"
    told = CliRunner().invoke(
        main, ["evaluate", str(tmp_path / "b"), "--data", str(table), "--json"]
    )
    assert told.exit_code == 0, told.output
    assert 0 <= json.loads(told.output.splitlines()[-1])["eval_subset_accuracy"] <= 1
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("text,label\n" + "".join(f"{e.text},{e.label}\n" for e in NUMBERS))
    task = tune("text-classification", tmp_path / "c", train=str(numbers), problem_type=REGRESSION,
                **more).task  # fmt: skip
    assert task.problem.name == REGRESSION
    assert task.evaluate(NUMBERS).keys() == {"loss", "pearson", "spearman", "mean_absolute_error"}


def test_the_loss_is_a_mean_over_texts_however_they_are_batched(several, number):
    for (_, result), examples in ((several, BOTH), (number, NUMBERS)):
        first = result.task.evaluate(examples, 1)
        assert first == pytest.approx(result.task.evaluate(examples, 4), rel=1e-6)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"train": TEXTS, "problem_type": "regression"}, DataError, "label: got 'pos', expected a num"),
    ({"train": BOTH, "problem_type": "single_label_classification"}, DataError, "expected one"),
    ({"train": NUMBERS, "problem_type": MULTI}, DataError, "expected a list of labels"),
    ({"problem_type": "several"}, ConfigError, "problem_type: got 'several', expected one of sing"),
    ({"threshold": 0.4}, ConfigError, "threshold: has no effect on single_label"),
    ({"threshold": 1.5}, ConfigError, "threshold: got 1.5, expected float, between 0 and 1"),
    ({"train": NUMBERS, "class_weights": "balanced"}, ConfigError, "regression has no classes"),
    ({"train": [*NUMBERS, TextExample("x", (1.0, 2.0))]}, DataError, "got 2 numbers, expected 1"),
    ({"train": BOTH, "label_smoothing_factor": 0.1}, ConfigError, "label_smoothing_factor: has no"),
])  # fmt: skip
def test_what_does_not_fit_is_one_error(tmp_path, options, error, message):
    options = {"validation": None, "eval_strategy": "no", **options}
    with pytest.raises(error, match=message):
        tune("text-classification", tmp_path / "out", **options)


def test_a_saved_problem_cannot_be_asked_for_as_another(several):
    with pytest.raises(ConfigError, match="got regression, but the model is for multi"):
        open_task(several[0], problem_type=REGRESSION)


def test_plain_answers_say_what_is_learned(tmp_path, several, number):
    """Labels of several, the number of a regression: LABEL_0 on each line would say nothing."""
    pairs = [TextExample(e.text, (e.label, 1.0)) for e in NUMBERS]
    tune("text-classification", tmp_path / "two", train=pairs, validation=pairs, max_steps=1)
    text = "a good film"
    for directory in (several[0], number[0], tmp_path / "two"):
        words = ["predict", str(directory), text, "--output"]
        for name in ("a.txt", "a.jsonl"):
            assert CliRunner().invoke(main, [*words, str(tmp_path / name)]).exit_code == 0
        line = json.loads((tmp_path / "a.jsonl").read_text())
        answer = line["label"] if directory is several[0] else line["score"]
        told = ",".join(map(str, answer)) if isinstance(answer, list) else str(answer)
        assert (tmp_path / "a.txt").read_text() == told + "\n"
    assert line["label"] == ["LABEL_0", "LABEL_1"]
    [(_, scores)] = open_task(tmp_path / "two").predict([TextExample(text)], 1)
    assert line["score"] == [float(x) for x in scores]

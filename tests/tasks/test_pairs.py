"""Two texts an example: read under their usual names, learned, predicted and asked alike.

Numbers beside transformers' pipeline: tests/peers/test_pipelines.py.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.data import TextExample, describe, examples_of, read_examples
from plainformer.errors import DataError

from .tiny import tune, write_jsonl

TASK = "text-classification"
A, B = ["a man sleeps", "a cat eats"], ["he rests", "it eats"]
ROWS = [
    {"text": a, "text_pair": b, "label": "yes" if i == j else "no"}
    for i, a in enumerate(A)
    for j, b in enumerate(B)
]
PAIRS = [TextExample(r["text"], r["label"], text_pair=r["text_pair"]) for r in ROWS]
NAMES = [
    ("text", "text_pair"), ("premise", "hypothesis"), ("sentence1", "sentence2"),
    ("question1", "question2"), ("query", "passage"), ("query", "document"),
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pairs")
    tune(TASK, directory, train=PAIRS, validation=PAIRS, eval_strategy="no", max_steps=8)
    return directory


def named(one, other):
    return [{one: r["text"], other: r["text_pair"], "label": r["label"]} for r in ROWS]


def as_table(rows, delimiter):
    lines = [list(rows[0]), *(row.values() for row in rows)]
    return "".join(delimiter.join(line) + "\n" for line in lines)


@pytest.mark.parametrize("names", NAMES, ids="-".join)
def test_both_texts_are_found_by_their_names(tmp_path, names):
    rows = named(*names)
    files = [write_jsonl(tmp_path / "a.jsonl", rows)]
    for name, delimiter in (("a.csv", ","), ("b.csv", ";"), ("a.tsv", "\t")):
        files.append(tmp_path / name)
        files[-1].write_text(as_table(rows, delimiter))
    for file in files:
        assert [*read_examples(file, TASK)] == PAIRS, file
    assert examples_of(rows, TASK) == PAIRS


def test_columns_name_the_second_text(tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", named("q", "a"))
    assert [*read_examples(file, TASK, columns={"text": "q", "text_pair": "a"})] == PAIRS
    table = tmp_path / "a.csv"
    table.write_text(as_table(named("q", "a"), ",").partition("\n")[2])
    columns = {"text": 0, "text_pair": 1, "label": 2}
    assert [*read_examples(table, TASK, columns=columns)] == PAIRS


def test_a_text_alone_or_named_is_not_taken_for_a_pair(tmp_path):
    rows = [{"text": "x", "premise": "a", "hypothesis": "b", "label": "yes"}]
    assert examples_of(rows, TASK) == [TextExample("x", "yes")]
    found = examples_of(rows, TASK, columns={"text": "premise"})
    assert found == [TextExample("a", "yes")]
    table = tmp_path / "a.csv"
    table.write_text("text,text_pair,label\na,,x\nb,,y\n")
    assert [e.text_pair for e in read_examples(table, TASK)] == [None, None]


@pytest.mark.parametrize(("rows", "message"), [
    ([ROWS[0], {"text": "a", "label": "no"}], "2: got no 'text_pair', expected 'text_pair' as in"),
    ([{"text": "a", "label": "no"}, ROWS[0]], "2: got 'text_pair', expected no 'text_pair' as in"),
    ([{**ROWS[0], "text_pair": "  "}], "1: 'text_pair' is empty"),
    ([{**ROWS[0], "text_pair": 3}], "1: 'text_pair': got 3, expected text"),
])  # fmt: skip
def test_half_a_pair_is_an_error_with_its_line(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_examples(write_jsonl(tmp_path / "a.jsonl", rows), TASK)


def test_a_description_has_both_texts():
    told = describe(PAIRS)
    assert told.first[0] == "yes: a man sleeps | he rests"
    assert ("text_pair", "words") in told.lengths


def test_the_model_sees_both_texts_with_their_types(made):
    task = pf.pipeline(None, made).task
    [[found]] = task.encode([PAIRS[0]], labelled=True)
    ids, types = found.inputs["input_ids"], found.inputs["token_type_ids"]
    end = task.tokenizer.token_to_id("[SEP]")
    first, second = np.flatnonzero(ids == end)
    assert second == len(ids) - 1
    assert types.tolist() == [0] * (first + 1) + [1] * (second - first)
    mixed = [PAIRS[0], TextExample("a man"), PAIRS[1]]
    alone = [task.encode([e], labelled=False)[0][0].inputs["input_ids"] for e in mixed]
    together = [own[0].inputs["input_ids"] for own in task.encode(mixed, labelled=False)]
    assert all(a.tolist() == b.tolist() for a, b in zip(alone, together))


def test_the_longer_text_is_cut(made):
    task = pf.pipeline(None, made).task.with_settings(max_length=9)
    long = TextExample(" ".join(["cat"] * 40), text_pair="it eats")
    [[found]] = task.encode([long], labelled=False)
    assert found.cut
    assert len(found.inputs["input_ids"]) == 9
    assert task.tokenizer.decode(found.inputs["input_ids"].tolist()).endswith("it eats")


def test_a_pair_may_be_asked_in_any_form(made):
    ask = pf.pipeline(None, made)
    a, b = ROWS[1]["text"], ROWS[1]["text_pair"]
    wanted = ask({"text": a, "text_pair": b})
    assert wanted != ask(a)[0]
    for given in ({"premise": a, "hypothesis": b}, PAIRS[1]):
        assert ask(given) == wanted
    assert ask(a, text_pair=b) == ask(text=a, text_pair=b) == wanted
    assert ask([(a, b), [a, b], {"sentence1": a, "sentence2": b}]) == [wanted] * 3
    assert ask([a, b]) == [ask(a)[0], ask(b)[0]]  # two texts are two inputs


def test_files_of_pairs_are_evaluated_and_predicted(made, tmp_path):
    rows = named("premise", "hypothesis")
    (tmp_path / "a.csv").write_text(as_table(rows, ","))
    files = [write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "a.csv"]
    figures, answers = [], []
    for file in files:
        told = CliRunner().invoke(main, ["evaluate", str(made), "--data", str(file), "--json"])
        assert told.exit_code == 0, told.output
        figures.append(json.loads(told.stdout.splitlines()[-1])["eval_loss"])
        told = CliRunner().invoke(main, ["predict", str(made), "--input", str(file)])
        assert told.exit_code == 0, told.output
        answers.append([json.loads(line) for line in told.stdout.splitlines()])
    assert figures[0] == figures[1] == pf.pipeline(None, made).task.evaluate(PAIRS)["loss"]
    assert answers[0] == answers[1]
    [first, *_] = answers[0]
    wanted = pf.pipeline(None, made)({"text": A[0], "text_pair": B[0]})
    assert {name: first[name] for name in wanted} == wanted
    assert (first["text"], first["text_pair"]) == (A[0], B[0])


def test_pairs_with_numbers_are_a_regression_with_one_output(tmp_path):
    rows = [{"sentence1": r["text"], "sentence2": r["text_pair"], "label": 0.5 + i}
            for i, r in enumerate(ROWS)]  # fmt: skip
    result = tune(TASK, tmp_path, train=rows, validation=rows, eval_strategy="no")
    assert result.task.problem.name == "regression"
    assert "eval_spearman" in result.metrics
    [found] = pf.pipeline(None, tmp_path)([(A[0], B[0])])
    assert found["label"] == "LABEL_0"

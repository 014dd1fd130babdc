"""`plainformer predict DIR --question Q --context-file F`."""

import json

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from tests.tasks.tiny import QUESTIONS, tune


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    directory = tmp_path_factory.mktemp("learned")
    tune("question-answering", directory, max_steps=120, eval_strategy="no")
    return directory


@pytest.fixture
def files(tmp_path):
    paths = []
    for example in QUESTIONS:
        paths.append(tmp_path / f"{example.id}.txt")
        paths[-1].write_bytes(b"\xef\xbb\xbf\r\n" + example.context.encode() + b"\r\n")
    return paths


def run(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == code, result.stderr
    return result


def flags(questions, files):
    return [f for q in questions for f in ("--question", q)] + [
        f for file in files for f in ("--context-file", file)
    ]


def test_questions_are_asked_of_all_files_and_offsets_are_of_the_file(learned, files):
    questions = [e.question for e in QUESTIONS]
    out = run("predict", learned, *flags(questions, files), "--top-k", 2).stdout
    records = [json.loads(line) for line in out.splitlines()]
    texts = {str(f): f.read_bytes().decode("utf-8-sig") for f in files}
    ask = pf.pipeline("question-answering", learned)
    for example, record in zip(QUESTIONS, records, strict=True):
        assert record["question"] == example.question
        found = texts[record["document"]][record["start"] : record["end"]]
        assert found == record["answer"]
        answers = ask(question=example.question, context=texts, top_k=2)
        assert record["top_k"] == answers
        assert {k: record[k] for k in answers[0]} == answers[0]
        assert "context" not in record


def test_a_glob_a_table_and_plain_answers(learned, files, tmp_path):
    [first, *_] = QUESTIONS
    asked = ["--question", first.question, "--context-file", tmp_path / "*.txt"]
    run("predict", learned, *asked, "--output", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == (
        "question,answer,score,start,end,document,error"
    )
    run("predict", learned, *asked, "--output", tmp_path / "plain.txt")
    texts = {e.id: e.context for e in QUESTIONS}
    found = pf.pipeline(None, learned)(question=first.question, context=texts)
    assert (tmp_path / "plain.txt").read_text() == f"{found['answer']}\n"


def test_one_file_may_be_standard_input(learned):
    [first, *_] = QUESTIONS
    out = run("predict", learned, *flags([first.question], ["-"]), stdin=first.context).stdout
    assert json.loads(out)["document"] == "-"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--question", "who ?"], "--question: needs --context-file too"),
        (["--context-file", "FILE"], "--context-file: needs --question too"),
        (["a text", "--question", "who ?"], "got TEXT beside --question and --context-file"),
        (["--question", "who ?", "--input", "x"], "beside --input and how to read it; give one"),
        (
            ["--question", "who ?", "--context-file", "FILE", "--output", "FILE"],
            "which --context-file reads",
        ),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(learned, files, extra, message):
    given = [str(files[0]) if word == "FILE" else word for word in extra]
    assert message in run("predict", learned, *given, code=2).stderr
    assert files[0].read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b" \n", "holds no text"), (b"a\n\xff", "x.txt:2: not UTF-8: byte 0xff"), (None, "no such")],
)
def test_a_file_that_is_no_text_is_named(learned, tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.txt").write_bytes(content)
    given = flags(["who ?"], [tmp_path / "x.txt"])
    assert message in run("predict", learned, *given, code=1).stderr


def test_other_tasks_are_asked_otherwise(tmp_path):
    tune("text-classification", tmp_path / "out", eval_strategy="no")
    (tmp_path / "a.txt").write_text("Ann")
    given = flags(["who ?"], [tmp_path / "a.txt"])
    told = run("predict", tmp_path / "out", *given, code=2).stderr
    assert "--question: is for question-answering, but the model is for text-class" in told

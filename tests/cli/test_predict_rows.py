"""`plainformer predict` keeps rows: answer i belongs to input i, and what a row has comes back."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.errors import DataError
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks import open_task
from tests.cli.test_predict import MAIN
from tests.tasks.tiny import TASKS, tune

pytestmark = pytest.mark.filterwarnings("ignore:BLEU and chrF are left out")

# Two rows of each task as a table has them, without labels.
TABLES = {
    "text-classification": [{"text": "so good, it is"}, {"text": "so bad"}],
    "token-classification": [{"text": "Ann Lee saw Rome"}, {"text": "rain fell"}],
    "relation-extraction": [
        {"text": "the <e1>saw</e1> cut the <e2>wood</e2>"},
        {"text": "a <e1>cat</e1>, and <e2>wood</e2>"},
    ],
    "question-answering": [
        {"question": "who ?", "context": "Ann is in Rome"},
        {"question": "who ?", "context": "Bob, is in Rome"},
    ],
    "multiple-choice": [
        {"question": "rain is", "choice0": "wet", "choice1": "dry"},
        {"question": "sea is", "choice0": "wet", "choice1": "dry, or not"},
    ],
    "translation": [{"source": "a x"}, {"source": "b, y"}],
    "text2text-generation": [{"source": "a x"}, {"source": "b, y"}],
    "sentence-similarity": [
        {"text": "so good", "text_pair": "so fine, it is"},
        {"text": "so bad", "text_pair": "so good"},
    ],
    "summarization": [{"document": "a x"}, {"document": "b, y"}],
    "dialogue": [{"text": "I am Ann"}, {"text": "I am Bob"}],
    "language-modeling": [{"text": "the sun"}, {"text": "the rain"}],
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("outputs")
    for task in TASKS:
        tune(task, root / task, eval_strategy="no", max_steps=2)
    return root


def run(*arguments, stdin=None, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result.stdout, result.stderr


def records(out):
    return [json.loads(line) for line in out.splitlines()]


def as_csv(rows, delimiter=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def rows_of(task):
    return [{"id": f"n{i}", **row, "score": str(i), "note": "a, b"}
            for i, row in enumerate(TABLES[task])]  # fmt: skip


def test_every_task_is_here():
    assert set(TABLES) == {name for name, kind in KINDS.items() if kind.learns}


@pytest.mark.parametrize("task", TABLES)
def test_tables_on_standard_input_are_told_as_in_files(outputs, tmp_path, task):
    rows = rows_of(task)
    answers = set()
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t"), ("b.csv", ";")):
        text = as_csv(rows, delimiter)
        (tmp_path / name).write_text(text)
        answers.add(run("predict", outputs / task, "--input", tmp_path / name)[0])
        answers.add(run("predict", outputs / task, stdin=text)[0])
    assert len(answers) == 1
    found = records(answers.pop())
    assert [r["id"] for r in found] == ["n0", "n1"]
    assert all(r["note"] == "a, b" for r in found)
    answer = KINDS[task].answer_fields
    name = "given_score" if "score" in answer else "score"
    assert [r[name] for r in found] == ["0", "1"]
    assert all(r[answer[0]] is not None for r in found)


@pytest.mark.parametrize("task", TABLES)
def test_an_output_that_is_a_table_keeps_the_columns(outputs, tmp_path, task):
    (tmp_path / "a.csv").write_text(as_csv(rows_of(task)))
    for name in ("out.csv", "out.tsv", "out.jsonl", "out.txt"):
        run("predict", outputs / task, "--input", tmp_path / "a.csv", "--output", tmp_path / name)
    lines = records((tmp_path / "out.jsonl").read_text())
    text = (tmp_path / "out.csv").read_text()
    table = list(csv.DictReader(io.StringIO(text)))
    assert table == list(csv.DictReader(io.StringIO((tmp_path / "out.tsv").read_text()),
                                        delimiter="\t"))  # fmt: skip
    given = [f"given_{n}" if n in KINDS[task].answer_fields else n for n in rows_of(task)[0]]
    assert list(table[0])[: len(given)] == given
    for row, line, before in zip(table, lines, rows_of(task)):
        assert [row[n] for n in given if n != "text"] == [
            v for n, v in before.items() if n != "text"
        ]
        for name, value in line.items():
            read = json.loads(row[name]) if isinstance(value, (list, dict)) else row[name]
            assert read == (value if isinstance(value, (list, dict)) else str(value))
    plain = (tmp_path / "out.txt").read_text().splitlines()
    opened = open_task(outputs / task)
    assert plain == [" ".join(opened.plain(line).split()) for line in lines]


@pytest.mark.parametrize("task", TABLES)
@pytest.mark.parametrize("size", [1, 2, 32])
def test_blank_and_bad_lines_have_answers_of_their_own(outputs, tmp_path, task, size):
    first, second = (json.dumps(row) for row in rows_of_json(task))
    lines = [first, "", '{"id": 7, "other": 1}', "{broken", second, "  ", "[1]", first]
    kinds = "gnBBgnBg"  # good, blank, bad
    text = "\n".join(lines) + "\n"
    (tmp_path / "a.jsonl").write_text(text)
    words = ["predict", outputs / task, "--batch-size", size]
    file = [*words, "--input", tmp_path / "a.jsonl"]
    out, err = run(*file, "--skip-bad-lines")
    found = records(out)
    main_field = KINDS[task].answer_fields[0]
    assert [("error" not in r) for r in found] == [kind == "g" for kind in kinds]
    assert all((r[main_field] is None) == ("error" in r) for r in found)
    assert [r.get("error") == "blank line" for r in found] == [kind == "n" for kind in kinds]
    assert found[2]["id"] == 7
    assert found[0] == found[-1]
    assert "3 bad lines and 2 blank lines without an answer" in err
    assert records(run(*words, "--skip-bad-lines", stdin=text)[0]) == found
    out, err = run(*file, code=1)  # without the flag: what was before, and all that is wrong
    assert records(out) == found[:2]
    for place in ("a.jsonl:3: ", "line 4: ", "line 7: ", "--skip-bad-lines"):
        assert place in err
    out, err = run(*words, stdin=text, code=1)
    assert records(out) == found[:2]
    assert "standard input:3: " in err
    assert "--skip-bad-lines" in err


def rows_of_json(task):
    """The rows as objects: choices in a list."""
    return [
        {"question": r["question"], "choices": [r["choice0"], r["choice1"]], "id": 1}
        if "choice0" in r
        else r
        for r in TABLES[task]
    ]


def test_bad_rows_of_a_table_keep_their_places(outputs, tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b'id,text\n1,so good\n2,a,b\n\n3,"so\nbad"\n4,"open\n5,\n6,\xff\n7,so good\n')
    words = ["predict", outputs / "text-classification", "--input", file, "--skip-bad-lines"]
    found = records(run(*words)[0])
    assert [r.get("id") for r in found] == ["1", None, None, "3", None, "5", None, "7"]
    reasons = ["", "got 3 fields", "blank", "", "a quote opens", "no 'text'", "not UTF-8", ""]
    assert all(reason in r.get("error", "") for reason, r in zip(reasons, found))
    assert [bool(r.get("error")) for r in found] == [bool(reason) for reason in reasons]
    run(*words, "--output", tmp_path / "out.csv")
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [bool(r["error"]) for r in table] == [bool(reason) for reason in reasons]


def test_what_the_model_cannot_take_is_a_bad_line(outputs, monkeypatch):
    """The tokenizer, or the task, refuses one text of a batch."""
    kind = KINDS["text-classification"]
    encode = kind.encode

    def refuse(self, examples, *, labelled):
        if any("rain" in e.text for e in examples):
            raise DataError("a character that the tokenizer has not")
        return encode(self, examples, labelled=labelled)

    monkeypatch.setattr(kind, "encode", refuse)
    words = ["predict", outputs / "text-classification", "--skip-bad-lines"]
    found = records(run(*words, stdin="so good\nso rain\nso bad\n")[0])
    assert [r["label"] is None for r in found] == [False, True, False]
    assert "the tokenizer has not" in found[1]["error"]
    out, err = run(*words[:-1], stdin="so good\nso rain\nso bad\n", code=1)
    assert records(out) == found[:1]
    assert "standard input:2: a character" in err


def test_top_k_labels_of_a_classifier(outputs, tmp_path):
    words = ["predict", outputs / "text-classification", "so good"]
    [plain], [found] = records(run(*words)[0]), records(run(*words, "--top-k", 3)[0])
    assert found["top_k"][0]["label"] == plain["label"] == found["label"]
    assert sorted(one["label"] for one in found["top_k"]) == ["neg", "pos"]
    ask = pf.pipeline(None, outputs / "text-classification")
    assert ask("so good", top_k=3) == found["top_k"]
    _, err = run("predict", outputs / "translation", "a x", "--top-k", 3, code=2)
    assert "top_k" in err or "--top-k" in err


def test_more_bad_lines_than_a_message_holds(outputs, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "so good"}\n' + "{\n" * 30)
    words = ["predict", outputs / "text-classification", "--input", tmp_path / "a.jsonl"]
    _, err = run(*words, code=1)
    assert "line 21: " in err
    assert "line 22: " not in err
    assert "and 10 more" in err
    assert len(err.splitlines()) == 1


def test_texts_that_look_like_headers_are_texts(outputs):
    words = ["predict", outputs / "text-classification"]
    assert len(records(run(*words, stdin="text, of course\nso good\n")[0])) == 2
    assert len(records(run(*words, stdin="the text\nso good\n")[0])) == 2
    assert len(records(run(*words, stdin="text\nso good\n")[0])) == 1


def test_gold_labels_come_back_and_do_not_matter(outputs):
    rows = '{"text": "so good", "label": 0.5, "error": 1}\n{"text": "so bad", "label": ["a"]}\n'
    found = records(run("predict", outputs / "text-classification", stdin=rows)[0])
    assert [r["given_label"] for r in found] == [0.5, ["a"]]
    assert found[0]["given_error"] == 1
    assert all(isinstance(r["label"], str) for r in found)


def test_blank_and_broken_texts_of_the_command_line(outputs):
    words = ["predict", outputs / "text-classification", "so good", " ", "{x", "so bad"]
    found = records(run(*words, "--skip-bad-lines")[0])
    assert [r["label"] is None for r in found] == [False, True, True, False]
    out, err = run(*words, code=1)
    assert len(records(out)) == 2
    assert "TEXT:3: begins like an object" in err


def test_a_row_of_a_table_is_answered_before_the_next_is_in(outputs):
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "predict", str(outputs / "text-classification")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        process.stdin.write("id,text\n")
        for i, text in enumerate(("so good", "so bad", "truly good")):
            process.stdin.write(f'{i},"{text}"\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == str(i)
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_a_name_that_an_answer_has_costs_no_column(outputs, tmp_path):
    """Answers asked again: what was given before keeps its name."""
    text = "text,label,given_label,error,given_error\nso good,1,2,3,4\n"
    words = ["predict", outputs / "text-classification"]
    [record] = records(run(*words, stdin=text)[0])
    names = ["given_given_label", "given_label", "given_given_error", "given_error"]
    assert [record[name] for name in names] == list("1234")
    run(*words, "--output", tmp_path / "out.csv", stdin=text)
    header, row = csv.reader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert header == ["text", *names, "label", "score", "error"]
    assert row[1:5] == list("1234")


def test_half_a_character_is_written_escaped(outputs, tmp_path):
    rows = '{"text": "so good", "q": "\\ud800"}\n{"text": "\\ud800"}\n'
    words = ["predict", outputs / "text-classification", "--skip-bad-lines"]
    found = records(run(*words, stdin=rows)[0])
    assert [found[0]["q"], found[1]["text"]] == ["\ud800"] * 2
    for name in ("out.csv", "out.txt", "out.jsonl"):
        run(*words, "--output", tmp_path / name, stdin=rows)
    assert records((tmp_path / "out.jsonl").read_text()) == found
    assert "so good,\\ud800," in (tmp_path / "out.csv").read_text()


@pytest.mark.parametrize(
    ("task", "text", "kind"),
    [
        ("text-classification", '[{"text": "so good"}]', "an array"),
        ("question-answering", '[ {"question": "who ?"}]', "an array"),
        ("dialogue", '{\n  "text": "so good"\n}', "one value over several lines"),
    ],
)
def test_json_that_is_no_lines_is_no_text(outputs, task, text, kind):
    _, err = run("predict", outputs / task, stdin=text, code=1)
    assert f"is JSON, {kind}; expected one JSON object a line" in err


def test_texts_may_begin_with_a_bracket(outputs):
    found = records(run("predict", outputs / "text-classification", stdin="[so] good\n[\n")[0])
    assert [r["text"] for r in found] == ["[so] good", "["]


def test_turns_of_users_are_lines_too(outputs):
    found = records(run("predict", outputs / "dialogue", stdin="I am Ann\n\nI am Bob\n")[0])
    assert [r["messages"] and r["messages"][0]["content"] for r in found] == [
        "I am Ann", None, "I am Bob",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("redirection", "words"),
    [
        ("<&-", "standard input: is closed; name a file"),
        ("'so good' >&-", "standard output is closed; give --output"),
    ],
)
def test_closed_streams_are_one_line(outputs, redirection, words):
    command = f'"$0" -c "$1" predict "$2" {redirection}'
    given = [sys.executable, MAIN, str(outputs / "text-classification")]
    result = subprocess.run(["sh", "-c", command, *given], capture_output=True, text=True)
    assert result.returncode == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_encoding_without_a_character_gets_it_escaped(outputs):
    given = [sys.executable, "-c", MAIN, "predict", str(outputs / "text-classification"), "\u6771"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(given, capture_output=True, env=env)
    assert records(result.stdout.decode("ascii"))[0]["text"] == "\u6771"


def test_a_file_that_is_read_is_not_written_over(outputs, tmp_path):
    file, link = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_text("text\nso good\n")
    link.symlink_to(file)
    words = ["predict", outputs / "text-classification", "--input"]
    for output in (file, link):
        _, err = run(*words, file, "--output", output, code=2)
        assert "which --input reads; name another file" in err
    command = '"$0" -c "$1" predict "$2" --output "$3" < "$3"'
    given = [sys.executable, MAIN, str(outputs / "text-classification"), str(file)]
    result = subprocess.run(["sh", "-c", command, *given], capture_output=True, text=True)
    assert "which --input reads" in result.stderr
    assert file.read_text() == "text\nso good\n"


@pytest.mark.parametrize(
    ("text", "more"),
    [("", []), ("text\n", []), ("a,b\n1,2\n", []), ("text\n1\n", ["--columns", "txt=a"])],
)
def test_a_mistake_leaves_earlier_answers_as_they_are(outputs, tmp_path, text, more):
    file, output = tmp_path / "a.csv", tmp_path / "out.csv"
    file.write_text(text)
    output.write_text("earlier answers, longer than the new ones, which replace them whole\n" * 9)
    words = ["predict", outputs / "text-classification", "--input", file, "--output", output]
    run(*words, *more, code=1)
    run(*words[:-3], tmp_path / "none.csv", "--output", output, code=1)
    assert output.read_text().startswith("earlier answers")
    file.write_text("text\nso good\n")
    run(*words)
    assert output.read_text().startswith("text,label,score,error\nso good,")
    assert "earlier" not in output.read_text()


def test_outputs_by_name(outputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["predict", outputs / "text-classification", "so good", "--output"]
    assert len(records(run(*words, "-")[0])) == 1
    for name in ("a.xlsx", "a.parquet"):
        _, err = run(*words, name, code=2)
        assert f"{name}: name a .csv" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"PK\x03\x04\x14", "is an archive; unpack it"),
        (b"PAR1\x15", "is in Parquet; name the file"),
        (b"\x28\xb5\x2f\xfd", "is compressed"),
        (b"\x1f\x8b\x08", "is compressed"),
    ],
)
def test_files_of_other_programs_are_told(outputs, begin, message):
    _, err = run("predict", outputs / "text-classification", stdin=begin, code=1)
    assert message in err


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_labelled_tables_on_standard_input_are_evaluated(outputs, delimiter):
    rows = [["id", "text", "label"], ["1", "so good", "pos"], ["2", "so bad", "neg"]]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    words = ["evaluate", outputs / "text-classification", "--json", "--data"]
    assert json.loads(run(*words, "-", stdin=text)[0])["examples"] == 2


def test_plain_text_has_a_line_for_each_line_in_its_order(tmp_path):
    tune("translation", tmp_path / "out", eval_strategy="no", max_steps=4)
    lines = ["a x", "", "b y", "   ", "", "c z", "a x", ""]
    answers = {}
    for text in filter(str.strip, lines):
        out = run("predict", tmp_path / "out", text, "--format", "text")[0]
        assert out.count("\n") == 1
        answers[text] = out.rstrip("\n")
    wanted = "".join(f"{answers.get(line, '')}\n" for line in lines)
    given = "".join(f"{line}\n" for line in lines)
    (tmp_path / "in.txt").write_text(given)
    for size in (1, 3, 32):
        flags = ["--format", "text", "--batch-size", size]
        assert run("predict", tmp_path / "out", *flags, stdin=given)[0] == wanted
    for name in ("a.txt", "b.jsonl"):
        flags = ["--format", "text"] if name == "b.jsonl" else []
        file = tmp_path / name
        run("predict", tmp_path / "out", "--input", tmp_path / "in.txt", "--output", file, *flags)
        assert file.read_text() == wanted
    table = run("predict", tmp_path / "out", "a x", "--format", "csv")[0]
    assert table.splitlines()[0].startswith("source,translation_text")

"""Bad labelled data: one clear line with file, line number and what was expected."""

import json
import logging

import pytest

from plainformer.data import read_examples
from plainformer.errors import DataError

from .test_formats import jsonl, question, squad, write

TEXT = jsonl({"text": "a", "label": "x"})
CLASSIFY = "text-classification"
NER = "token-classification"
QA = "question-answering"
CHOICE = jsonl({"question": "It", "choices": ["a", "b"], "label": 1})
TURN = {"role": "user", "content": "Hi"}
PAIR = {"question": "Q", "context": "Anna."}

# name: (task, file name, content, line, message)
BAD = {
    # files
    "empty": (CLASSIFY, "a.jsonl", b"", None, "is empty"),
    "blank": (CLASSIFY, "a.csv", b"\n \r\n", None, "is empty"),
    "only a mark": (CLASSIFY, "a.jsonl", b"\xef\xbb\xbf", None, "is empty"),
    "utf-16": (CLASSIFY, "a.csv", "text,label\na,x\n".encode("utf-16")[:-1], 2, "not utf-16"),
    "a picture": (
        CLASSIFY,
        "a.png",
        b"\x89PNG\r\n\x1a\n",
        None,
        "in no format of text.*JSONL",
    ),
    "plain text": (CLASSIFY, "a.txt", "a\n", None, "expected JSONL .* or CSV or TSV"),
    "a table of questions": (QA, "a.csv", "a,b\n", None, "expected JSONL .* or SQuAD JSON"),
    "a table of tokens": (NER, "a.csv", "a,b\n", None, "expected JSONL .*, CoNLL columns or"),
    "an array": (CLASSIFY, "a.json", "[\n]", 1, "JSON, an array; expected one JSON object a line"),
    "pretty": (CLASSIFY, "a.json", '{\n"text": "a"}', 1, "JSON, one value over several lines"),
    "header only": (CLASSIFY, "a.csv", "text,label\n", None, "holds no examples"),
    "one text file": ("translation", "a.de", "ein Satz\n", None, "two text files"),
    # lines
    "not utf-8": (
        CLASSIFY,
        "a.jsonl",
        TEXT.encode() + b'{"text": "\xff"}',
        2,
        "byte 0xff at column 11",
    ),
    "table not utf-8": (CLASSIFY, "a.csv", b"text,label\na,x\n\xff,y\n", 3, "not UTF-8: byte 0xff"),
    "columns not utf-8": (NER, "a.conll", b"a\tO\n\xffb\tO\n", 2, "not UTF-8: byte 0xff"),
    "squad not utf-8": (QA, "a.json", b'{"data": [\n"\xff"]}', 2, "not UTF-8: byte 0xff"),
    "not json": (CLASSIFY, "a.jsonl", TEXT + "{\n", 2, "not JSON: .*; expected one JSON object"),
    "deep": (CLASSIFY, "a.jsonl", TEXT + "[" * 100_000, 2, "not JSON"),
    "long number": (CLASSIFY, "a.jsonl", TEXT + "1" * 10_000, 2, "not JSON"),
    "a list": (CLASSIFY, "a.jsonl", TEXT + "[1]\n", 2, "got a JSON list, expected an object"),
    "half a character": (CLASSIFY, "a.jsonl", '{"text": "\\ud800", "label": 1}', 1, "half a char"),
    # fields
    "no label": (
        CLASSIFY,
        "a.jsonl",
        TEXT + jsonl({"text": "a"}),
        2,
        "no 'label'; expected text, label",
    ),
    "null label": (CLASSIFY, "a.jsonl", jsonl({"text": "a", "label": None}), 1, "no 'label'"),
    "infinite label": (CLASSIFY, "a.jsonl", '{"text": "a", "label": Infinity}\n', 1, "got inf"),
    "label twice": (
        CLASSIFY,
        "a.jsonl",
        jsonl({"text": "a", "label": ["x", "x"]}),
        1,
        "expected each label once",
    ),
    "object label": (CLASSIFY, "a.jsonl", jsonl({"text": "a", "label": {}}), 1, "label: got {}"),
    "empty label": (CLASSIFY, "a.csv", "text,label\na,\n", 2, "label is empty"),
    "empty text": (CLASSIFY, "a.jsonl", jsonl({"text": " ", "label": 1}), 1, "'text' is empty"),
    "text a number": (CLASSIFY, "a.jsonl", jsonl({"text": 3, "label": 1}), 1, "'text': got 3"),
    "two kinds": (
        CLASSIFY,
        "a.jsonl",
        TEXT + jsonl({"text": "a", "label": 1}),
        2,
        r"label '1' is a number, expected text as the first label \('x'\)",
    ),
    "booleans among numbers": (
        CLASSIFY,
        "a.jsonl",
        jsonl({"text": "a", "label": 1}, {"text": "a", "label": True}),
        2,
        "label 'true' is true or false, expected a number",
    ),
    # tables
    "no column": (CLASSIFY, "a.csv", "text,b\n1,2\n", 1, "no column 'label' in the header"),
    "few fields": (CLASSIFY, "a.csv", "text,label\na\n", 2, "got 1 fields, expected 2"),
    "many fields": (CLASSIFY, "a.tsv", "text\tlabel\na\tb\tc\n", 2, "got 3 fields, expected 2"),
    "open quote": (CLASSIFY, "a.csv", 'text,label\n"a,b\n', 2, "not a row"),
    "bad header": (CLASSIFY, "a.csv", '"a"b,c\n', 1, "not a row"),
    "carriage return": (CLASSIFY, "a.csv", "text\rlabel\na,b\n", 1, "not a row"),
    # tags
    "I- after O": (
        NER,
        "a.conll",
        "Anna\tB-PER\n\nin\tO\nBonn\tI-LOC\n",
        4,
        "word 2 .'Bonn'.: I-LOC after O: an entity must begin with B-.*tag_scheme='IOB1'",
    ),
    "I- of another type": (NER, "a.conll", "a B-X\nb I-Y\n", 2, "I-Y after B-X"),
    "I- first": (NER, "a.conll", "a I-X\n", 1, "I-X after the beginning"),
    "not ended": (NER, "a.conll", "a S-X\n\na B-X\nb O\n", 4, "O after B-X: in IOBES"),
    "not ended by the end": (NER, "a.conll", "a S-X\n\na O\nb B-X\n", 4, "the end after B-X"),
    "no tag": (NER, "a.conll", "a B-X\nb I-X\n\nc PER\n", 4, "tag 'PER': expected O"),
    "other scheme": (NER, "a.conll", "a B-X\n\n" * 1000 + "b S-X\n", 2001, "B-, I- as in IOB2"),
    "tags a line": (
        NER,
        "a.jsonl",
        jsonl({"tokens": ["a", "b"], "tags": ["O", "I-X"]}),
        1,
        "word 2 .'b'.: I-X after O",
    ),
    "one column": (NER, "a.conll", "a\n", 1, "got 1 column .'a'., expected a token and its tag"),
    "returns": (NER, "a.conll", "a\tO\rb\tO\r\rc\tO\r", 1, "a carriage return inside the line"),
    "other columns": (NER, "a.conll", "a x O\nb O\n", 2, "got 2 columns, expected 3"),
    "empty token": (NER, "a.conll", " \tO\n", 1, "got an empty token"),
    "fewer tags": (
        NER,
        "a.jsonl",
        jsonl({"tokens": ["a"], "tags": []}),
        1,
        "'tags': expected a list",
    ),
    "more tags": (
        NER,
        "a.jsonl",
        jsonl({"tokens": ["a"], "tags": ["O", "O"]}),
        1,
        "got 1 tokens and 2 tags",
    ),
    "tokens a string": (NER, "a.jsonl", jsonl({"tokens": "a", "tags": "O"}), 1, "expected a list"),
    "tag a number": (NER, "a.jsonl", jsonl({"tokens": ["a"], "tags": [1]}), 1, "tags are numbers"),
    # relations
    "no markers": (
        "relation-extraction",
        "a.jsonl",
        TEXT,
        1,
        "the markers <e1></e1> and <e2></e2> once each, .* or 'head' and 'tail' spans; got none",
    ),
    "crossing markers": (
        "relation-extraction",
        "a.jsonl",
        jsonl({"text": "<e1>a<e2>b</e1>c</e2>", "label": "x"}),
        1,
        "got <e1> <e2> </e1> </e2>",
    ),
    "empty entity": (
        "relation-extraction",
        "a.jsonl",
        jsonl({"text": "<e1> </e1><e2>b</e2>", "label": "x"}),
        1,
        "an entity without text",
    ),
    "no tail": (
        "relation-extraction",
        "a.jsonl",
        jsonl({"text": "a b", "head": [0, 1], "label": "x"}),
        1,
        "'tail': got nothing, expected .start, end.",
    ),
    "head outside": (
        "relation-extraction",
        "a.jsonl",
        jsonl({"text": "a b", "head": [0, 9], "tail": [2, 3], "label": "x"}),
        1,
        r"'head': \[0, 9\] is not inside the text's 3 characters",
    ),
    "overlap": (
        "relation-extraction",
        "a.jsonl",
        jsonl({"text": "a b", "head": [0, 3], "tail": [2, 3], "label": "x"}),
        1,
        r"head \(0, 3\) and tail \(2, 3\) overlap",
    ),
    # questions
    "answer elsewhere": (
        QA,
        "a.json",
        squad(question("q1", ("Anna", 0)), question("q2", ("Bonn", 3))),
        20,
        r"data\[0\].paragraphs\[0\].qas\[1\]: answer 'Bonn' is not at character 3 of the context "
        r"\('a li' is\); it is at 14",
    ),
    "answer nowhere": (
        QA,
        "a.json",
        squad(question("q", ("Köln", 0))),
        10,
        "nor anywhere else in it",
    ),
    "answer before": (QA, "a.json", squad(question("q", ("Anna", -1))), 10, "not at character -1"),
    "no place": (QA, "a.json", squad(question("q", ("Anna", None))), 10, "answer_start is nothing"),
    "empty answer": (QA, "a.json", squad(question("q", ("", 0))), 10, "answer is empty"),
    "no answer": (QA, "a.json", squad(question("q")), 10, "no answers; expected .* is_impossible"),
    "both": (
        QA,
        "a.json",
        squad(question("q", ("Anna", 0), is_impossible=True), version="v2.0"),
        10,
        "is_impossible, yet it has answers",
    ),
    "id twice": (QA, "a.json", squad(*[question("q", ("Anna", 0))] * 2), 10, "id 'q' occurs twice"),
    "no data": (QA, "a.json", '{\n"x": []}', None, "an object with a list 'data'"),
    "squad not json": (QA, "a.json", '{"data": [\n', None, "not JSON"),
    "no paragraphs": (QA, "a.json", '{"data": [{}]}', None, r"data\[0\]: .* a list 'paragraphs'"),
    "no questions": (
        QA,
        "a.json",
        json.dumps({"data": [{"paragraphs": [{"context": "c"}]}]}),
        None,
        r"data\[0\].paragraphs\[0\]: expected an object with a list 'qas'",
    ),
    "no object": (QA, "a.json", squad(1), None, r"qas\[0\]: expected an object"),
    "no context": (QA, "a.json", squad(question("q", ("a", 0)), context=None), 10, "no 'context'"),
    "answers a string": (
        QA,
        "a.jsonl",
        jsonl({**PAIR, "answers": "Anna"}),
        1,
        "answers: got 'Anna'",
    ),
    "answers of one length": (
        QA,
        "a.jsonl",
        jsonl({**PAIR, "answers": {"text": ["a"], "answer_start": []}}),
        1,
        "answers: got",
    ),
    # choices
    "three choices": (
        "multiple-choice",
        "a.jsonl",
        CHOICE + jsonl({"question": "It", "choices": ["a", "b", "c"], "label": 1}),
        2,
        "got 3 choices, expected 2 as in the first example",
    ),
    "one choice": (
        "multiple-choice",
        "a.jsonl",
        jsonl({"question": "It", "choices": ["a"], "label": 0}),
        1,
        "'choices': expected a list of 2 choices or more",
    ),
    "no such choice": (
        "multiple-choice",
        "a.jsonl",
        jsonl({"question": "It", "choices": ["a", "b"], "label": 2}),
        1,
        "label: got 2, expected the right choice's index, 0 to 1",
    ),
    "a letter": (
        "multiple-choice",
        "a.jsonl",
        jsonl({"question": "It", "choices": ["a", "b"], "label": "A"}),
        1,
        "label: got 'A'",
    ),
    "empty choice": (
        "multiple-choice",
        "a.jsonl",
        jsonl({"question": "It", "choices": ["a", ""], "label": 0}),
        1,
        "choice 1 is empty",
    ),
    # pairs, dialogues
    "no target": ("translation", "a.jsonl", jsonl({"source": "a"}), 1, "no 'target'"),
    "empty summary": (
        "summarization",
        "a.jsonl",
        jsonl({"document": "a", "summary": ""}),
        1,
        "'summary' is empty",
    ),
    "no messages": (
        "dialogue",
        "a.jsonl",
        jsonl({"messages": []}),
        1,
        "expected a list of objects",
    ),
    "no assistant": (
        "dialogue",
        "a.jsonl",
        jsonl({"messages": [TURN]}),
        1,
        "no turn of the ass",
    ),
    "odd role": (
        "dialogue",
        "a.jsonl",
        jsonl({"messages": [TURN, {"role": "bot", "content": "Hi"}]}),
        1,
        "message 1: role 'bot', expected one of system, user, assistant, tool",
    ),
    "late system": (
        "dialogue",
        "a.jsonl",
        jsonl({"messages": [TURN, {"role": "system", "content": "Hi"}]}),
        1,
        "message 1: role 'system', expected as the first message only",
    ),
    "no content": (
        "dialogue",
        "a.jsonl",
        jsonl({"messages": [{"role": "user"}]}),
        1,
        "message 0 con",
    ),
    "message a string": ("dialogue", "a.jsonl", jsonl({"messages": ["Hi"]}), 1, "message 0: role"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_file_and_line(tmp_path, name):
    task, file, content, line, message = BAD[name]
    path = write(tmp_path / file, content)
    with pytest.raises(DataError, match=message) as error:
        read_examples(path, task)
    assert (error.value.file, error.value.line) == (str(path), line)
    assert str(error.value).count(str(path)) == 1
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


SKIPPED = {
    # name: (task, file name, content, skipped, lines of the examples left)
    "jsonl": (CLASSIFY, "a.jsonl", TEXT.encode() + b"{\n\xff\n[]\n\n" + TEXT.encode(), 3, [1, 6]),
    "csv": (CLASSIFY, "a.csv", b'text,label\na,x\nb\n"\xff\n",y\n\xff,z\nc,x\n', 4, [2, 7]),
    "conll": (NER, "a.conll", b"a O\n\nb O\nc I-X\nd O\n\ne\n\n\xff O\nf O\n\ng O\n", 3, [1, 12]),
    "squad": (QA, "a.json", squad(question("a", ("Anna", 9)), question("b", ("Anna", 0))), 1, [20]),
    "choices": ("multiple-choice", "a.jsonl", jsonl({"question": "It"}) + CHOICE, 1, [2]),
}


ALONG = {"csv": 1}  # lines counted without a message: a quoted text's, whose other line is bad


@pytest.mark.parametrize("name", SKIPPED)
def test_bad_lines_are_skipped_counted_and_named(tmp_path, caplog, name):
    task, file, content, skipped, lines = SKIPPED[name]
    with caplog.at_level(logging.INFO, "plainformer"):
        examples = read_examples(write(tmp_path / file, content), task, skip_bad_lines=True)
    assert [example.line for example in examples] == lines
    assert examples.skipped == skipped
    assert len(examples.bad_lines) == skipped - ALONG.get(name, 0)
    assert all(f"skipped: {told}" in caplog.text for told in examples.bad_lines)
    plural = "s" * (skipped != 1)
    assert f"{len(lines)} example" in caplog.text
    assert f"{skipped} bad line{plural} skipped" in caplog.text


def test_of_many_bad_lines_all_are_counted_and_the_first_kept(tmp_path):
    path = write(tmp_path / "a.jsonl", "{\n" * 50 + TEXT)
    examples = read_examples(path, CLASSIFY, skip_bad_lines=True)
    assert (examples.skipped, len(examples.bad_lines)) == (50, 20)


def test_no_good_line_at_all(tmp_path):
    path = write(tmp_path / "a.jsonl", "{\n[]\n")
    with pytest.raises(DataError, match="holds no examples, 2 bad lines skipped") as error:
        read_examples(path, CLASSIFY, skip_bad_lines=True)
    assert error.value.file == str(path)


@pytest.mark.parametrize(("a", "b", "longer"), [("1\n2\n3\n", "1\n2\n", 0), ("1\n", "1\n\n", 1)])
def test_pairs_that_cannot_belong_together(tmp_path, a, b, longer):
    """Not even with skip_bad_lines: it is not known which line is missing."""
    files = [write(tmp_path / "a.de", a), write(tmp_path / "a.en", b)]
    with pytest.raises(DataError, match="ends before it; expected as many lines in both") as error:
        read_examples(files, "translation", skip_bad_lines=True)
    assert error.value.file == str(files[longer])
    assert error.value.line == min(a.count("\n"), b.count("\n")) + 1


def test_bad_pairs_are_skipped_on_both_sides(tmp_path):
    files = [write(tmp_path / "a", b"1\n\xff\n\n4\n"), write(tmp_path / "b", b"1\n2\n3\n4\n")]
    examples = read_examples(files, "translation", skip_bad_lines=True)
    assert [(e.source, e.target, e.line) for e in examples] == [("1", "1", 1), ("4", "4", 4)]
    assert examples.skipped == 2
    with pytest.raises(DataError, match="'source' is empty") as error:
        read_examples(
            [write(tmp_path / "a", "1\n\n"), write(tmp_path / "b", "1\n2\n")], "translation"
        )
    assert error.value.line == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": 0}, "label is 'label', others are positions"),
        ({"text": 0, "label": 5}, "label is column 5, but the row has 2"),
        ({"text": "body"}, "no column 'body' in the header"),
    ],
)
def test_bad_columns_of_a_table_are_named(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        read_examples(write(tmp_path / "a.csv", "text,label\na,x\n"), CLASSIFY, columns=columns)


def test_bad_columns_of_conll_are_named(tmp_path):
    path = write(tmp_path / "a.conll", "a x O\n")
    with pytest.raises(DataError, match="tags 3 asked for, but it has 3"):
        read_examples(path, NER, columns={"tags": 3})
    with pytest.raises(DataError, match="got 3 columns and no tag in the last"):
        read_examples(write(path, "some plain words\n"), NER, labelled=False)


def test_unreadable_files(tmp_path):
    with pytest.raises(DataError, match="is a directory; name its files") as error:
        read_examples(tmp_path, CLASSIFY)
    assert error.value.file == str(tmp_path)


def test_language_modeling_counts_bad_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{\n')
    assert read_examples(path, "language-modeling", skip_bad_lines=True).skipped == 1
    with pytest.raises(DataError, match="not JSON") as error:
        read_examples(path, "language-modeling")
    assert error.value.line == 2

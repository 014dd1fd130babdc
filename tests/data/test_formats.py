"""Labelled data in every format: what comes out, and that nothing is lost on the way."""

import dataclasses
import io
import json
import sys
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plainformer.data import read_examples
from plainformer.data.examples import (
    FIELDS,
    Answer,
    ChoiceExample,
    DialogueExample,
    Message,
    PairExample,
    QuestionExample,
    RelationExample,
    SimilarityExample,
    TextExample,
    TokenExample,
    task_name,
)
from plainformer.errors import ConfigError, DataError
from plainformer.tasks.requests import Requests


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def jsonl(*objects):
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in objects)


def squad(*questions, version="1.1", context="Anna lives in Bonn."):
    """SQuAD's JSON over several lines: the first question's id is on line 10."""
    paragraph = {"context": context, "qas": list(questions)}
    return json.dumps({"version": version, "data": [{"paragraphs": [paragraph]}]}, indent=1)


def question(identity, *answers, **more):
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": identity, "question": "Who?", "answers": found, **more}


MARKED = "The <e1>child</e1> was in a <e2> cradle </e2>."
PLAIN = "The child was in a  cradle ."
TEXTS = [TextExample("a b", "x"), TextExample("ç", "y")]
NUMBERS = [TextExample("a b", "1"), TextExample("ç", "0")]
SENTENCES = [TokenExample(["EU", "said"], ["B-ORG", "O"]), TokenExample(["Bonn"], ["B-LOC"])]
PAIRS = [PairExample("ein Satz", "a sentence"), PairExample("zwei", "two")]
CHOICES = [ChoiceExample("It", ["a", "b", "c"], 2)]
WHO = QuestionExample("Who?", "Anna lives in Bonn.", [Answer("Anna", 0)], "q1")

# name: (task, file name, content, options, examples, format)
GOOD = {
    "jsonl": (
        "text-classification",
        "a.jsonl",
        jsonl({"text": "a b", "label": "x", "id": 1}, {"text": "ç", "label": "y"}),
        {},
        TEXTS,
        "JSONL (text, label)",
    ),
    "jsonl with integers": (
        "text-classification",
        "a.json",
        jsonl({"text": "a b", "label": 1}, {"text": "ç", "label": 0}),
        {},
        NUMBERS,
        "JSONL (text, label)",
    ),
    "jsonl with other names": (
        "text-classification",
        "a.jsonl",
        jsonl({"review": "a b", "stars": "x"}, {"review": "ç", "stars": "y"}),
        {"columns": {"text": "review", "label": "stars"}},
        TEXTS,
        "JSONL (text from review, label from stars)",
    ),
    "jsonl without labels": (
        "text-classification",
        "a.jsonl",
        jsonl({"text": "a b"}, {"text": "ç", "label": None}),
        {"labelled": False},
        [TextExample("a b"), TextExample("ç")],
        "JSONL (text)",
    ),
    "csv": (
        "text-classification",
        "a.csv",
        'Label,n,Text\nx,1,"a b"\n\ny,2,ç\n',
        {},
        TEXTS,
        "CSV (text, label)",
    ),
    "csv with semicolons": (
        "text-classification",
        "a.csv",
        "text;label\na b;x\nç;y\n",
        {},
        TEXTS,
        "CSV parted by semicolons (text, label)",
    ),
    "csv by position": (
        "text-classification",
        "a.csv",
        "1,a b\n0,ç\n",
        {"columns": {"text": -1, "label": 0}},
        NUMBERS,
        "CSV (text from column -1, label from column 0)",
    ),
    "tsv without a header": (
        "text-classification",
        "a.tsv",
        "x\ta b\ny\tç\nx\td\n",
        {},
        [*TEXTS, TextExample("d", "x")],
        "TSV (text, label)",
    ),
    "tab separated text": (
        "text-classification",
        "train.txt",
        "text\tlabel\na b\tx\nç\ty\n",
        {},
        TEXTS,
        "table parted by tabs (text, label)",
    ),
    "a text a line": (
        "text-classification",
        "a.txt",
        "a b\n\nç",
        {"labelled": False},
        [TextExample("a b"), TextExample("ç")],
        "text (text)",
    ),
    "a text with a tab a line": (
        "text-classification",
        "a.txt",
        "a\tb\n{c\n",
        {"labelled": False},
        [TextExample("a\tb"), TextExample("{c")],
        "text (text)",
    ),
    "conll": (
        "token-classification",
        "a.conll",
        "-DOCSTART-\tO\n\nEU\tB-ORG\nsaid\tO\n\n\nBonn\tB-LOC",
        {},
        SENTENCES,
        "CoNLL columns, tags IOB2",
    ),
    "conll of four columns": (
        "ner",
        "eng.train",
        "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nsaid VBD I-VP O\n\nBonn NNP I-NP B-LOC\n",
        {},
        SENTENCES,
        "CoNLL columns, tags IOB2",
    ),
    "another column": (
        "ner",
        "a.txt",
        "EU NNP B-ORG\nsaid VBD O\n\nBonn NNP B-LOC\n",
        {"columns": {"tags": 1}},
        [TokenExample(["EU", "said"], ["NNP", "VBD"]), TokenExample(["Bonn"], ["NNP"])],
        "CoNLL columns",
    ),
    "iob1": (
        "ner",
        "a.bio",
        "EU\tI-ORG\nsaid\tO\n\nBonn\tI-LOC\n",
        {"tag_scheme": "IOB1"},
        SENTENCES,
        "CoNLL columns, tags IOB1",
    ),
    "iobes": (
        "ner",
        "a.bio",
        "New\tB-LOC\nYork\tE-LOC\n\nBonn\tS-LOC\n",
        {},
        [TokenExample(["New", "York"], ["B-LOC", "E-LOC"]), TokenExample(["Bonn"], ["S-LOC"])],
        "CoNLL columns, tags IOBES",
    ),
    "tokens a line": (
        "ner",
        "a.txt",
        "EU\nsaid\n\nBonn\n",
        {"labelled": False},
        [TokenExample(["EU", "said"]), TokenExample(["Bonn"])],
        "CoNLL columns",
    ),
    "white space of other scripts and line ends of Unicode are tokens": (
        "ner",
        "a.conll",
        "\u00a0 O\n\u3000\tO\na\u2028b\u0085\x1c O\n\u2003 O\n\n\x0b O\n",
        {},
        [
            TokenExample(["\u00a0", "\u3000", "a\u2028b\u0085\x1c", "\u2003"], ["O"] * 4),
            TokenExample(["\x0b"], ["O"]),
        ],
        "CoNLL columns",
    ),
    "odd tokens": (
        "ner",
        "a.conll",
        "{\tO\n[ \tO\n\ufeff#\tO\na b\tO\n",
        {},
        [TokenExample(["{", "[ ", "\ufeff#", "a b"], ["O"] * 4)],
        "CoNLL columns",
    ),
    "jsonl with tags": (
        "ner",
        "a.jsonl",
        jsonl(
            {"tokens": ["EU", "said"], "tags": ["B-ORG", "O"]},
            {"tokens": ["Bonn"], "tags": ["B-LOC"]},
        ),
        {},
        SENTENCES,
        "JSONL (tokens, tags), tags IOB2",
    ),
    "markers": (
        "relation-extraction",
        "a.jsonl",
        jsonl({"text": MARKED, "label": "In(e1,e2)"}),
        {},
        [RelationExample(PLAIN, (4, 9), (20, 26), "In(e1,e2)")],
        "JSONL (text, label)",
    ),
    "markers the other way round": (
        "relation-extraction",
        "a.csv",
        'text,label\n"<e2>a</e2>, <e1>b</e1>",In\n',
        {},
        [RelationExample("a, b", (3, 4), (0, 1), "In")],
        "CSV (text, label)",
    ),
    "head and tail": (
        "relation-extraction",
        "a.jsonl",
        jsonl(
            {
                "text": "a, b",
                "head": [3, 4],
                "tail": {"start": 0, "end": 1, "type": "T"},
                "head_type": "H",
                "label": "In",
            }
        ),
        {},
        [RelationExample("a, b", (3, 4), (0, 1), "In", "H", "T")],
        "JSONL (text, label)",
    ),
    "squad": (
        "question-answering",
        "a.json",
        squad(question("q1", ("Anna", 0)), question("q2", ("Bonn", 14), ("in Bonn", 11))),
        {},
        [
            WHO,
            QuestionExample(
                "Who?", "Anna lives in Bonn.", [Answer("Bonn", 14), Answer("in Bonn", 11)], "q2"
            ),
        ],
        "SQuAD JSON",
    ),
    "squad 2.0": (
        "question-answering",
        "a.json",
        squad(question("q1", ("Anna", 0)), question("q2", is_impossible=True), version="v2.0"),
        {},
        [WHO, QuestionExample("Who?", "Anna lives in Bonn.", [], "q2")],
        "SQuAD JSON",
    ),
    "questions a line": (
        "question-answering",
        "a.jsonl",
        jsonl(
            {
                "id": "q1",
                "question": "Who?",
                "context": "Anna lives in Bonn.",
                "answers": {"text": ["Anna"], "answer_start": [0]},
            },
            {"question": "Who?", "context": "Nobody.", "answers": []},
        ),
        {},
        [WHO, QuestionExample("Who?", "Nobody.", [])],
        "JSONL (question, context, answers)",
    ),
    "questions without answers": (
        "question-answering",
        "a.json",
        squad({"question": "Who?", "id": "q1"}),
        {"labelled": False},
        [QuestionExample("Who?", "Anna lives in Bonn.", None, "q1")],
        "SQuAD JSON",
    ),
    "texts to make vectors of": (
        "feature-extraction",
        "a.txt",
        "a b\nç\n",
        {"labelled": False},
        [TextExample("a b"), TextExample("ç")],
        "text (text)",
    ),
    "texts that are alike": (
        "sentence-similarity",
        "a.csv",
        "sentence1,sentence2,score\na b,b a,4.5\na,ç,0\n",
        {},
        [SimilarityExample("a b", "b a", 4.5), SimilarityExample("a", "ç", 0.0)],
        "CSV (text from sentence1, text_pair from sentence2)",
    ),
    "triplets": (
        "sentence-similarity",
        "a.jsonl",
        jsonl({"anchor": "a b", "positive": "b a", "negative": "ç"}),
        {},
        [SimilarityExample("a b", "b a", None, "ç")],
        "JSONL (text from anchor, text_pair from positive)",
    ),
    "choices": (
        "multiple-choice",
        "a.jsonl",
        jsonl({"question": "It", "choices": ["a", "b", "c"], "label": 2}),
        {},
        CHOICES,
        "JSONL (question, choices, label)",
    ),
    "choices in numbered columns": (
        "multiple-choice",
        "a.csv",
        "question,choice2,choice10,choice1,label\nIt,b,c,a,2\n",
        {},
        CHOICES,
        "CSV (question, choices, label)",
    ),
    "choices in named columns": (
        "multiple-choice",
        "a.csv",
        "start,one,two,three,label\nIt,a,b,c,2\n",
        {"columns": {"question": "start", "choices": ["one", "two", "three"]}},
        CHOICES,
        "CSV (question from start, choices from one and two and three, label)",
    ),
    "choices by position": (
        "multiple-choice",
        "a.tsv",
        "It\ta\tb\tc\t2\n",
        {"columns": {"question": 0, "choices": [1, 2, 3], "label": 4}},
        CHOICES,
        "TSV (question from column 0, choices from column 1 and column 2 and column 3, "
        "label from column 4)",
    ),
    "pairs": (
        "translation",
        "a.jsonl",
        jsonl({"source": "ein Satz", "target": "a sentence"}, {"source": "zwei", "target": "two"}),
        {},
        PAIRS,
        "JSONL (source, target)",
    ),
    "pairs by position": (
        "translation",
        "a.tsv",
        "a sentence\tein Satz\tCC\ntwo\tzwei\tCC\n",
        {"columns": {"source": 1, "target": 0}},
        PAIRS,
        "TSV (source from column 1, target from column 0)",
    ),
    "summaries": (
        "summarization",
        "a.jsonl",
        jsonl({"document": "a\nb", "summary": "c"}),
        {},
        [PairExample("a\nb", "c")],
        "JSONL (document, summary)",
    ),
    "texts for texts": (
        "text2text-generation",
        "a.jsonl",
        jsonl({"source": "a", "target": "b"}),
        {},
        [PairExample("a", "b")],
        "JSONL (source, target)",
    ),
    "dialogue": (
        "dialogue",
        "a.jsonl",
        jsonl(
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Hello"},
                ]
            }
        ),
        {},
        [
            DialogueExample(
                [
                    Message("system", "Be brief."),
                    Message("user", "Hi"),
                    Message("assistant", "Hello"),
                ]
            )
        ],
        "JSONL (messages)",
    ),
    "texts with labels": (
        "language-modeling",
        "a.jsonl",
        jsonl({"text": "one", "label": 1}, {"text": "two"}),
        {},
        [TextExample("one", "1"), TextExample("two")],
        "JSONL (text, label)",
    ),
    "texts with labels in a table": (
        "language-modeling",
        "a.csv",
        'kind,text\ngood,"one, two"\nbad,three\n',
        {"columns": {"label": "kind"}},
        [TextExample("one, two", "good"), TextExample("three", "bad")],
        "CSV (text, label from kind)",
    ),
    "text with masks": (
        "fill-mask",
        "a.txt",
        "one\ntwo\n",
        {},
        [TextExample("one\ntwo\n")],
        "text",
    ),
    "text": (
        "language-modeling",
        "a.txt",
        "one\ntwo\n",
        {},
        [TextExample("one\ntwo\n")],
        "text",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_formats(tmp_path, name):
    task, file, content, options, expected, told = GOOD[name]
    examples = read_examples(write(tmp_path / file, content), task, **options)
    assert list(examples) == expected
    assert examples.format == told
    assert (len(examples), examples.skipped) == (len(expected), 0)
    assert examples.source == (str(tmp_path / file),)
    assert examples.task == task_name(task)
    assert examples[0].file == str(tmp_path / file)


LINES = [name for name in GOOD if GOOD[name][5] != "text"]  # plain text keeps its line ends


@pytest.mark.parametrize("name", LINES)
def test_byte_order_marks_and_windows_line_ends_change_nothing(tmp_path, name):
    task, file, content, options, expected, told = GOOD[name]
    data = b"\xef\xbb\xbf" + content.encode().replace(b"\n", b"\r\n")
    examples = read_examples(write(tmp_path / file, data), task, **options)
    assert list(examples) == expected
    assert examples.format == told


# Tables that only a file's name tells from text.
HEADERLESS = ("csv by position",)


@pytest.mark.parametrize("name", [n for n in LINES if GOOD[n][0] != "language-modeling"])
def test_standard_input_is_read_like_a_file(monkeypatch, name):
    task, _, content, options, expected, _ = GOOD[name]
    data = io.TextIOWrapper(io.BytesIO(content.encode()))
    monkeypatch.setattr(sys, "stdin", data)
    if name in HEADERLESS:
        with pytest.raises(DataError, match=r"standard input: is in no format"):
            read_examples("-", task, **options)
    else:
        assert list(read_examples("-", task, **options)) == expected
    assert not data.closed


def test_every_task_has_a_format():
    assert {task_name(task) for task, *_ in GOOD.values()} == set(FIELDS)


def test_two_text_files_are_one_set_of_pairs(tmp_path):
    source = write(tmp_path / "a.de", "ein Satz\n\nzwei\r\n")
    target = write(tmp_path / "a.en", b"\xef\xbb\xbfa sentence\r\n\r\ntwo")
    examples = read_examples([source, target], "translation")
    assert list(examples) == PAIRS
    assert examples.ignored == {"blank lines": 1}
    assert [example.line for example in examples] == [1, 3]
    assert examples.format == f"text, line by line with {target}"
    one = read_examples(source, "translation", labelled=False)
    assert list(one) == [PairExample("ein Satz"), PairExample("zwei")]


def test_several_files_and_globs(tmp_path):
    for name in ("b", "a"):
        write(tmp_path / f"{name}.jsonl", jsonl({"text": name, "label": name}))
    write(tmp_path / "c.csv", "text,label\nc,c\n")
    examples = read_examples([tmp_path / "*.jsonl", tmp_path / "c.csv"], "text-classification")
    assert [example.text for example in examples] == ["a", "b", "c"]
    assert examples.format == "JSONL (text, label); CSV (text, label)"
    twice = read_examples([tmp_path / "c.csv", tmp_path / "c.csv"], "text-classification")
    assert len(twice) == 1


def test_lines_are_those_of_the_file(tmp_path):
    table = write(tmp_path / "a.csv", 'text,label\n\n"a\n\nb",x\nc,y\n\nd,z\n')
    examples = read_examples(table, "text-classification")
    assert [(e.text, e.line) for e in examples] == [("a\n\nb", 3), ("c", 6), ("d", 8)]
    assert examples.ignored == {"blank lines": 2}
    pretty = write(
        tmp_path / "a.json", squad(question("q1", ("Anna", 0)), question("q2", ("Bonn", 14)))
    )
    lines = pretty.read_text().splitlines()
    for example in read_examples(pretty, "question-answering"):
        assert f'"id": "{example.id}"' in lines[example.line - 1]
    columns = write(tmp_path / "a.conll", "-DOCSTART- O\n\na O\nb O\n\nc O\n")
    assert [e.line for e in read_examples(columns, "ner")] == [3, 6]


def test_a_first_row_that_may_be_a_header_is_not_taken_for_an_example(tmp_path):
    for rows in ("headline,topic\na,x\nb,y\nc,x\n", "a,x\nb,y\n", "a,x,1\nb,x,1\n"):
        with pytest.raises(DataError, match="say with `columns` which hold text, label"):
            read_examples(write(tmp_path / "a.csv", rows), "text-classification")


def test_what_is_left_out_is_counted(tmp_path):
    data = jsonl({"text": "a", "label": "x"}) + "{\n\n"
    found = read_examples(
        write(tmp_path / "a.jsonl", data), "text-classification", skip_bad_lines=True
    )
    assert [example.text for example in found] == ["a"]
    assert (found.skipped, found.ignored) == (1, {"blank lines": 1})
    (told,) = found.bad_lines
    assert told.startswith(f"{tmp_path / 'a.jsonl'}:2: not JSON")


def test_records_take_no_memory_a_line(tmp_path):
    """8 MB of lines, a fraction of it in memory, in each format that is read line by line."""
    text = "word " * 200
    many = {
        ("text-classification", "a.jsonl"): jsonl({"text": text, "label": "x"}) * 8000,
        ("text-classification", "a.csv"): "text,label\n" + f"{text},x\n" * 8000,
        ("translation", "a.tsv"): "source\ttarget\n" + f"{text}\tx\n" * 8000,
    }
    for (task, name), content in many.items():
        path = str(write(tmp_path / name, content))
        assert sum(1 for _ in Requests(task, path)) == 8000
        tracemalloc.start()
        for _ in Requests(task, path):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < len(content) / 3, name


def test_an_error_closes_the_file(tmp_path, recwarn):
    path = write(tmp_path / "a.jsonl", jsonl({"text": "a", "label": "x"}) * 9 + "{")
    with pytest.raises(DataError, match="not JSON"):
        read_examples(path, "text-classification")
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]


def test_bad_options_are_named(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl({"text": "a", "label": "x"}))
    with pytest.raises(ConfigError, match="task: got 'text-clasification'; did you mean text-cl"):
        read_examples(path, "text-clasification")
    with pytest.raises(ConfigError, match="task: got 'zzz'; expected one of text-classification"):
        read_examples(path, "zzz")
    with pytest.raises(ConfigError, match="columns: got 'body', expected one of text, label"):
        read_examples(path, "text-classification", columns={"body": "text"})
    for columns in ({"label": "text"}, {"text": 0, "label": 0}):
        with pytest.raises(ConfigError, match=r"columns: .* are both ('text'|0); name another"):
            read_examples(path, "text-classification", columns=columns)
    with pytest.raises(ConfigError, match="tag_scheme: got 'BIO', expected one of IOB2"):
        read_examples(path, "ner", tag_scheme="BIO")
    with pytest.raises(DataError, match="paths: got none"):
        read_examples([], "ner")
    with pytest.raises(DataError, match="no such file, and no file matches it"):
        read_examples(tmp_path / "none.*", "ner")
    with pytest.raises(DataError, match="name a file"):
        read_examples("-", "language-modeling")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0")).filter(str.strip)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_any_text_survives_jsonl(tmp_path, pairs):
    content = jsonl(*({"source": a, "target": b} for a, b in pairs))
    examples = read_examples(write(tmp_path / "a.jsonl", content), "translation")
    assert list(examples) == [PairExample(a, b) for a, b in pairs]


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200),
    st.sampled_from(["", "text,label\n", '{"text": "a", "label": "b"}\n', '{"data": [']),
    st.sampled_from(["a.txt", "a.jsonl", "a.json", "a.csv", "a.tsv", "a.conll"]),
    st.sampled_from(sorted(FIELDS)),
    st.booleans(),
)
def test_random_bytes_are_read_or_a_data_error(tmp_path, data, start, name, task, labelled):
    path = write(tmp_path / name, start.encode() + data)
    for skip in (False, True):
        found = examples_or_error(path, task, skip_bad_lines=skip, labelled=labelled)
        if isinstance(found, DataError):
            assert found.file == str(path)
        else:
            assert len(found) > 0


def examples_or_error(*args, **kw):
    try:
        return read_examples(*args, **kw)
    except DataError as error:
        return error


def test_a_long_text_is_one_example(tmp_path, monkeypatch):
    monkeypatch.setattr("plainformer.data.records.source.BLOCK", 16)
    text = "one two three\n" * 20
    path = write(tmp_path / "a.py", text)
    assert list(read_examples(path, "language-modeling")) == [TextExample(text)]


def test_files_without_text_are_left_out_where_that_is_asked_for(tmp_path):
    write(tmp_path / "a.py", "")
    write(tmp_path / "b.py", "x = 1\n")
    found = read_examples(tmp_path / "*.py", "language-modeling", skip_bad_lines=True)
    assert [example.text for example in found] == ["x = 1\n"]
    with pytest.raises(DataError, match=r"a.py: holds no text"):
        read_examples(tmp_path / "*.py", "language-modeling")
    with pytest.raises(DataError, match=r"a.py: holds no examples"):
        read_examples(tmp_path / "a.py", "language-modeling", skip_bad_lines=True)


def test_labels_of_texts_are_checked(tmp_path):
    path = write(
        tmp_path / "a.jsonl", jsonl({"text": "a", "label": "x"}, {"text": "b", "label": 1})
    )
    with pytest.raises(DataError, match="label '1' is a number, expected text") as error:
        read_examples(path, "language-modeling")
    assert error.value.line == 2
    lists = write(tmp_path / "b.jsonl", jsonl({"text": "a", "label": ["x"]}))  # no label of a text
    assert list(read_examples(lists, "language-modeling")) == [TextExample("a")]


def test_a_directory_of_texts_is_read_file_by_file(tmp_path):
    write(tmp_path / "b.txt", "one\n")
    write(tmp_path / "a.jsonl", jsonl({"text": "two", "label": "x"}))
    found = read_examples(tmp_path, "language-modeling")
    assert [(e.text, e.label) for e in found] == [("two", "x"), ("one\n", None)]
    assert found.format == "JSONL (text, label); text"


@pytest.mark.parametrize("task", FIELDS)
def test_what_a_task_says_of_its_fields_is_what_its_examples_have(task):
    """Every field is of one kind, and an example has a place for each that is not written anew."""
    fields = FIELDS[task]
    assert len(set(fields.names)) == len(fields.names)
    assert set(fields.asked) == {*fields.given, *fields.more, *filter(None, [fields.other])}
    assert fields.alone in (*fields.given, fields.other, "")
    own = {f.name for f in dataclasses.fields(fields.example)} - {"file", "line"}
    own -= {"text_pair"} if task == "language-modeling" else set()  # which classifiers alone have
    if task in ("feature-extraction", "fill-mask"):  # these neither
        own -= {"text_pair", "label"}
    own -= {"spans"} if task == "token-classification" else set()  # where its words are in a text
    if fields.example is PairExample:  # whose words differ by task
        assert (len(fields.given), len(fields.gold)) == (1, 1)
    else:
        assert own == {*fields.given, *fields.gold, *fields.more}

"""Rows of CSV and TSV: every line is read or counted, whatever its quotes do."""

import csv
import io
import random
import threading

import pytest

from plainformer.data import read_examples
from plainformer.data.records.rows import CSV, TSV, RowError, table_rows
from plainformer.data.text import Documents
from plainformer.errors import DataError

CLASSIFY = "text-classification"


def rows(text, delimiter=CSV):
    """(first line, last line, fields or None) of each row."""
    found = table_rows(io.StringIO(text, newline="\n"), delimiter)
    return [(r.line, r.last_line, r.fields if isinstance(r.fields, list) else None) for r in found]


def texts(path, **options):
    examples = read_examples(path, CLASSIFY, **options)
    return [(e.text, e.label) for e in examples], examples.skipped


@pytest.mark.parametrize("seed", range(20))
def test_what_python_reads_is_read_alike(seed):
    """Random rows, the csv module the measure; where it finds an error, no line is lost."""
    rng = random.Random(seed)
    for _ in range(300):
        text = "".join(rng.choice('ab,""\n\r') for _ in range(rng.randint(1, 14)))
        lines = list(io.StringIO(text, newline="\n"))
        found = list(table_rows(lines, CSV))
        spans = [line for row in found for line in range(row.line, row.last_line + 1)]
        assert spans == list(range(1, len(lines) + 1)), repr(text)
        try:
            wanted = [row for row in csv.reader(lines, strict=True) if row]
        except csv.Error:
            assert any(isinstance(row.fields, RowError) for row in found), repr(text)
        else:
            assert [row.fields for row in found if row.fields] == wanted, repr(text)


@pytest.mark.parametrize("place", [0, 57, 100])
@pytest.mark.parametrize(
    "broken", ['"open,pos', 'x,"open', '"open, pos\t', '"open,""pos', '"closed"badly,pos']
)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_quote_that_does_not_close_costs_its_line(tmp_path, place, broken, quoted):
    good = [f'"text {i}, it is",pos' if quoted else f"text {i},neg" for i in range(101)]
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["text,label", *good[:place], broken, *good[place:]]) + "\n")
    found, skipped = texts(file, skip_bad_lines=True)
    assert (len(found), skipped) == (101, 1)
    with pytest.raises(DataError, match=f"a.csv:{place + 2}: not a row: a quote"):
        texts(file)


def test_texts_for_language_models_lose_no_row_either(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text\n"open\n' + "".join(f"text {i}\n" for i in range(101)))
    documents = Documents(file, skip_bad_lines=True)
    assert len(list(documents)) == 101
    assert documents.skipped == 1


def test_a_text_over_several_lines_is_one_cell(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text,label\n"one\n\n""two"", \nthree",pos\nfour,neg\n')
    assert texts(file) == ([('one\n\n"two", \nthree', "pos"), ("four", "neg")], 0)


def test_all_lines_of_a_bad_row_are_counted(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text,label\n"one\ntwo\nthree",pos,more\nfour,neg\n')
    assert texts(file, skip_bad_lines=True) == ([("four", "neg")], 3)
    with pytest.raises(DataError, match=r"a.csv:2: got 3 fields, .*the row goes to line 4"):
        texts(file)
    file.write_bytes(b'text,label\n"one\n\xff\nthree",pos\nfour,neg\n')
    assert texts(file, skip_bad_lines=True) == ([("four", "neg")], 3)


TABLE = [
    ["text", "label"],
    ["plain", "a"],
    ["a\ttab", "a"],
    ['"quoted" at first', "b"],
    ["two\nlines", "b"],
    ['a "quote" inside', "a"],
    ["three\n\nlines, \"and\" a\ttab", "b"],
    ['"', "a"],
]  # fmt: skip


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [CSV, TSV, ";"])
def test_a_table_as_excel_and_pandas_write_it(delimiter, end, swapped):
    table = [row[::-1] for row in TABLE] if swapped else TABLE
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(table)
    found = [r.fields for r in table_rows(io.StringIO(out.getvalue(), newline="\n"), delimiter)]
    assert found == table


def test_plain_quotes_between_tabs_are_text():
    plain = 'text\tlabel\n"Hello, she said\ta\nand "so" on"\tb\n"Well" he said\ta\n6" long\tb\n'
    assert [row[2] for row in rows(plain, TSV)] == [
        ["text", "label"], ['"Hello, she said', "a"], ['and "so" on"', "b"],
        ['"Well" he said', "a"], ['6" long', "b"],
    ]  # fmt: skip


def test_quotes_that_never_close_take_linear_time():
    """Each line opens a cell that would go on to the end of the file."""
    lines = ['x","\n'] * 20_000
    found = list(table_rows(lines, CSV))
    assert len(found) == 20_000
    assert sum(isinstance(row.fields, RowError) for row in found) == 20_000


def test_long_cells_are_read_and_the_csv_module_stays_as_it_is(tmp_path):
    limit, seen = csv.field_size_limit(), set()
    file = tmp_path / "a.csv"
    file.write_text("text,label\n" + f'"{"word " * 100_000}",pos\nso,neg\n' * 3)
    done = threading.Event()

    def watch():
        while not done.is_set():
            seen.add(csv.field_size_limit())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found, _ = texts(file)
    finally:
        done.set()
        watcher.join()
    assert len(found[0][0]) == 500_000
    assert seen == {limit}


def test_old_line_ends_are_named(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,label\na,x\rb,y\n")
    with pytest.raises(DataError, match=r"a.csv:2: not a row: a carriage return"):
        texts(file)


def test_spans_and_choices_may_be_json_in_a_cell(tmp_path):
    relations = tmp_path / "a.csv"
    relations.write_text('text,head,tail,label\nAnn saw Bob,"[0, 3]",Bob,knows\n')
    [example] = read_examples(relations, "relation-extraction")
    assert (example.head, example.tail) == ((0, 3), (8, 11))
    choices = tmp_path / "b.csv"
    choices.write_text('question,choices,label\nrain is,"[""wet"", ""dry""]",0\n')
    [example] = read_examples(choices, "multiple-choice")
    assert (example.choices, example.label) == (["wet", "dry"], 0)

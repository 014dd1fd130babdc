"""Files as people have them: packed, in any encoding, parted by any sign, workbooks, Parquet."""

import bz2
import gzip
import importlib
import json
import lzma

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from plainformer.data import Documents, PairExample, TextExample, TokenExample, read_examples
from plainformer.errors import ConfigError, DataError

CLASSIFY = "text-classification"
ROWS = [("ein schönes Buch", "gut"), ("zu lang, zu müde", "schlecht"), ('ja | nein; "so"', "gut")]
WANTED = [TextExample(text, label) for text, label in ROWS]


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"'


def table(delimiter=",", header=("text", "label")):
    lines = [delimiter.join(map(quoted, row)) for row in (*([header] if header else []), *ROWS)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


@pytest.mark.parametrize("header", [("text", "label"), None], ids=["header", "none"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_recognised_and_told(write, delimiter, name, header):
    columns = None if header else {"text": 0, "label": 1}
    if name == "a.txt" and not header:
        name = "a.csv"
    found = read_examples(write(name, table(delimiter, header)), CLASSIFY, columns=columns)
    assert list(found) == WANTED
    word = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
    usual = name == "a.csv" and delimiter == ","
    assert (f"parted by {word}" in found.format) is not usual


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8"]
)
def test_any_encoding_is_read(write, encoding):
    path = write("a.csv", table(";").encode(encoding))
    assert list(read_examples(path, CLASSIFY, encoding=encoding)) == WANTED
    if encoding in ("utf-16", "utf-32"):  # their mark says it
        assert list(read_examples(path, CLASSIFY)) == WANTED
    assert [d.text for d in Documents(path, encoding=encoding)] == [text for text, _ in ROWS]


@pytest.mark.parametrize("text", ["屋里很安静", "Мир и покой"])
def test_texts_longer_than_a_block_come_whole(write, text):
    encoding = "gb18030"
    lines = "\n".join([text] * 9000)
    [*parts] = Documents(write("a.txt", lines.encode(encoding)), encoding=encoding)
    assert "".join(part.text for part in parts) == lines


def test_a_file_that_is_not_utf8_is_told_an_encoding(write):
    path = write("a.csv", table().encode("cp1252"))
    with pytest.raises(
        DataError, match=r"a.csv:2: not UTF-8: byte 0xf6 .*say its encoding, perhaps"
    ):
        read_examples(path, CLASSIFY)


def test_without_charset_normalizer_the_usual_ones_are_named(write, monkeypatch):
    without(monkeypatch, "charset_normalizer")
    with pytest.raises(DataError, match=r"say its encoding .cp1252 for Western Windows"):
        read_examples(write("a.csv", table().encode("cp1252")), CLASSIFY)


def test_another_encoding_than_the_files_is_an_error_with_its_line(write):
    path = write("a.csv", table().encode("cp1252"))
    with pytest.raises(DataError, match=r"a.csv:2: not ascii: ordinal not in range"):
        read_examples(path, CLASSIFY, encoding="ascii")
    with pytest.raises(
        ConfigError, match="encoding: got 'base64', expected the name of an encoding"
    ):
        read_examples(path, CLASSIFY, encoding="base64")


@pytest.mark.parametrize(
    ("end", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_files_are_unpacked(write, end, pack):
    path = write(f"a.csv{end}", pack(table().encode()))
    found = read_examples(path, CLASSIFY)
    assert list(found) == WANTED
    assert found.format == "CSV (text, label)"
    whole = pack(table().encode() * 50)
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(write(f"b.csv{end}", whole[: len(whole) // 2]), CLASSIFY)


def test_globs_find_packed_files_beside_others(write, tmp_path):
    write("1.csv", table())
    write("2.csv.gz", gzip.compress(table().encode()))
    assert list(read_examples(f"{tmp_path}/*.csv*", CLASSIFY)) == WANTED * 2


def workbook(path, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_a_workbooks_first_sheet_is_a_table(tmp_path):
    rows = [("label", "text"), *((label, text) for text, label in ROWS), (None, None)]
    found = read_examples(workbook(tmp_path / "a.xlsx", rows), CLASSIFY)
    assert list(found) == WANTED
    assert found.format == "workbook (text, label)"
    numbers = read_examples(
        workbook(tmp_path / "n.xlsx", [("Review", "Stars"), ("so so\nlong", 3.0), ("good", 5)]),
        CLASSIFY,
        columns={"text": "Review", "label": "Stars"},
    )
    assert list(numbers) == [TextExample("so so\nlong", "3"), TextExample("good", "5")]
    assert numbers.format == "workbook (text from Review, label from Stars)"


def parquet(path, columns, features=None):
    table = pyarrow.table(columns)
    if features:
        told = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": told})
    pyarrow.parquet.write_table(table, path)
    return path


def test_parquet_has_rows_and_the_names_of_its_labels(tmp_path):
    texts, labels = zip(*ROWS)
    plain = parquet(tmp_path / "a.parquet", {"text": texts, "label": labels})
    assert list(read_examples(plain, CLASSIFY)) == WANTED
    names = {"label": {"names": ["gut", "schlecht"], "_type": "ClassLabel"}}
    numbers = {"text": texts, "label": [0, 1, 0]}
    assert list(read_examples(parquet(tmp_path / "b.parquet", numbers, names), CLASSIFY)) == WANTED


TOKENS = [["Ann", "saw", "Rome"], ["it", "rained"]]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
NAMED = [TokenExample(TOKENS[0], ["B-PER", "O", "B-LOC"]), TokenExample(TOKENS[1], ["O", "O"])]


def test_tags_that_are_numbers_have_names(write, tmp_path):
    lines = '{"tokens": ["Ann", "saw", "Rome"], "ner_tags": [1, 0, 3]}\n'
    lines += '{"tokens": ["it", "rained"], "ner_tags": [0, 0]}\n'
    path = write("a.jsonl", lines)
    assert list(read_examples(path, "ner", label_names=TAGS)) == NAMED
    with pytest.raises(DataError, match=r"a.jsonl:1: tags are numbers; say .* with label_names"):
        read_examples(path, "ner")
    with pytest.raises(DataError, match=r"a.jsonl:1: label 3: expected 0 to 2, see label_names"):
        read_examples(path, "ner", label_names=TAGS[:3])
    columns = {"tokens": TOKENS, "ner_tags": [[1, 0, 3], [0, 0]]}
    for features in ({"feature": {"names": TAGS}}, {"names": TAGS}):
        file = parquet(tmp_path / "a.parquet", columns, {"ner_tags": features})
        assert list(read_examples(file, "ner")) == NAMED


def test_nested_translations_have_languages_for_names(write):
    path = write("a.jsonl", '{"translation": {"de": "ja", "en": "yes"}}\n')
    found = read_examples(path, "translation")
    assert list(found) == [PairExample("ja", "yes")]
    assert found.format == "JSONL (source from de, target from en)"
    turned = read_examples(path, "translation", columns={"source": "en", "target": "de"})
    assert list(turned) == [PairExample("yes", "ja")]


TMX = """<?xml version="1.0" encoding="{encoding}"?>
<tmx version="1.4"><header srclang="de-DE" segtype="sentence"/><body>
<tu><tuv xml:lang="en-GB"><seg>yes</seg></tuv><tuv xml:lang="de-DE"><seg>schön</seg></tuv></tu>
<tu><tuv xml:lang="de-DE"><seg>ein <hi>gutes</hi><ph>x</ph> Buch</seg></tuv>
<tuv xml:lang="en-GB"><seg>a good book</seg></tuv></tu></body></tmx>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_translation_memories_are_read(write, encoding):
    path = write("a.tmx", TMX.format(encoding=encoding).encode(encoding))
    wanted = [PairExample("schön", "yes"), PairExample("ein gutes Buch", "a good book")]
    found = read_examples(path, "translation")
    assert list(found) == wanted
    assert found.format == "TMX (source from de, target from en)"


def test_a_memory_that_is_no_xml_is_an_error_with_its_line(write):
    with pytest.raises(DataError, match=r"a.tmx:2: not TMX: .*line 2"):
        read_examples(write("a.tmx", "<tmx>\n<body></tu></tmx>"), "translation")


def without(monkeypatch, *packages):
    real = importlib.import_module

    def missing(name, package=None):
        if name.partition(".")[0] in packages:
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)


def test_what_reads_a_workbook_or_parquet_is_named(tmp_path, monkeypatch):
    book = workbook(tmp_path / "a.xlsx", [("text", "label"), ("a", "b")])
    columns = parquet(tmp_path / "a.parquet", {"text": ["a"], "label": ["b"]})
    without(monkeypatch, "openpyxl", "pyarrow")
    for path, package in ((book, "openpyxl"), (columns, "pyarrow")):
        with pytest.raises(DataError, match=rf"{package} reads: pip install 'plainformer.tables.'"):
            read_examples(path, CLASSIFY)


def test_a_damaged_workbook_or_parquet_is_one_error(write):
    for name, data in (("a.xlsx", b"PK\x03\x04abc"), ("a.parquet", b"PAR1abc")):
        with pytest.raises(DataError, match=f"{name}: cannot be read as"):
            read_examples(write(name, data), CLASSIFY)

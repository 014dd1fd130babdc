"""Texts with entities at offsets: every tool's shape, what is named, what becomes of bad spans."""

import json
import logging
import sys

import pytest

from plainformer.data import TokenExample, examples_of, read_examples
from plainformer.errors import ConfigError, DataError
from plainformer.tasks.requests import Requests

TEXT = "Ann Lee met the United Nations in 东京🙂 town"
SPANS = [(0, 7, "PER"), (16, 30, "ORG"), (34, 36, "LOC")]
TAGS = {"Ann": "B-PER", "Lee": "I-PER", "United": "B-ORG", "Nations": "I-ORG", "东": "B-LOC",
        "京": "I-LOC"}  # fmt: skip
LISTS = [list(span) for span in SPANS]
OBJECTS = [{"start": s, "end": e, "label": k} for s, e, k in SPANS]


def region(start, end, kind, **more):
    value = {"start": start, "end": end, "text": TEXT[start:end], "labels": [kind]}
    return {"from_name": "label", "to_name": "text", "type": "labels", "value": value, **more}


RESULT = [region(*span) for span in SPANS]
MIN = [region(*span)["value"] for span in SPANS]
TASK = {"id": 1, "data": {"text": TEXT}, "annotations": [{"id": 1, "result": RESULT}]}
OFFSETS = [{"id": i, "start_offset": s, "end_offset": e, "label": k}
           for i, (s, e, k) in enumerate(SPANS)]  # fmt: skip
SHAPES = {
    "objects": {"text": TEXT, "entities": OBJECTS},
    "lists": {"text": TEXT, "entities": LISTS},
    "types": {"text": TEXT, "entities": [{"start": s, "end": e, "type": k} for s, e, k in SPANS]},
    "own": {"text": TEXT, "entities": [
        {"entity_group": k, "score": 0.5, "word": TEXT[s:e], "start": s, "end": e}
        for s, e, k in SPANS]},
    "doccano": {"id": 3, "text": TEXT, "label": LISTS, "Comments": []},
    "doccano, old": {"id": 3, "text": TEXT, "labels": LISTS},
    "doccano, relations": {"id": 3, "text": TEXT, "entities": OFFSETS, "relations": []},
    "label studio": TASK,
    "label studio, min": {"text": TEXT, "id": 1, "label": MIN, "annotator": 1},
    "label studio, min, another name": {"text": TEXT, "ner": MIN, "annotator": 1},
    "label studio, predictions": {"data": {"text": TEXT}, "predictions": [{"result": RESULT}]},
    "label studio, cancelled": {**TASK, "annotations": [
        {"was_cancelled": True, "result": []}, {"result": RESULT}]},
    "label studio, truth": {**TASK, "annotations": [
        {"result": RESULT[:1]}, {"result": RESULT, "ground_truth": True}]},
    "label studio, other regions": {**TASK, "annotations": [{"result": [
        *RESULT, {"type": "relation", "from_id": "a", "to_id": "b"},
        {"type": "choices", "value": {"choices": ["x"]}}]}]},
    "label studio, another text": {**TASK, "data": {"body": TEXT}},
    "spacy": [TEXT, {"entities": LISTS}],
    "spacy, to_json": {"text": TEXT, "ents": OBJECTS, "tokens": [{"id": 0, "start": 0, "end": 3}]},
    "prodigy": {"text": TEXT, "spans": OBJECTS, "answer": "accept"},
}  # fmt: skip
FILES = {
    "lines": ("a.jsonl", lambda v: json.dumps(v) + "\n" + json.dumps(v, ensure_ascii=False) + "\n"),
    "array": ("a.json", lambda v: json.dumps([v, v])),
    "pretty array": ("a.json", lambda v: json.dumps([v, v], indent=2)),
    "an array without a name": ("a", lambda v: json.dumps([v, v], indent=1)),
    "list in an object": ("a.json", lambda v: json.dumps({"classes": [], "annotations": [v, v]})),
}  # fmt: skip


def wanted(example):
    assert dict(zip(example.tokens, example.tags)) == {t: TAGS.get(t, "O") for t in example.tokens}
    assert example.text == TEXT
    assert [TEXT[a:b] for a, b in example.spans] == example.tokens


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_every_file_is_the_same_example(tmp_path, shape, form):
    name, write = FILES[form]
    path = tmp_path / name
    path.write_text(write(SHAPES[shape]), encoding="utf-8")
    examples = read_examples(path, "ner")
    assert len(examples) == 2
    for example in examples:
        wanted(example)
    unlabelled = read_examples(path, "ner", labelled=False)
    assert [e.tags for e in unlabelled] == [None, None]
    assert [e.text for e in unlabelled] == [TEXT, TEXT]
    requests = list(Requests("token-classification", str(path)))
    assert [r.example.text for r in requests] == [TEXT, TEXT]


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_in_memory_are_read_alike(shape):
    value = SHAPES[shape]
    value = tuple(value) if isinstance(value, list) else value
    [example] = examples_of([value], "ner")
    wanted(example)


def test_lines_of_an_array_are_told(tmp_path):
    path = tmp_path / "a.json"
    rows = [SHAPES["spacy"], [TEXT, {"entities": [[0, 99, "PER"]]}]]
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    with pytest.raises(DataError, match=r"a.json:3: entity \[0, 99, 'PER'\] is not inside the"):
        read_examples(path, "ner")
    assert len(read_examples(path, "ner", skip_bad_lines=True)) == 1
    path.write_text("[\n" + json.dumps(rows[0]) + ",\n{\n]")
    with pytest.raises(DataError, match=r"a.json:4: not JSON"):
        read_examples(path, "ner")


BAD = {
    "not numbers": ([["0", 3, "PER"]], "expected whole numbers"),
    "backwards": ([[3, 0, "PER"]], "not inside"),
    "below": ([[-1, 3, "PER"]], "not inside"),
    "blank": ([[3, 4, "PER"]], "white space alone"),
    "no label": ([{"start": 0, "end": 3}], "the label of entity"),
    "two labels": ([{"start": 0, "end": 3, "labels": ["A", "B"]}], "got 2 labels, expected one"),
    "another text": ([{"start": 0, "end": 3, "label": "PER", "text": "Bob"}],
                     "'Bob' is not at characters 0 to 3 of the text, 'Ann' is"),
    "no list": ("PER", "expected a list of entities"),
    "no entity": ([5], "entity 5: expected"),
    "overlap": ([[0, 7, "PER"], [4, 11, "ORG"]],
                r"entity 'Ann Lee' \(0 to 7, PER\) and entity 'Lee met' \(4 to 11, ORG\) overlap"),
    "begins inside": ([[1, 3, "PER"]],
                      r"entity 'nn' \(1 to 3, PER\) begins inside the word 'Ann' \(0 to 3\)"),
    "ends inside": ([[0, 6, "PER"]],
                    r"entity 'Ann Le' \(0 to 6, PER\) ends inside the word 'Lee' \(4 to 7\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case):
    entities, message = BAD[case]
    with pytest.raises(DataError, match=message):
        examples_of([{"text": TEXT, "entities": entities}], "ner")


def test_a_text_without_entities_is_told_and_one_that_has_none_is_not():
    with pytest.raises(DataError, match="no 'entities'; expected text, entities"):
        examples_of([{"text": TEXT}], "ner")
    [example] = examples_of([{"text": TEXT, "entities": []}], "ner")
    assert set(example.tags) == {"O"}


TAKEN = {
    "skip": {"Lee": "B-PER"},
    "expand": {"Ann": "B-ORG", "Lee": "I-ORG", "met": "B-LOC", "the": "I-LOC"},
    "contract": {"Lee": "B-ORG", "the": "B-LOC"},
}


@pytest.mark.parametrize("how", TAKEN)
def test_bad_spans_are_left_out_or_moved(how, tmp_path, caplog):
    entities = [[1, 7, "ORG"], [4, 7, "PER"], [10, 15, "LOC"]]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": TEXT, "entities": entities}))
    with caplog.at_level(logging.INFO, "plainformer"):
        examples = read_examples(path, "ner", bad_spans=how)
    found = {w: t for w, t in zip(examples[0].tokens, examples[0].tags) if t != "O"}
    assert found == TAKEN[how]
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    lost = len(entities) - sum(tag.startswith("B-") for tag in found.values())
    assert len(told) == lost == examples.ignored.get("entities left out", 0)
    assert all("a.jsonl:1: entity " in one for one in told)


def test_the_longer_of_two_that_overlap_is_kept():
    rows = [{"text": TEXT, "entities": [[16, 22, "LOC"], [16, 30, "ORG"], [16, 30, "ORG"]]}]
    [example] = examples_of(rows, "ner", bad_spans="skip")
    assert [t for t in example.tags if t != "O"] == ["B-ORG", "I-ORG"]


def test_white_space_around_an_entity_is_left_out():
    [example] = examples_of([{"text": TEXT, "entities": [[7, 12, "X"]]}], "ner")
    assert [w for w, t in zip(example.tokens, example.tags) if t == "B-X"] == ["met"]


def test_offsets_of_a_browser_are_known_by_the_text_that_they_come_with():
    text = "🙂🙂 Ann met Bob"
    rows = [{"text": text, "entities": [{"start": 5, "end": 8, "label": "PER", "text": "Ann"}]}]
    [example] = examples_of(rows, "ner")
    assert [w for w, t in zip(example.tokens, example.tags) if t != "O"] == ["Ann"]


@pytest.mark.parametrize(
    "text", ["Müller-Łódź trifft 李小龙 am 3.", "आन्या दिल्ली में है", "e\u0301te\u0301 à Paris"]
)
def test_offsets_count_code_points_in_any_language(text):
    for start, end in examples_of([{"text": text, "entities": []}], "ner")[0].spans:
        [example] = examples_of([{"text": text, "entities": [[start, end, "X"]]}], "ner")
        [tagged] = [i for i, t in enumerate(example.tags) if t == "B-X"]
        assert example.spans[tagged] == (start, end)


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES", "BILOU"])
def test_tags_are_of_the_scheme_that_is_asked_for(scheme):
    [example] = examples_of([SHAPES["lists"]], "ner", tag_scheme=scheme)
    letters = {"IOB2": "BI", "IOBES": "BE", "BILOU": "BL"}[scheme]
    assert [t[0] for t in example.tags if t != "O"] == list(letters * 3)


def test_names_of_columns_hold_for_texts_and_entities():
    rows = [{"body": TEXT, "marks": LISTS, "label": "x"}]
    [example] = examples_of(rows, "ner", columns={"text": "body", "entities": "marks"})
    wanted(example)


def test_a_task_that_nobody_annotated_is_counted(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([TASK, {"data": {"text": TEXT}, "annotations": []}]))
    examples = read_examples(path, "ner")
    assert len(examples) == 1
    assert examples.ignored == {"text without annotations": 1}


def test_an_unknown_way_is_refused():
    with pytest.raises(ConfigError, match="bad_spans: got 'drop', expected one of error, skip"):
        examples_of([SHAPES["lists"]], "ner", bad_spans="drop")


def test_a_docbin_without_spacy_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    (tmp_path / "a.spacy").write_bytes(b"x\x9c\x03\x00")
    with pytest.raises(DataError, match=r"a.spacy: is a DocBin, .*pip install spacy"):
        read_examples(tmp_path / "a.spacy", "ner")


def test_a_docbin_is_read_by_spacy(tmp_path):
    spacy = pytest.importorskip("spacy")
    doc = spacy.blank("en")(TEXT.replace("🙂", " "))
    doc.ents = [doc.char_span(*span[:2], label=span[2]) for span in SPANS]
    spacy.tokens.DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    [example] = read_examples(tmp_path / "a.spacy", "ner")
    assert isinstance(example, TokenExample)
    assert [TAGS.get(t, "O") for t in example.tokens] == example.tags
    (tmp_path / "a.spacy").write_bytes(b"x\x9c\x03\x00")
    with pytest.raises(DataError, match="cannot be read by spaCy"):
        read_examples(tmp_path / "a.spacy", "ner")

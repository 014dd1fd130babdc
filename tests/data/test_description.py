"""What is shown of a data set before training."""

import pytest

from plainformer.data import describe, read_examples
from plainformer.errors import DataError

from .test_formats import GOOD, jsonl, write


def test_classification(tmp_path):
    rows = [{"text": "word " * n, "label": "xy"[n % 2]} for n in range(1, 101)]
    path = write(tmp_path / "a.jsonl", jsonl(*rows) + "{\n\n")
    found = describe(read_examples(path, "text-classification", skip_bad_lines=True), width=20)
    assert found.labels == {"y": 50, "x": 50}
    assert found.lengths["text", "words"] == (50, 90, 99, 100)
    assert found.lengths["text", "characters"] == (250, 450, 495, 500)
    assert str(found).splitlines() == [
        f"{path}: JSONL (text, label), 100 examples, 1 bad line skipped, 1 blank lines",
        "  y: word",
        "  x: word word",
        "  y: word word word",
        "  2 labels: y 50, x 50",
        "  text, characters: 50 % 250, 90 % 450, 99 % 495, longest 500",
        "  text, words: 50 % 50, 90 % 90, 99 % 99, longest 100",
    ]
    assert (
        describe(read_examples(path, "text-classification", skip_bad_lines=True), first=0).first
        == []
    )


def test_many_labels_and_long_texts(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl(*({"text": "ab" * 99, "label": n} for n in range(20))))
    found = describe(read_examples(path, "text-classification"), width=10)
    assert found.first[0] == "0: abab..."
    assert "20 labels: 0 1, 1 1, " in str(found)
    assert "8 more" in str(found)


FIRST = {
    "conll": "EU/B-ORG said/O",
    "tokens a line": "EU said",
    "markers": "In(e1,e2): [child] [cradle] The child was in a cradle .",
    "squad": "Who? Anna: Anna lives in Bonn.",
    "questions without answers": "Who? : Anna lives in Bonn.",
    "choices": "It a | b | *c",
    "pairs": "ein Satz -> a sentence",
    "dialogue": "system: Be brief. user: Hi assistant: Hello",
    "a text a line": "a b",
    "text": "one two",
}
PARTS = {
    "conll": {"sentence"},
    "markers": {"text"},
    "squad": {"question", "context", "answer"},
    "choices": {"question", "choice"},
    "pairs": {"source", "target"},
    "dialogue": {"dialogue", "turn"},
}


@pytest.mark.parametrize("name", FIRST)
def test_first_examples(tmp_path, name):
    task, file, content, options, expected, told = GOOD[name]
    found = describe(read_examples(write(tmp_path / file, content), task, **options))
    assert found.first[0] == FIRST[name]
    assert (found.format, found.count) == (told, len(expected))
    if name in PARTS:
        assert {part for part, _ in found.lengths} == PARTS[name]


def test_unanswerable_questions_and_labels_of_other_tasks(tmp_path):
    task, file, content, options, *_ = GOOD["squad 2.0"]
    found = describe(read_examples(write(tmp_path / file, content), task, **options))
    assert found.first[1] == "Who? (no answer): Anna lives in Bonn."
    for name, labels in (("conll", {"B-ORG": 1, "O": 1, "B-LOC": 1}), ("choices", {"choice 2": 1})):
        task, file, content, options, *_ = GOOD[name]
        examples = read_examples(write(tmp_path / file, content), task, **options)
        assert describe(examples).labels == labels


def test_no_examples_are_an_error():
    with pytest.raises(DataError, match="examples: got none"):
        describe([])

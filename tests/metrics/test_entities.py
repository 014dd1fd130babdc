"""Entity F1 against seqeval's documented examples; tags, spans and their order.

Examples of seqeval 1.2.2's README and docstrings; the table of odd sequences was made by running
`get_entities` and `Entities(..., scheme)` of that version.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainformer import metrics
from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError
from plainformer.metrics.tags import SCHEMES, Span, check_tags, detect_scheme, spans_of, tags_of

README = (
    [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
    [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
)


def test_readme():
    assert metrics.entity_metrics(references=README[0], predictions=README[1]) == {
        "f1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "macro_f1": 0.5,
        "accuracy": 0.8,
    }
    assert metrics.entity_scores(references=README[0], predictions=README[1]) == {
        "MISC": (0, 0, 0, 1),
        "PER": (1, 1, 1, 1),
    }


def test_f1_docstring():
    references = [["O", "O", "B-MISC", "I-MISC", "B-MISC", "O", "O"], ["B-PER", "I-PER", "O"]]
    predictions = [
        ["O", "O", "B-MISC", "I-MISC", "B-MISC", "I-MISC", "O"],
        ["B-PER", "I-PER", "O"],
    ]
    result = metrics.entity_metrics(predictions=predictions, references=references)
    assert result["f1"] == pytest.approx(2 / 3)
    assert result["macro_f1"] == 0.75
    assert [
        s.f1 for s in metrics.entity_scores(predictions=predictions, references=references).values()
    ] == [0.5, 1.0]


def test_strict_differs_where_readme_says():
    references, predictions = [["B-NP", "I-NP", "O"]], [["I-NP", "I-NP", "O"]]
    assert metrics.entity_metrics(predictions=predictions, references=references)["f1"] == 1.0
    strict = metrics.entity_metrics(
        predictions=predictions, references=references, mode="strict", scheme="IOB2"
    )
    assert strict["f1"] == 0.0
    assert (
        metrics.entity_metrics(predictions=predictions, references=references, mode="strict")
        == strict
    )


# tags: lenient spans, and strict ones of a scheme
ODD = [
    ("B-X I-X O B-Y", "X02 Y34", "IOB2", "X02 Y34"),
    ("I-X I-Y O I-X", "X01 Y12 X34", "IOB2", ""),
    ("B-X I-Y I-Y", "X01 Y13", "IOB2", "X01"),
    ("B-X B-X I-X", "X01 X13", "IOB2", "X01 X13"),
    ("B-X I-X E-X S-Y", "X03 Y34", "IOBES", "X03 Y34"),
    ("B-X I-X O", "X02", "IOBES", ""),
    ("E-X E-X I-X", "X01 X12 X23", "IOBES", ""),
    ("S-X I-X E-X", "X01 X13", "IOBES", "X01"),
    ("I-X B-X I-X", "X01 X13", "IOB1", "X01 X13"),
    ("B-X I-X O", "X02", "IOB1", "X12"),
    ("I-X B-X B-Y", "X01 X12 Y23", "IOB1", "X01"),
    ("B-X L-X U-Y", "X02 Y23", "BILOU", "X02 Y23"),
    ("B-X M-X E-X", "X03", "IOBES", "X03"),
    ("B-X-Y I-X-Y", "X-Y02", "IOB2", "X-Y02"),
    ("B I O S", "02 34", "IOBES", "34"),
]


def spans(text):
    return [Span(item[:-2], int(item[-2]), int(item[-1])) for item in text.split()]


@pytest.mark.parametrize(("tags", "lenient", "scheme", "strict"), ODD, ids=[row[0] for row in ODD])
def test_odd_sequences(tags, lenient, scheme, strict):
    assert spans_of(tags.split()) == spans(lenient)
    assert spans_of(tags.split(), scheme=scheme, strict=True) == spans(strict)


@st.composite
def sentences(draw):
    """(spans, length): entities that do not overlap."""
    found, at = [], 0
    for size in draw(st.lists(st.integers(1, 4), max_size=5)):
        at += draw(st.integers(0, 2))
        found.append(Span(draw(st.sampled_from(["X", "Y", "X-1"])), at, at + size))
        at += size
    return found, at + draw(st.integers(0, 2))


@given(sentences(), st.sampled_from(["IOB2", "IOBES", "BILOU"]))
def test_spans_to_tags_and_back(sentence, scheme):
    entities, length = sentence
    tags = tags_of(entities, length, scheme=scheme)
    assert len(tags) == length
    assert check_tags(tags, scheme) is None
    assert spans_of(tags) == spans_of(tags, scheme=scheme, strict=True) == entities


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y", "E-X", "S-X"]), max_size=8))
def test_strict_and_lenient_agree_on_what_is_in_order(tags):
    scheme = detect_scheme(tags)
    if check_tags(tags, scheme) is None:
        assert spans_of(tags) == spans_of(tags, scheme=scheme, strict=True)


DISORDER = [
    ("O I-X", "IOB2", 1, "I-X after O: an entity must begin with B-.*IOB1"),
    ("I-X", "IOB2", 0, "I-X after the beginning"),
    ("B-X I-Y", "IOB2", 1, "I-Y after B-X"),
    ("B-X E-X", "IOB2", 1, "expected O or one of B-, I- as in IOB2"),
    ("B-X O", "IOBES", 1, "O after B-X: in IOBES an entity of several words must end with E-"),
    ("S-X B-X", "IOBES", 1, "the end after B-X"),
    ("E-X", "IOBES", 0, "E-X after the beginning: an entity must begin"),
    ("B-X B-X", "BILOU", 1, "must end with L-"),
    ("O B-X", "IOB1", 1, "B-X after O: in IOB1"),
    ("I-X B-Y", "IOB1", 1, "B-Y after I-X"),
    ("O PER", "IOB2", 1, "tag 'PER': expected O"),
    ("B-", "IOB2", 0, "tag 'B-': expected O"),
]


@pytest.mark.parametrize(("tags", "scheme", "word", "message"), DISORDER)
def test_disorder_is_named(tags, scheme, word, message):
    found = check_tags(tags.split(), scheme)
    assert found is not None
    assert found[0] == word
    assert re.search(message, found[1])


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [("O I-X I-X B-X O I-Y I-X", "IOB1"), ("I-Y", "IOB1"), ("O O", "IOBES"), ("", "IOB2")],
)
def test_order_is_accepted(tags, scheme):
    assert check_tags(tags.split(), scheme) is None


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-X I-X", "IOB2"),
        ("B-X E-X", "IOBES"),
        ("O S-X", "IOBES"),
        ("M-X", "IOBES"),
        ("U-X", "BILOU"),
        ("O", "IOB2"),
    ],
)
def test_schemes_are_told_apart_by_their_letters(tags, scheme):
    assert detect_scheme(tags.split()) == scheme


def test_without_entities():
    empty = metrics.entity_metrics(predictions=[["O"], []], references=[["O"], []])
    assert empty == {"f1": 0, "precision": 0, "recall": 0, "macro_f1": 0, "accuracy": 1}
    assert metrics.entity_scores(predictions=[["O"]], references=[["O"]]) == {}


def test_same_span_in_another_sentence_is_another_entity():
    assert (
        metrics.entity_metrics(predictions=[["B-X"], ["O"]], references=[["O"], ["B-X"]])["f1"] == 0
    )


BAD = [
    ([], [], {}, ShapeError, "no examples"),
    ([["O"]], [["O"], ["O"]], {}, ShapeError, "one for each"),
    ([["O"]], [["O", "O"]], {}, ShapeError, r"predictions\[0\]: got 1 tags, expected .* 2"),
    (["O"], ["O"], {}, DTypeError, r"predictions\[0\]: got a string"),
    ([[0]], [["O"]], {}, DTypeError, r"predictions\[0\]\[0\]: got 0"),
    ([["O"]], [["PER"]], {}, DataError, r"references\[0\]: tag 'PER'"),
    ([["E-X"]], [["O"]], {"mode": "strict", "scheme": "IOB2"}, DataError, "not of scheme IOB2"),
    ([["O"]], [["O"]], {"mode": "loose"}, ConfigError, "mode: got 'loose'"),
    ([["O"]], [["O"]], {"scheme": "IOB2"}, ConfigError, "scheme: got one without"),
    ([["O"]], [["O"]], {"mode": "strict", "scheme": "IOE"}, ConfigError, "scheme: got 'IOE'"),
]


@pytest.mark.parametrize(("predictions", "references", "options", "error", "message"), BAD)
def test_bad_input_is_named(predictions, references, options, error, message):
    with pytest.raises(error, match=message):
        metrics.entity_metrics(predictions=predictions, references=references, **options)


def test_bad_spans_are_named():
    with pytest.raises(ConfigError, match="scheme: got 'IOB1'"):
        tags_of([], 1, scheme="IOB1")
    with pytest.raises(DataError, match="not inside 2 words"):
        tags_of([Span("X", 1, 3)], 2)
    with pytest.raises(DataError, match="overlaps"):
        tags_of([Span("X", 0, 2), Span("Y", 1, 2)], 2)
    with pytest.raises(ConfigError, match=r"expected one of IOB2"):
        check_tags([], "BIO")
    assert len(SCHEMES) == 4

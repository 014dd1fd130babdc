"""ROUGE against rouge-score 0.1.2 and stems against NLTK 3.10, both run to get the figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainformer import metrics
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.metrics.porter import porter_stem
from plainformer.metrics.rouge import _lcs_positions, _lcs_table

TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
# reference, prediction, stemmed, then (precision, recall, F) of TYPES
CASES = [
    (  # the README's example
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
        True,
        [(0.75, 2 / 3, 0.7058823529), (2 / 7, 0.25, 0.2666666667), *[(0.625, 5 / 9, 10 / 17)] * 2],
    ),
    ("testing one two", "testing", False, [(1, 1 / 3, 0.5), (0, 0, 0), *[(1, 1 / 3, 0.5)] * 2]),
    (  # the example of section 3.2 of the paper
        "w1 w2 w3 w4 w5",
        "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5",
        False,
        [(0.4, 0.8, 8 / 15), (1 / 9, 0.25, 2 / 13), *[(0.4, 0.8, 8 / 15)] * 2],
    ),
    (
        "Nationally running\nhe ran happily",
        "ran running happiness nation",
        True,
        [(0.75, 0.6, 2 / 3), (0, 0, 0), (0.25, 0.2, 2 / 9), (0.5, 0.4, 4 / 9)],
    ),
    ("", "some words", False, [(0, 0, 0)] * 4),
]


@pytest.mark.parametrize(("reference", "prediction", "stemmed", "expected"), CASES)
def test_the_figures_of_rouge_score(reference, prediction, stemmed, expected):
    scores = metrics.rouge_scores(
        prediction=prediction, references=reference, rouge_types=TYPES, use_stemmer=stemmed
    )
    for kind, figures in zip(TYPES, expected):
        assert scores[kind] == pytest.approx(figures), kind


STEMS = """
caresses:caress ponies:poni ties:tie dies:die cats:cat feed:feed agreed:agre plastered:plaster
bled:bled motoring:motor sing:sing conflated:conflat troubled:troubl sized:size hopping:hop
falling:fall hissing:hiss fizzed:fizz failing:fail filing:file died:die spied:spi happy:happi
sky:sky skies:sky enjoy:enjoy relational:relat conditional:condit rational:ration valenci:valenc
digitizer:digit radically:radic nationally:nation analogies:analog geology:geolog
theology:theolog hopefully:hope vietnamization:vietnam operator:oper feudalism:feudal
decisiveness:decis formality:formal sensitivity:sensit triplicate:triplic formative:form
electricity:electr goodness:good revival:reviv allowance:allow adjustable:adjust
replacement:replac dependent:depend adoption:adopt station:station homologous:homolog
effective:effect probate:probat rate:rate cease:ceas controll:control roll:roll yyy:yyy ab:ab
dying:die proceed:proceed
"""


def test_stems():
    pairs = [pair.split(":") for pair in STEMS.split()]
    assert [(word, porter_stem(word)) for word, _ in pairs] == [(a, b) for a, b in pairs]


def test_tokens():
    assert " ".join(metrics.rouge_words("Don't stop: naïve, 3.5%")) == "don t stop na ve 3 5"
    assert metrics.rouge_words("cats", use_stemmer=True) == ["cat"]
    assert metrics.rouge_words("was", use_stemmer=True) == ["was"]  # three letters stay
    assert " ".join(metrics.rouge_characters("我爱GPT2，你_Ως呢")) == "我 爱 gpt2 你 ως 呢"


def test_chinese_needs_characters():
    assert metrics.rouge_metrics(predictions=["我爱北京"], references=["我爱天安门"])["rouge1"] == 0
    score = metrics.rouge_metrics(
        predictions=["我爱北京"], references=["我爱天安门"], tokenize=metrics.rouge_characters
    )
    assert score == pytest.approx({"rouge1": 400 / 9, "rouge2": 200 / 7, "rougeL": 400 / 9})


def test_the_best_of_several_references_and_the_mean_of_texts():
    scores = metrics.rouge_metrics(predictions=["a b", ""], references=[["c d", "a b c"], ["x"]])
    assert scores["rouge1"] == pytest.approx(100 * 0.8 / 2)
    assert list(scores) == ["rouge1", "rouge2", "rougeL"]


WORDS = st.lists(st.sampled_from("abc"), max_size=9)


def longest(a, b):
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return 1 + longest(a[:-1], b[:-1])
    return max(longest(a[:-1], b), longest(a, b[:-1]))


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_longest_common_subsequence(a, b):
    assert _lcs_table(a, b)[-1, -1] == longest(a, b)
    positions = list(_lcs_positions(a, b))[::-1]
    assert len(positions) == longest(a, b)
    rest = iter(b)
    assert all(a[i] in rest for i in positions)  # in b, in this order
    assert positions == sorted(set(positions))


@given(WORDS, WORDS)
def test_scores_are_fractions_and_one_for_the_same_text(a, b):
    scores = metrics.rouge_scores(prediction=" ".join(a), references=" ".join(b), rouge_types=TYPES)
    assert all(0 <= x <= 1 for score in scores.values() for x in score)
    itself = metrics.rouge_scores(prediction=" ".join(a), references=" ".join(a), rouge_types=TYPES)
    for kind, least in zip(TYPES, (1, 2, 1, 1)):
        assert itself[kind] == (pytest.approx((1, 1, 1)) if len(a) >= least else (0, 0, 0))


@pytest.mark.parametrize(
    ("predictions", "references", "options", "error", "message"),
    [
        ([], [], {}, ShapeError, "no examples"),
        (["a"], [], {}, ShapeError, "one for each"),
        (["a"], [[]], {}, ShapeError, "without any"),
        ([1], ["a"], {}, DTypeError, r"predictions\[0\]: got 1"),
        (["a"], [[1]], {}, DTypeError, r"references\[0\]: got 1"),
        (["a"], ["a"], {"rouge_types": ["rouge0"]}, ConfigError, "got 'rouge0'"),
        (["a"], ["a"], {"rouge_types": ["rougel"]}, ConfigError, "got 'rougel'"),
        (["a"], ["a"], {"use_stemmer": True, "tokenize": list}, ConfigError, "use_stemmer"),
    ],
)
def test_bad_input_is_named(predictions, references, options, error, message):
    with pytest.raises(error, match=message):
        metrics.rouge_metrics(predictions=predictions, references=references, **options)
    if error is DTypeError and predictions == [1]:
        with pytest.raises(DTypeError, match="prediction: got 1"):
            metrics.rouge_scores(prediction=1, references="a")

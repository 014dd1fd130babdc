"""BLEU and chrF: sacrebleu's figures (2.6.0), word by word; more of them in tests/peers."""

import subprocess
import sys

import pytest

from plainformer import metrics
from plainformer.errors import ConfigError, DTypeError, ShapeError

PREDICTIONS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]
UNEQUAL = [REFERENCES[0], REFERENCES[1][:1], REFERENCES[2]]
NUMBERS = (
    ['He paid 1,000.50 (10-20%) &amp; left -- "fast"...'],
    ['He paid 1,000.50 (10-25%) & left - "fast".'],
)
CHINESE = ["我在北京的café里，看了3.5小时。"], ["我在北京的 café，看了 3.5 个小时…"]
FIRST = [own[0] for own in REFERENCES]
# Texts, references, BLEU by 13a, zh, char and none, chrF and chrF++, as sacrebleu prints them.
CASES = {
    "readme": (PREDICTIONS, REFERENCES, (48.530827009929865, 48.530827009929865, 72.61064153440596,
               49.19195660047277), (59.72751782684763, 59.15310444399262)),
    "single": (PREDICTIONS, FIRST, (45.06750632106114, 45.06750632106114, 51.562779528311275,
               44.428088917702794), (50.043063606582294, 51.7309698503746)),
    "unequal": (PREDICTIONS, UNEQUAL, (48.530827009929865, 48.530827009929865, 63.190781100119366,
                49.19195660047277), (55.80159128024612, 56.90442406280545)),
    "numbers": (*NUMBERS, (53.816073893351884, 42.849450901003145, 70.25764953326376,
                22.089591134157878), (74.03383321755102, 67.92841585918946)),
    "chinese": (*CHINESE, (0.0, 57.3122448409426, 70.9421400618421, 0.0),
                (61.76471612036628, 52.94118524602823)),
    "too short": (["a b"], ["a b"], (0.0,) * 4, (100.0, 100.0)),
    "smoothed": (["a b c d e f", "x y"], ["a b c q e f", "y x z"], (32.42685978604634,) * 4,
                 (24.087365321555236, 33.524331957419065)),
    "nothing": (["", ""], ["a", "b"], (0.0,) * 4, (0.0, 0.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_figures_are_those_of_sacrebleu(name):
    predictions, references, bleus, chrfs = CASES[name]
    for tokenize, wanted in zip(("13a", "zh", "char", "none"), bleus):
        found = metrics.bleu(predictions=predictions, references=references, tokenize=tokenize)
        assert found.score == pytest.approx(wanted, abs=1e-9)
    for order, wanted in zip((0, 2), chrfs):
        found = metrics.chrf(predictions=predictions, references=references, word_order=order)
        assert found.score == pytest.approx(wanted, abs=1e-9)


def test_signatures_say_how_a_figure_came_about():
    bleu = metrics.bleu(predictions=PREDICTIONS, references=REFERENCES, lowercase=True)
    assert bleu.signature == "nrefs:2|case:lc|eff:no|tok:13a|smooth:exp|version:plainformer"
    assert metrics.bleu(predictions=PREDICTIONS, references=UNEQUAL).signature.startswith(
        "nrefs:var|case:mixed|"
    )
    chrf = metrics.chrf(predictions=PREDICTIONS, references=FIRST, word_order=2)
    assert chrf.signature == "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:plainformer"


def test_lower_case_is_the_same_text():
    upper = [text.upper() for text in PREDICTIONS]
    assert metrics.bleu(predictions=upper, references=REFERENCES).score < 10
    same = metrics.bleu(predictions=PREDICTIONS, references=REFERENCES, lowercase=True)
    assert metrics.bleu(predictions=upper, references=REFERENCES, lowercase=True) == same


def test_no_figure_depends_on_what_is_installed():
    """What decides which translation model is best is computed without sacrebleu."""
    code = (
        "import sys; sys.modules['sacrebleu'] = None\n"
        "from plainformer.tasks import TASKS\n"
        "task = TASKS['translation']; assert task.metric == 'bleu'\n"
        "told = task.score_texts(None, ['a b c d'], ['a b c d'])\n"
        "assert told == {'bleu': told['bleu'], 'chrf': 100.0} and abs(told['bleu'] - 100) < 1e-9"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("predictions", "references", "error", "message"),
    [
        ([], [], ShapeError, "no examples"),
        (["a"], ["a", "b"], ShapeError, "one for each"),
        (["a"], [[]], ShapeError, r"references\[0\]: got none"),
        ([1], ["a"], DTypeError, r"predictions\[0\]: got 1, expected str"),
        (["a"], [1], DTypeError, r"references\[0\]: got int"),
        (["a"], [["a", None]], DTypeError, r"references\[0\]\[1\]: got None"),
    ],
)
@pytest.mark.parametrize("function", [metrics.bleu, metrics.chrf])
def test_bad_input_is_named(function, predictions, references, error, message):
    with pytest.raises(error, match=message):
        function(predictions=predictions, references=references)


@pytest.mark.parametrize("options", [{"char_order": 0}, {"word_order": -1}, {"beta": 0}])
def test_bad_chrf_orders_are_named(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))}: got"):
        metrics.chrf(predictions=["a"], references=["a"], **options)

"""An option is written once; constructor, help, flags and messages derive from its field."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import pytest
from click.testing import CliRunner

from plainformer.cli._option_flags import option_flags
from plainformer.errors import ConfigError
from plainformer.generation import GenerationConfig
from plainformer.generation.call import Call
from plainformer.generation.words import WordOptions
from plainformer.models.registry import LoadingOptions
from plainformer.nn import LoraConfig
from plainformer.options import (
    COUNT,
    SHARE,
    SOME_TEXTS,
    Rule,
    above,
    borrowed,
    check,
    documented,
    given,
    lacking,
    make,
    named,
    one_of,
    option,
    options_of,
    refuse_idle,
    takes_words,
)
from plainformer.pretraining import PretrainingOptions
from plainformer.tasks import TASKS
from plainformer.tasks.arguments import OPTIONS, OpeningOptions
from plainformer.training import TrainingArguments

OPTIONS_OF_THE_LIBRARY = [
    *(Call, GenerationConfig, LoadingOptions, LoraConfig, OpeningOptions, PretrainingOptions),
    *(TrainingArguments, WordOptions),
    *OPTIONS,
    *(task.settings_class for task in TASKS.values()),
]


@takes_words("a word of soup", lacking("salt", 0, instead="did you mean pepper?"))
@documented()
@dataclass
class Soup:
    """A soup."""

    pots: int = option(1, "How many.", COUNT, words="pans kettles")
    heat: float = option(0.5, "How hot; a rather long sentence that " + 20 * "has words ", above(0))
    pepper: float | None = option(None, "How much.", SHARE, ratio="pepper_ratio")
    kind: str = option("thick", "Which.", one_of("thick", "clear", fat="thick"))
    herbs: Sequence[str] | None = option(None, "Which.", SOME_TEXTS)
    lid: bool = option(False, "With a lid.")
    names: Mapping[str, Any] | None = option(None, "What things are called.")
    stirred: bool | Literal["never"] | None = option(None, "When.")
    pages: int | list[int] | None = option(None, "Of the book.")
    salted: str | bool | None = option(None, "Where.")
    book: str | None = option(None, "A file.", is_file=True)

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Stew:
    pots: int | None = borrowed(Soup, "pots")
    note: str = "no option"

    def __post_init__(self):
        check(self)


def test_values_are_read_into_plain_ones():
    soup = Soup(np.int64(3), np.float32(0.5), kind="fat", book=Path("a"))
    assert (soup.pots, soup.heat, soup.kind, soup.book) == (3, 0.5, "thick", "a")
    assert [type(v) for v in (soup.pots, soup.heat, soup.book)] == [int, float, str]
    assert given(soup) == ["pots", "book"]
    soup = Soup(np.array(3), np.array(0.5), lid=np.array(True), salt=np.bool_(False))
    assert (soup.pots, soup.heat, soup.lid) == (3, 0.5, True)
    assert type(Soup(names={"a": np.float32(2)}).names["a"]) is float
    assert type(Soup(IntEnum("Sizes", "small")(1)).pots) is int


@pytest.mark.parametrize("kind", OPTIONS_OF_THE_LIBRARY, ids=lambda kind: kind.__name__)
def test_defaults_are_as_they_are_read(kind):
    assert options_of(kind)
    for known in options_of(kind).values():
        assert known.read(known.default) is known.default, known.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pots": 0}, "pots: got 0, expected int, at least 1"),
        ({"pots": True}, "pots: got True, expected int, at least 1"),
        ({"pots": None}, "pots: got None, expected int, at least 1"),
        ({"heat": float("nan")}, "heat: got nan, expected float, above 0"),
        ({"pepper": 1}, "pepper: got 1, expected float, from 0 to below 1, or None"),
        ({"kind": "thin"}, "kind: got 'thin', expected one of thick, clear"),
        ({"kind": ["thin"]}, r"kind: got \['thin'\], expected one of thick, clear"),
        ({"herbs": [" "]}, "expected a list of texts, at least one, none blank, or None"),
        ({"lid": 1}, "lid: got 1, expected bool"),
        ({"stirred": "often"}, "stirred: got 'often', expected bool or 'never' or None"),
        ({"pages": [1, "2"]}, "expected int or a list of integers or None"),
        ({"salt": 2}, "salt: got 2, which is not supported; did you mean pepper?"),
        ({"pans": 1, "kettles": 2}, "pots: given twice, as pans and kettles; keep one"),
        ({"pepper_ratio": 1.5}, "pepper_ratio: got 1.5, expected float, from 0 to below 1"),
        ({"pats": 1}, r"pats: not a word of soup; did you mean pots\?"),
        ({"zzz": 1}, "zzz: not a word of soup$"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Soup(**values)


def test_words_of_others_mean_the_same_and_what_asks_for_nothing_is_taken():
    assert Soup(pans=2, pepper_ratio=0.5, salt=0) == Soup(pots=2, pepper=0.5)
    assert dataclasses.replace(Soup(pans=2), heat=1.0) == Soup(2, 1.0)
    assert named({"pans": 2}, Soup, owner="x") == {"pots": 2}
    assert make(Soup, {"kettles": 3}, owner="x", over={"pots": 1, "lid": True}) == Soup(3, lid=True)


def test_the_docstring_has_every_option_and_its_default():
    assert Soup.__doc__.startswith("A soup.\n")
    assert "\npots : int, default 1\n    How many.\nheat : float, default 0.5\n" in Soup.__doc__
    assert max(map(len, Soup.__doc__.splitlines())) <= 100


def test_a_field_is_borrowed_with_its_help_and_rule():
    assert Stew().pots is None
    assert [(name, known.help) for name, known in options_of(Stew).items()] == [
        ("pots", "How many.")
    ]
    with pytest.raises(ConfigError, match="pots: got 0, expected int, at least 1, or None"):
        Stew(0)


def test_an_option_that_does_nothing_is_refused_where_it_is_given():
    refuse_idle(Soup(), ("lid", True, "without a pot"))
    refuse_idle(Soup(lid=True), ("lid", False, "without a pot"))
    with pytest.raises(ConfigError, match="lid: has no effect without a pot; leave it out"):
        refuse_idle(Soup(lid=True), ("pots", True, "x"), ("lid", True, "without a pot"))


def test_a_rule_reads_an_argument():
    assert one_of("a", b="a").check("x", "b") == "a"
    with pytest.raises(ConfigError, match="x: got 'c', expected one of a"):
        one_of("a").check("x", "c")
    assert Rule(int, "digits").check("x", "3") == 3


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--pots", "2"], {"pots": 2}),
        (["--heat", "1e-3"], {"heat": 1e-3}),
        (["--kind", "fat"], {"kind": "fat"}),
        (["--herbs", "a", "--herbs", "b"], {"herbs": ("a", "b")}),
        (["--lid"], {"lid": True}),
        (["--no-lid"], {"lid": False}),
        (["--names", "a=1,b=x"], {"names": {"a": 1, "b": "x"}}),
        (["--stirred", "never"], {"stirred": "never"}),
        (["--stirred", "true"], {"stirred": True}),
        (["--pages", "1", "--pages", "2"], {"pages": (1, 2)}),
        (["--salted"], {"salted": True}),
        (["--salted", "well"], {"salted": "well"}),
    ],
    ids=str,
)
def test_an_option_is_a_flag_of_its_kind(words, found):
    @click.command()
    @option_flags(Soup)
    def command(**flags):
        told.update({n: v for n, v in flags.items() if v is not None and v != ()})

    told = {}
    result = CliRunner().invoke(command, words)
    assert (result.output, told) == ("", found)


def test_the_help_of_a_flag_is_that_of_the_option():
    @click.command()
    @option_flags(Soup, exclude=("heat",), defaults={"lid": "as the cook likes"})
    def command(**flags):
        pass

    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "--pots INTEGER How many. [default: 1]" in text
    assert "--lid / --no-lid With a lid. [default: as the cook likes]" in text
    assert "--herbs TEXT Which. May be repeated." in text
    assert "--heat" not in text

"""One option, written once: a dataclass field with a default, a help text and a rule.

    learning_rate: float = option(5e-5, "The peak learning rate.", above(0), words="lr")

From it come what the constructor accepts (`check`), the lines of `help()` (`documented`), the
flags of the command line (`cli/_option_flags.py`), the names that others have for it (`named`),
and the error for a wrong value, which is one for all:

    learning_rate: got -1, expected float, above 0
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args

import numpy as np

from .errors import ConfigError, short, shown
from .kinds import annotations_of, described, fits

T = TypeVar("T")
_NONE = type(None)
_WRONG = (ValueError, TypeError, OverflowError)


def _error(name: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"{name}: got {shown(value)}, expected {wanted}")


@dataclass(frozen=True)
class Rule:
    """What a value must be beside its kind, which the field's annotation says.

    read : returns the value that is used, or raises ValueError, TypeError or OverflowError
    wanted : what it takes, in words that follow the kind
    alone : `read` looks at the kind too, and `wanted` names it
    """

    read: Callable[[Any], Any]
    wanted: str
    alone: bool = False

    def check(self, name: str, value: Any) -> Any:
        """The value of an argument as the rule reads it; ConfigError that names it."""
        try:
            return self.read(value)
        except _WRONG:
            raise _error(name, value, self.wanted) from None


def that(test: Callable[[Any], bool], wanted: str, *, alone: bool = False) -> Rule:
    """The values for which a test holds."""

    def read(value: Any) -> Any:
        if not test(value):
            raise ValueError
        return value

    return Rule(read, wanted, alone)


def at_least(least: float, most: float = math.inf) -> Rule:
    """Numbers from `least` to `most`."""
    words = f"at least {least}" + (f" and at most {most}" if most < math.inf else "")
    return that(lambda value: least <= value <= most, words)


def above(bound: float, most: float = math.inf) -> Rule:
    """Numbers above `bound`, to `most`."""
    words = f"above {bound}" + (f" and at most {most}" if most < math.inf else "")
    return that(lambda value: bound < value <= most, words)


def one_of(*words: str, **meant: str) -> Rule:
    """One of some words; `meant` says which of them others stand for."""
    read = {word: word for word in words} | meant

    def find(value: Any) -> str:
        if not isinstance(value, str) or value not in read:
            raise ValueError
        return read[value]

    return Rule(find, f"one of {', '.join(words)}", alone=True)


COUNT = at_least(1)
NOT_NEGATIVE = at_least(0)
SEED = at_least(0, 2**64 - 1)
SHARE = that(lambda value: 0 <= value < 1, "from 0 to below 1")
PART = that(lambda value: 0 < value < 1, "between 0 and 1")
NOT_EMPTY = that(lambda value: not isinstance(value, str) or value.strip() != "", "not blank")
SOME_TEXTS = that(
    lambda texts: len(texts) > 0 and all(text.strip() for text in texts), "at least one, none blank"
)


def option(
    default: T,
    help: str,
    rule: Rule | None = None,
    *,
    words: str = "",
    ratio: str = "",
    is_file: bool = False,
) -> T:
    """A dataclass field.

    Parameters
    ----------
    default : what holds where nothing is given
    help : a sentence or two, for every place that tells what the option does
    rule : what its values must be; without one, all that its annotation admits
    words : what other libraries call it, which the constructor takes too
    ratio : another's word for it that takes a share below 1 alone
    is_file : names a file of the user's, whose contents are kept; the name never is
    """
    others = dict.fromkeys(words.split()) | ({ratio: SHARE} if ratio else {})
    told = {"help": help, "rule": rule, "words": others, "is_file": is_file}
    return dataclasses.field(default=default, metadata=told)


def borrowed(owner: type, name: str, default: Any = None) -> Any:
    """A field like that of another class: the same help and rule."""
    found = next(f for f in dataclasses.fields(owner) if f.name == name)
    return dataclasses.field(default=default, metadata=found.metadata)


@dataclass(frozen=True)
class Option:
    """An option of a class, as `options_of` lists it.

    kind : the annotation, as an object
    """

    name: str
    kind: Any
    default: Any
    help: str
    rule: Rule | None
    words: Mapping[str, Rule | None]
    is_file: bool

    @functools.cached_property
    def optional(self) -> bool:
        """Whether None is among its values."""
        return self.kind is Any or _NONE in get_args(self.kind)

    @functools.cached_property
    def kinds(self) -> tuple[Any, ...]:
        """The members of a union with None, but for None; any other annotation alone."""
        members = get_args(self.kind) if self.optional else ()
        return tuple(one for one in members if one is not _NONE) or (self.kind,)

    @property
    def wanted(self) -> str:
        """What values it takes, in words."""
        if self.rule is None:
            return described(self.kind)
        words = [] if self.rule.alone else [" or ".join(map(described, self.kinds))]
        return ", ".join([*words, self.rule.wanted, *["or None"] * self.optional])

    def read(self, value: Any) -> Any:
        """The value that is used: a plain one, as the rule has it.

        Raises
        ------
        ConfigError : naming the option, what it got and what was wanted
        """
        used = plain(value)
        if used is None and self.optional:
            return None
        try:
            alone = self.rule is not None and self.rule.alone
            if not alone and not any(fits(used, kind) for kind in self.kinds):
                raise ValueError
            return used if self.rule is None else self.rule.read(used)
        except _WRONG:
            raise _error(self.name, value, self.wanted) from None


def plain(value: Any) -> Any:
    """Python's value for a scalar of NumPy's, alone or in a mapping, and for a kind of int; a
    path's text."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, Mapping):
        return {k: v if isinstance(v, Mapping) else plain(v) for k, v in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def options_of(kind: type) -> dict[str, Option]:
    """The options of a dataclass by name; other fields are none."""
    return _options_of(kind)


@functools.lru_cache(maxsize=64)
def _options_of(kind: Any) -> dict[str, Option]:
    kinds = annotations_of(kind)
    return {
        f.name: Option(f.name, kinds[f.name], f.default, **f.metadata)
        for f in dataclasses.fields(kind)
        if "help" in f.metadata
    }


def names_of(kind: Any) -> list[str]:
    """The names of a dataclass's fields."""
    return [field.name for field in dataclasses.fields(kind)]


def check(instance: Any) -> None:
    """Raise ConfigError for the first option whose value is of another kind or breaks its rule.

    For a `__post_init__`, whose class then looks at what its options are beside each other.
    Defaults are as they are read.
    """
    for name, known in options_of(type(instance)).items():
        value = getattr(instance, name)
        if value is not known.default and (read := known.read(value)) is not value:
            object.__setattr__(instance, name, read)


def given(instance: Any) -> list[str]:
    """The options whose value is not the default."""
    known = options_of(type(instance)).values()
    return [one.name for one in known if getattr(instance, one.name) != one.default]


def refuse_idle(instance: Any, *idle: tuple[str, bool, str]) -> None:
    """Raise ConfigError for an option that is given and would do nothing.

    idle : its name, whether it does nothing, and why: "with ...", "without ...", "beside ..."
    """
    known = options_of(type(instance))
    for name, is_idle, why in idle:
        if is_idle and getattr(instance, name) != known[name].default:
            raise ConfigError(f"{name}: has no effect {why}; leave it out or change the other")


@dataclass(frozen=True)
class Lacking:
    """An option of other libraries that we have not.

    nothing : its values that ask for nothing, beside None
    instead : what to do about the others
    """

    nothing: tuple[Any, ...]
    instead: str

    def check(self, name: str, value: Any) -> None:
        """Raise ConfigError if the value asks for something."""
        value = plain(value)
        items = value if isinstance(value, list) else [value]
        is_plain = all(isinstance(one, (bool, int, float, str)) for one in items)
        if value is not None and not (is_plain and value in self.nothing):
            raise ConfigError(f"{name}: got {shown(value)}, which is not supported; {self.instead}")


def lacking(names: str, *nothing: Any, instead: str = "leave it out") -> dict[str, Lacking]:
    """Options of other libraries that we have not, by name; see `Lacking`."""
    return dict.fromkeys(names.split(), Lacking(nothing, instead))


def named(
    given: Mapping[str, Any], *kinds: Any, owner: str, lacking: Mapping[str, Lacking] | None = None
) -> dict[str, Any]:
    """Values under the options' own names, of those that are given by others' words.

    Parameters
    ----------
    kinds : dataclasses whose options they are
    owner : what these are to a person, such as "a training argument"
    lacking : others' options that ask for nothing here, or are answered

    Raises
    ------
    ConfigError : an unknown word, with what was probably meant; an option given by two words
    """
    own, words = _words_of(kinds)
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    for word, value in given.items():
        name = word if word in own else words[word].name if word in words else None
        if name is not None:
            if said.setdefault(name, word) != word:
                raise ConfigError(f"{name}: given twice, as {said[name]} and {word}; keep one")
            rule = None if word in own else words[word].words[word]
            found[name] = replace(words[word], name=word, rule=rule).read(value) if rule else value
        elif lacking is not None and word in lacking:
            lacking[word].check(word, value)
        else:
            raise ConfigError(f"{short(word)}: not {owner}{did_you_mean(word, [*own, *words])}")
    return found


@functools.lru_cache(maxsize=64)
def _words_of(kinds: tuple[Any, ...]) -> tuple[set[str], dict[str, Option]]:
    """The names of all options of some classes, and the option that each other word means."""
    listed = [known for kind in kinds for known in options_of(kind).values()]
    words = {word: known for known in reversed(listed) for word in known.words}
    return {known.name for known in listed}, words


def takes_words(owner: str, lacking: Mapping[str, Lacking]) -> Callable[[type[T]], type[T]]:
    """Class decorator: the constructor of a dataclass of options takes others' words; see `named`.

    Static checkers see the dataclass's own constructor, and its options alone.
    """

    def decorate(kind: type[T]) -> type[T]:
        init = kind.__init__

        @functools.wraps(init)
        def __init__(self: Any, *values: Any, **given: Any) -> None:  # noqa: N807
            init(self, *values, **named(given, kind, owner=owner, lacking=lacking))

        kind.__init__ = __init__  # type: ignore[method-assign]
        return kind

    return decorate


def make(
    kind: type[T], given: Mapping[str, Any], *, owner: str, over: Mapping[str, Any] | None = None
) -> T:
    """An object of a dataclass of options, given by any of their words; see `named`.

    over : what holds where nothing is given
    """
    return kind(**{**(over or {}), **named(given, kind, owner=f"an option of {owner}")})


def did_you_mean(word: str, known: Iterable[str], other: str = "") -> str:
    """ "; did you mean x?" for a word near a known one; else `other`."""
    near = difflib.get_close_matches(short(word), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else other and f"; {other}"


def documented(*kinds: Any) -> Callable[[T], T]:
    """Decorator of a class or function: its docstring ends in a paragraph for each option."""

    def decorate(target: T) -> T:
        lines = [inspect.cleandoc(target.__doc__ or ""), "", "Options", "-------"]
        for kind in kinds or (target,):
            for field in dataclasses.fields(kind):
                if "help" in field.metadata:
                    lines.append(f"{field.name} : {field.type}, default {shown(field.default)}")
                    lines.append(textwrap.indent(textwrap.fill(field.metadata["help"], 92), "    "))
        target.__doc__ = "\n".join(lines)
        return target

    return decorate

"""Whether a value is of the kind that an annotation says: one check for every file's fields.

What a stranger wrote into a JSON file becomes the fields of a dataclass, whose annotations say
what each may hold. JSON's keys are texts, so a whole number as a key may be the text of one. An
`int` fits 64 bits and a `float` 32: what is computed from them is an error otherwise.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from .errors import ConfigError, DTypeError, shown

F = TypeVar("F", bound=Callable[..., Any])

_LARGEST_INT = 1 << 64  # seeds may be unsigned
_LARGEST_FLOAT = 3.4e38  # a float32: what is computed with them is
_SEVERAL = {
    "str": "texts",
    "int": "integers",
    "float": "numbers",
    "bool": "booleans",
    "any value": "values",
    "a list": "lists",
    "an object": "objects",
}


def check_kinds(instance: Any, *, where: str = "", error: type[Exception] = ConfigError) -> None:
    """Raise unless every field of a dataclass object holds what its annotation says.

    Parameters
    ----------
    instance : of a dataclass
    where : put before the name of the field in the message, such as "config.json: "
    error : the type of error
    """
    fields = annotations_of(type(instance))  # type: ignore[arg-type]
    for name, annotation in fields.items():
        check_kind(where + name, getattr(instance, name), annotation, error=error)


def check_kind(
    name: str, value: Any, annotation: Any, *, error: type[Exception] = ConfigError
) -> Any:
    """`value`, if it is of the kind; else an error that names it."""
    if not fits(value, annotation):
        raise error(f"{name}: got {shown(value)}, expected {described(annotation)}")
    return value


def as_index(name: str, value: Any) -> int:
    """`value` as an int if Python takes it for one; else a DTypeError that names it."""
    try:
        return operator.index(value)
    except TypeError:
        raise DTypeError(f"{name}: got {shown(value)}, expected a whole number") from None


def checked(function: F) -> F:
    """A function, such as an `__init__`, whose arguments are checked against its annotations.

    A number of NumPy's counts as Python's, and reaches the function as such.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        hints = _hints_of(function)
        for name, value in bound.arguments.items():
            if name in hints:
                plain = value.item() if isinstance(value, np.generic) else value
                bound.arguments[name] = check_kind(name, plain, hints[name])
        return function(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]


@lru_cache(maxsize=256)
def _hints_of(function: Any) -> dict[str, Any]:
    return get_type_hints(function)


@lru_cache(maxsize=256)
def annotations_of(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass and what their annotations stand for."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of the kind that an annotation says."""
    if annotation is Any:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is int:
        return type(value) is int and -_LARGEST_INT < value < _LARGEST_INT
    if annotation is float:
        is_number = type(value) in (int, float)
        return is_number and -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT  # not NaN
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in arguments)
    return _fits_container(value, origin or annotation, arguments)


def _fits_container(value: Any, kind: Any, arguments: tuple[Any, ...]) -> bool:
    """Lists, tuples and mappings with their items; any other class without."""
    if kind in (list, Sequence):
        is_list = isinstance(value, list if kind is list else (list, tuple))
        return is_list and all(fits(item, arguments[0]) for item in (value if arguments else ()))
    if kind is tuple:
        same = isinstance(value, tuple) and len(value) == len(arguments)
        return same and all(map(fits, value, arguments))
    if kind in (dict, Mapping):
        if not isinstance(value, Mapping) or not arguments:
            return isinstance(value, Mapping)
        key, item = arguments
        return all(_fits_key(k, key) and fits(v, item) for k, v in value.items())
    return isinstance(value, kind)


def _fits_key(value: Any, annotation: Any) -> bool:
    """As `fits`; a whole number may be written as a text."""
    if annotation is int and isinstance(value, str):
        return value.removeprefix("-").isdecimal() and len(value) < 20
    return fits(value, annotation)


def described(annotation: Any) -> str:
    """The kind in words for messages: `int or None`, `a list of texts or None`."""
    if annotation in (None, type(None)):
        return "None"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(map(described, arguments))
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    kind = origin or annotation
    if kind in (list, Sequence):
        return f"a list of {_several(arguments[0])}" if arguments else "a list"
    if kind is tuple and arguments:
        return f"({', '.join(map(described, arguments))})"
    if kind in (dict, Mapping):
        return _object(*arguments)
    return "any value" if annotation is Any else getattr(kind, "__name__", str(kind))


def _several(annotation: Any) -> str:
    """Values of a kind, in words."""
    one = described(annotation)
    for word, many in _SEVERAL.items():
        if one == word or one.startswith(f"{word} of "):
            return many + one.removeprefix(word)
    return one


def _object(key: Any = str, value: Any = Any) -> str:
    """An object of JSON or a dict, in words."""
    values = "" if value is Any else f" of {_several(value)}"
    return f"an object{values}" + ("" if key is str else f" under {_several(key)}")

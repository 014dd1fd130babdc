"""Which parameters are trained and how many they are; which ones globs mean.

What `Module.freeze`, the options of training and strategies choose by.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Container, Iterable
from typing import Any

from ..errors import ConfigError, listed, shown


def matches(name: str, glob: str) -> bool:
    """True if a glob matches a run of whole dotted segments of `name`."""
    return fnmatch.fnmatchcase(f".{name}.", f"*.{glob}.*")


def matching(names: Iterable[str], globs: Iterable[str], argument: str = "patterns") -> set[str]:
    """The names that any glob matches; `wte`, `h.[0-3]` and `ln_*.bias` are globs.

    Raises
    ------
    ConfigError : a glob that matches nothing, or one text where a list was wanted; `argument` is
        what the message calls them
    """
    if isinstance(globs, str) or not isinstance(globs, Iterable):
        kind = "the string " if isinstance(globs, str) else ""
        raise ConfigError(f"{argument}: got {kind}{shown(globs)}, expected a list of globs")
    names = list(names)
    found: set[str] = set()
    for glob in globs:
        own = {name for name in names if matches(name, glob)}
        if not own:
            some = f"names are like {listed(names, 3)}" if names else "there are none"
            raise ConfigError(f"{argument}: {shown(glob)} matches no parameter; {some}")
        found |= own
    return found


def train_only(model: Any, names: Container[str]) -> None:
    """Train the parameters of these names and no other."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in names


def count_parameters(model: Any) -> tuple[int, int]:
    """How many numbers of a model are trained, and how many there are; tied ones count once."""
    sizes = [(p.requires_grad, p.size) for _, p in model.named_parameters()]
    return sum(size for trained, size in sizes if trained), sum(size for _, size in sizes)

"""Which parameters globs mean: what `Module.freeze` and the options of training choose by."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

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
    if isinstance(globs, str):
        raise ConfigError(f"{argument}: got the string {shown(globs)}, expected a list of globs")
    names = list(names)
    found: set[str] = set()
    for glob in globs:
        own = {name for name in names if matches(name, glob)}
        if not own:
            some = f"names are like {listed(names, 3)}" if names else "there are none"
            raise ConfigError(f"{argument}: {shown(glob)} matches no parameter; {some}")
        found |= own
    return found

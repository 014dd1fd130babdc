"""Fitting the arrays of a checkpoint to the parameters of a model, and saying what does not fit.

A checkpoint of the same architecture may still differ from the model: names with or without a
prefix or of an older spelling, buffers that nobody needs, a tied weight stored twice, the head of
another task. All of these are allowed where the caller says so; the rest is one error.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from ..errors import CheckpointError, PlainformerWarning, listed, short
from ..modes import Block, Mode
from .safetensors import NamedArrays

Shape = tuple[int, ...]

# `renames` for files of 2018 and 2019, when layer norms were spelled as in TensorFlow.
GAMMA_BETA = {r"\.gamma$": ".weight", r"\.beta$": ".bias"}
_SHOWN = 8  # keys of one kind listed in a message
_log = logging.getLogger("plainformer")


@dataclass(frozen=True)
class LoadReport:
    """What did not fit and was allowed, under transformers' names (`output_loading_info`).

    missing_keys : parameters that the checkpoint has not; they keep their initial values
    unexpected_keys : names as read that the model has no place for; they were left out
    mismatched_keys : (parameter, shape in the checkpoint, shape in the model); they keep their
        initial values
    """

    missing_keys: list[str] = field(default_factory=list)
    unexpected_keys: list[str] = field(default_factory=list)
    mismatched_keys: list[tuple[str, Shape, Shape]] = field(default_factory=list)

    @property
    def new_keys(self) -> list[str]:
        """Parameters that got no values from the checkpoint and must be trained."""
        return [*self.missing_keys, *(name for name, _, _ in self.mismatched_keys)]


class MatchedState(NamedArrays):
    """A checkpoint under a model's names; arrays are made when asked for, as in the checkpoint."""

    def __init__(self, state: Mapping[str, np.ndarray], names: Mapping[str, str]):
        self._state, self.entries = state, names

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every array, without making it."""
        shapes = _shapes_of(self._state)
        return {name: shapes[stored] for name, stored in self.entries.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._state[self.entries[name]]


_trains = Mode("trains", False)


def to_be_trained() -> Block[bool]:
    """Inside, new weights are not warned about: the caller trains them."""
    return _trains.set(True)


def fit_state(
    state: Mapping[str, np.ndarray],
    expected: Mapping[str, Shape],
    *,
    prefix: str = "",
    renames: Mapping[str, str] | None = None,
    tied: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
    may_miss: Iterable[str] = (),
    may_drop: Iterable[str] = (),
    ignore_mismatched_sizes: bool = False,
    fields: Callable[[Shape], Iterable[str]] = lambda sizes: (),
    source: str = "checkpoint",
) -> tuple[MatchedState, LoadReport]:
    """Rename the arrays of a checkpoint to what a model expects, and report all that does not fit.

    No data are read, except of tied weights that are stored twice.

    Parameters
    ----------
    state : name to array, as read
    expected : name to shape, of every parameter of the model
    prefix : part like "bert." that names in the checkpoint may have or lack
    renames : regular expression to replacement, applied in order to a name that is not expected
        as it is (`GAMMA_BETA`)
    tied : name to the expected name whose array it repeats. Where both are stored they must be
        equal; where only the repetition is, it is used
    ignore : globs of names as read that may be there, unused and not reported: buffers
    may_miss : globs of expected names that may be missing: heads, to be trained
    may_drop : globs of names as read that are reported and left out: heads of other tasks
    ignore_mismatched_sizes : bool, leave out arrays of another shape than expected
    fields : names of the fields of a configuration that say these sizes, for messages
    source : what to call the checkpoint in messages

    Returns
    -------
    matched : MatchedState, expected names, in their order, to arrays
    report : LoadReport; its `new_keys` are what `matched` lacks, and are warned about in one line

    Raises
    ------
    CheckpointError : one error with every missing, unexpected and mismatched key that was not
        allowed, or a tied weight stored twice with different values
    """
    tied, ignore = tied or {}, tuple(ignore)
    names, extra = _place(state, _finder(expected.keys() | tied.keys(), prefix, renames or {}))
    _merge_tied(state, names, tied, source)
    shapes = _shapes_of(state)
    report = LoadReport(
        missing_keys=[name for name in expected if name not in names],
        unexpected_keys=[name for name in extra if not _matches(name, ignore)],
        mismatched_keys=[
            (name, shapes[names[name]], tuple(shape))
            for name, shape in expected.items()
            if name in names and shapes[names[name]] != tuple(shape)
        ],
    )
    mismatched = [] if ignore_mismatched_sizes else report.mismatched_keys
    _refuse(report, mismatched, tuple(may_miss), tuple(may_drop), fields, source)
    _tell(report, source)
    new = set(report.new_keys)
    return MatchedState(state, {name: names[name] for name in expected if name not in new}), report


def _finder(
    targets: Iterable[str], prefix: str, renames: Mapping[str, str]
) -> Callable[[str], str | None]:
    """A function from a name as read to the target that it stands for, or None."""
    rules = [(re.compile(pattern), replacement) for pattern, replacement in renames.items()]
    targets = frozenset(targets)

    def find(name: str) -> str | None:
        renamed = name
        for pattern, replacement in rules:
            renamed = pattern.sub(replacement, renamed)
        for spelling in (name, renamed):
            for candidate in (spelling, prefix + spelling, spelling.removeprefix(prefix)):
                if candidate in targets:
                    return candidate
        return None

    return find


def _place(
    state: Iterable[str], find: Callable[[str], str | None]
) -> tuple[dict[str, str], list[str]]:
    """Targets to names as read, and the names without a target or with one that is taken."""
    names: dict[str, str] = {}
    extra = []
    for name in state:
        target = find(name)
        if target is None or target in names:
            extra.append(name)
        else:
            names[target] = name
    return names, extra


def _merge_tied(
    state: Mapping[str, np.ndarray], names: dict[str, str], tied: Mapping[str, str], source: str
) -> None:
    """Take repetitions out of `names`, after comparing them with what they repeat."""
    for repetition, original in tied.items():
        if repetition not in names:
            continue
        name = names.pop(repetition)
        if not np.array_equal(state[name], state[names.setdefault(original, name)]):
            raise CheckpointError(
                f"{source}: {short(name)}: differs from {short(names[original])}, which it should "
                "repeat; set tie_word_embeddings to false in config.json to keep both"
            )


def _shapes_of(state: Mapping[str, np.ndarray]) -> Mapping[str, Shape]:
    """Shapes by name; files know them from their headers (`SafetensorsFile.shapes`)."""
    shapes = getattr(state, "shapes", None)
    return {name: array.shape for name, array in state.items()} if shapes is None else shapes


def _refuse(
    report: LoadReport,
    mismatched: list[tuple[str, Shape, Shape]],
    may_miss: tuple[str, ...],
    may_drop: tuple[str, ...],
    fields: Callable[[Shape], Iterable[str]],
    source: str,
) -> None:
    """Raise one error with everything in the report that was not allowed."""
    problems = {
        "missing keys": [n for n in report.missing_keys if not _matches(n, may_miss)],
        "unexpected keys": [n for n in report.unexpected_keys if not _matches(n, may_drop)],
        "mismatched shapes": [
            f"{short(name)}: got {got}, expected {wanted}" for name, got, wanted in mismatched
        ],
    }
    if any(".lora_A." in name for name in problems["unexpected keys"]):
        raise CheckpointError(
            f"{source}: holds the weights of a run with LoRA before they were merged; resume that "
            "run, or open the directory that it writes at its end"
        )
    parts = [f"{kind} {_listed(names)}" for kind, names in problems.items() if names]
    if parts and any(_matches(name, may_miss) for name, _, _ in mismatched):
        parts.append("ignore_mismatched_sizes=True starts such a head anew")
    odd = tuple(n for _, got, wanted in mismatched for n in wanted if n not in got)
    if said := listed(fields(odd)):
        parts.append(f"config.json says other sizes in {said}")
    if parts:
        raise CheckpointError(f"{source}: does not fit the model: {'; '.join(parts)}")


def _tell(report: LoadReport, source: str) -> None:
    """Warn about new weights, which give noise until they are trained; log what was left out.

    At every load: each makes a model of its own that needs training.
    """
    if report.new_keys and not _trains.get():
        warnings.warn(
            f"{source}: new weights {_listed(report.new_keys)}; the checkpoint has none of this "
            "name and shape: train them before use",
            PlainformerWarning,
            stacklevel=4,  # the caller of from_pretrained, past fit_state
        )
    if report.unexpected_keys:
        _log.info("%s: left out %s", source, _listed(report.unexpected_keys))


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"({len(names)}): {', '.join(map(short, names[:_SHOWN]))}{more}"


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in globs)

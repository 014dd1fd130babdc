"""What one row of the bench is: an operation, a variant of it, a shape and a dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

Arrays = dict[str, Any]
DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


@dataclass(frozen=True)
class Work:
    """The least that an operation must do, whoever does it.

    flop : multiplications and additions of matrix products; 0 where memory is the limit
    read, write : bytes that must come from and go to memory
    terms : length of the longest sum behind one number of the result; bounds the rounding error
    """

    flop: float = 0.0
    read: float = 0.0
    write: float = 0.0
    terms: int = 1


@dataclass(frozen=True)
class Case:
    """One cell: `shape` maps names to sizes, switches (bool) and words (str)."""

    operation: str
    variant: str
    dtype: str
    shape: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The shape in one word or two: `4x12x1024x64 causal`."""
        sizes = "x".join(str(v) for v in self.shape.values() if _is_size(v))
        words = [k if v is True else v for k, v in self.shape.items() if not _is_size(v) and v]
        return " ".join([sizes, *words])

    @property
    def name(self) -> str:
        """`attention.backward.float32.4x12x1024x64 causal`: what patterns are matched against."""
        return f"{self.operation}.{self.variant}.{self.dtype}.{self.label}"

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return DTYPES[self.dtype].itemsize

    def __getitem__(self, key: str) -> Any:
        return self.shape[key]

    def sizes(self, *names: str) -> tuple[int, ...]:
        """The named entries of the shape, in this order."""
        return tuple(self.shape[name] for name in names)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Operation:
    """One file of `cases/`.

    axes : what the numbers of a shape's label stand for
    shapes : from the most telling one down; `--quick` runs the first alone
    inputs : (case, rng) -> named arrays; floating ones are then rounded to the case's dtype
    reference : (case, **inputs in float64) -> the exact results, in the order of the outputs
    work : case -> Work
    observe : (case, outputs, **inputs) -> what is compared, where results are partly random
    only : variant -> shapes, where a variant does not run on all of `shapes`
    more : variant -> further shapes, for `--all`
    """

    name: str
    summary: str
    axes: str
    variants: Sequence[str]
    shapes: Sequence[Mapping[str, Any]]
    inputs: Callable[[Case, np.random.Generator], Arrays]
    reference: Callable[..., tuple[Any, ...]]
    work: Callable[[Case], Work]
    only: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    observe: Callable[..., tuple[Any, ...]] | None = None
    more: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def cases(
        self, dtypes: Sequence[str], *, quick: bool = False, everything: bool = False
    ) -> list[Case]:
        """Every cell of this operation in the given dtypes, with `everything` those of `more`."""
        return [
            Case(self.name, variant, dtype, shape)
            for variant in self.variants
            for dtype in dtypes
            for shape in self.shapes_of(variant, everything and not quick)[: 1 if quick else None]
        ]

    def shapes_of(self, variant: str, everything: bool = False) -> Sequence[Mapping[str, Any]]:
        """The shapes that `variant` runs on, each once."""
        shapes: list[Mapping[str, Any]] = []
        further = self.more.get(variant, ()) if everything else ()
        for shape in (*self.only.get(variant, self.shapes), *further):
            if shape not in shapes:
                shapes.append(shape)
        return shapes


def make_inputs(operation: Operation, case: Case, seed: int) -> Arrays:
    """The inputs of `case`: the same bytes in every process that asks with the same seed."""
    rng = np.random.default_rng(seed)
    return {name: rounded(a, case.dtype) for name, a in operation.inputs(case, rng).items()}


def rounded(value: Any, dtype: str) -> Any:
    """Floating arrays as `dtype`; lists of arrays one by one; ids and masks as they are."""
    if isinstance(value, list):
        return [rounded(item, dtype) for item in value]
    return value.astype(DTYPES[dtype], copy=False) if value.dtype.kind == "f" else value


def in_float64(value: Any) -> Any:
    """Floating arrays as float64; lists of arrays one by one; ids and masks as they are."""
    if isinstance(value, list):
        return [in_float64(item) for item in value]
    floating = value.dtype.kind == "f" or value.dtype == DTYPES["bfloat16"]
    return value.astype(np.float64) if floating else value


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal float32 numbers."""
    return rng.standard_normal(shape, dtype=np.float32)

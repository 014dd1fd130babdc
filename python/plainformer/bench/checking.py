"""Results against the float64 reference, before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .case import Arrays, Case, Operation, in_float64

ROUNDING = {"float32": 2.0**-24, "bfloat16": 2.0**-9}


def reference(operation: Operation, case: Case, inputs: Arrays) -> tuple[Any, ...]:
    """The exact results for inputs of the case's dtype."""
    return operation.reference(case, **{k: in_float64(v) for k, v in inputs.items()})


def observed(
    operation: Operation, case: Case, outputs: tuple[Any, ...], inputs: Arrays
) -> tuple[Any, ...]:
    """The outputs as they are compared: themselves, unless they are partly random."""
    if operation.observe is None:
        return outputs
    return operation.observe(case, outputs, **{k: in_float64(v) for k, v in inputs.items()})


def relative_error(outputs: Sequence[Any], exact: Sequence[Any]) -> float:
    """The largest difference of any output, as a part of that output's largest number.

    A wrong shape, a missing output and NaN are infinitely wrong.
    """
    if len(outputs) != len(exact):
        return float("inf")
    return max(_error(np.asarray(a), np.asarray(b)) for a, b in zip(outputs, exact))


def _error(output: Any, exact: Any) -> float:
    if output.shape != exact.shape or not np.isfinite(output).all():
        return float("inf")
    if exact.size == 0:
        return 0.0
    scale = float(np.abs(exact).max()) or 1.0
    return float(np.abs(output - exact).max()) / scale


def allowed_error(operation: Operation, case: Case) -> float:
    """8 roundings of the dtype and of a float32 sum; a sum errs as the root of its length."""
    terms = operation.work(case).terms
    return 8 * (ROUNDING[case.dtype] + ROUNDING["float32"] * float(np.sqrt(terms)))

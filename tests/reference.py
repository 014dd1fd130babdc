"""float64 references, straight from the formulas: one function an operation and direction.

Each computes in the dtype of its inputs and passes every array between two formulas through
`to` (see tests/accuracy.py).
"""

from __future__ import annotations


def identity(a):
    return a


# --- add -----------------------------------------------------------------------------------------


def add(a, b, *, to=identity):
    return to(a + b)

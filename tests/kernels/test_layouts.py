"""Arrays of every kernel, however they lie in memory: read as what they hold, or named."""

import re

import numpy as np
import pytest

from plainformer.errors import ShapeError
from tests.kernels.calls import CALLS
from tests.kernels.test_masked_arrays import call, recorded_call, replaced


def unaligned(x):
    other = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    other[...] = x
    return other


def between_bytes(x):
    """Strides that are no whole elements."""
    other = np.zeros(x.shape, [("byte", np.uint8), ("x", x.dtype)])["x"]
    other[...] = x
    return other


LAYOUTS = {
    "unaligned": unaligned,
    "between bytes": between_bytes,
    "reversed": lambda x: np.flip(np.flip(x).copy()) if x.ndim else None,
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else None,
    "column-major": lambda x: x.copy(order="F") if x.ndim > 1 else None,
}


def copied(value):
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    return value.copy() if isinstance(value, np.ndarray) else value


def arrays_in(value):
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in arrays_in(item)]
    return [np.asarray(value)] if isinstance(value, np.ndarray) else []


def run(kernel, arguments):
    """What is returned and what is written."""
    result = call(kernel, arguments)
    return [array.tobytes() for array in arrays_in([result, *arguments.values()])]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_layout_changes_no_byte_or_is_named(name, monkeypatch):
    kernel, arguments = recorded_call(name, monkeypatch)
    expected = run(kernel, {key: copied(value) for key, value in arguments.items()})
    for layout, make in LAYOUTS.items():
        for key, value in arguments.items():
            for other in replaced(value, make):
                given = {key: copied(value) for key, value in arguments.items()} | {key: other}
                try:
                    got = run(kernel, given)
                except ShapeError as error:
                    got = str(error)
                refused = isinstance(got, str) and re.search("got (a strided|an unaligned) ", got)
                assert refused or got == expected, (layout, key)

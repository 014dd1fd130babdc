"""No kernel reads past a mask: every array of every public kernel, given masked or as a matrix."""

import functools

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DTypeError
from tests.kernels.calls import CALLS

KINDS = {
    "a masked array": np.ma.masked_array,
    "numpy.matrix": lambda x: x.view(np.matrix) if x.ndim == 2 else None,
}


def recorded_call(name, monkeypatch, dtype=np.float32):
    """The kernel and the arguments of one call of it, by place and by name."""
    kernel, calls = getattr(kernels, name), []

    @functools.wraps(kernel)
    def recording(*places, **names):
        calls.append((places, names))
        return kernel(*places, **names)

    monkeypatch.setattr(kernels, name, recording)
    CALLS[name](np.random.default_rng(3), np.dtype(dtype))()
    places, names = calls[-1]
    return kernel, dict(enumerate(places)) | names


def call(kernel, arguments):
    places = [value for key, value in arguments.items() if isinstance(key, int)]
    return kernel(*places, **{k: v for k, v in arguments.items() if isinstance(k, str)})


def replaced(value, make):
    """What stands for `value`, once for each of its arrays; none for those that `make` makes none
    of."""
    if isinstance(value, np.ndarray):
        if (other := make(value)) is not None:
            yield other
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            for other in replaced(item, make):
                yield type(value)([*value[:i], other, *value[i + 1 :]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(CALLS))
def test_arrays_with_ways_of_their_own_are_refused_in_every_place(name, kind, monkeypatch):
    kernel, arguments = recorded_call(name, monkeypatch)
    for key, value in arguments.items():
        for other in replaced(value, KINDS[kind]):
            with pytest.raises(DTypeError, match=f"got {kind}"):
                call(kernel, arguments | {key: other})


def test_other_subclasses_are_the_arrays_they_hold(tmp_path):
    class Own(np.ndarray):
        pass

    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    mapped[:] = x
    for other in (x.view(Own), mapped):
        np.testing.assert_array_equal(kernels.add(x, other), x + x)
        np.testing.assert_array_equal(kernels.matmul(other, other.T), kernels.matmul(x, x.T))

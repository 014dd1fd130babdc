"""A flag is True or False. Other values are as true as True, and an error that names the flag."""

import functools
import inspect

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DTypeError
from tests.kernels.calls import CALLS


def flags_of(name):
    """The arguments of a kernel that are annotated as flags."""
    parameters = inspect.signature(getattr(kernels, name)).parameters.values()
    return [p.name for p in parameters if "bool" in str(p.annotation)]


@pytest.mark.parametrize("name", sorted(n for n in CALLS if flags_of(n)))
@pytest.mark.parametrize("wrong", [1, 0, 2.0, None, "yes"], ids=repr)
def test_what_is_no_flag_is_named(name, wrong, monkeypatch):
    kernel = getattr(kernels, name)
    given = {}

    @functools.wraps(kernel)
    def note(*arguments, **options):
        given.update(inspect.signature(kernel).bind(*arguments, **options).arguments)
        given.update(given.pop("options", {}))  # those that another kernel names
        return kernel(*arguments, **options)

    monkeypatch.setattr(kernels, name, note)
    CALLS[name](np.random.default_rng(0), np.dtype(np.float32))()
    for flag in flags_of(name):
        several = isinstance(given.get(flag), tuple)
        value = (True, wrong, True) if several else wrong
        with pytest.raises(DTypeError, match=rf"{flag}\S*: got"):
            kernel(**{**given, flag: value})


def test_flags_of_numpy_are_flags():
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(
        kernels.matmul(x, x, transpose_b=np.True_), kernels.matmul(x, x, transpose_b=True)
    )

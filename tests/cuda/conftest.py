"""Fixtures of the CUDA kernels' tests: the element types that they have."""

import numpy as np
import pytest

from tests.cuda.calls import DTYPES, SHORT


@pytest.fixture(params=DTYPES)
def dtype(request):
    return np.dtype(DTYPES[request.param])


@pytest.fixture(params=SHORT)
def short(request):
    """A type of tensor cores."""
    return np.dtype(DTYPES[request.param])

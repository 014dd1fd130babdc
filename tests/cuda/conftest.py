"""Fixtures of the CUDA kernels' tests: the element types that they have."""

import ml_dtypes
import numpy as np
import pytest

DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


@pytest.fixture(params=DTYPES)
def dtype(request):
    return np.dtype(DTYPES[request.param])

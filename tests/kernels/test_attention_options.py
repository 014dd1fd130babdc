"""Options of attention that are of another kind are named, never taken for what they are not."""

import inspect

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError
from tests.kernels.calls import CALLS
from tests.kernels.test_masked_arrays import call, recorded_call

ATTENTION = sorted(name for name in CALLS if "attn" in name or "attention" in name)
FLAGS = ("causal", "is_causal", "enable_gqa", "return_lse", "bias_grad", "mask_grad")
OPTIONS = [
    (name, flag)
    for name in ATTENTION
    for flag in FLAGS
    if flag in inspect.signature(getattr(kernels, name)).parameters
]


@pytest.mark.parametrize(("name", "flag"), OPTIONS)
def test_flags_are_true_or_false(name, flag, monkeypatch):
    kernel, arguments = recorded_call(name, monkeypatch)
    for value in ("no", (-1, 0), 1, None, np.array(True), [False]):
        with pytest.raises(DTypeError, match=rf"^{flag}: got .*, expected True or False"):
            call(kernel, arguments | {flag: value})
    call(kernel, arguments | {flag: np.bool_(arguments.get(flag, False))})


def test_windows_and_layouts_of_other_kinds():
    q = np.ones((1, 2, 1, 4), np.float32)
    for window in ((np.array([1, 2]), 1), (np.array([-1, -1]), -1), [[], []], 3):
        with pytest.raises(DTypeError, match=r"^window_size: got"):
            kernels.flash_attn_func(q, q, q, window_size=window)
    for layout in ([], {}, np.array("blhd"), None):
        with pytest.raises(ConfigError, match=r"^layout: got"):
            kernels.scaled_dot_product_attention(q, q, q, layout=layout)

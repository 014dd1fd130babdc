"""One wrong start of a packed batch keeps a kernel from all of them, whichever thread sees it.

Arrays end at a guard page: reading one row too far is a fault, which the emulation reports in the
place of the error that is expected.
"""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ShapeError
from tests.device import DeviceArray
from tests.emulated import emulated, to_device
from tests.guarded import guarded

SEQUENCES, WIDTH = 40, 64  # more starts than a warp has lanes


def attend(starts, longest, rng):
    q, k, v = (
        DeviceArray(guarded(rng.standard_normal((SEQUENCES, 1, WIDTH)).astype(np.float32)))
        for _ in range(3)
    )
    starts = to_device(np.array(starts, np.int32))
    y = kernels.flash_attn_varlen_func(q, k, v, starts, starts, longest, longest)
    return kernels.asnumpy(y)  # where errors of the device are told


@pytest.mark.parametrize("order", ["fifo", "lifo", "1"])
@pytest.mark.parametrize("at", [1, 20, 36, SEQUENCES])
def test_a_huge_start_is_used_by_nobody(rng, order, at):
    starts = list(range(SEQUENCES + 1))
    starts[at] = 1 << 30
    # The next one is wrong beside it, and any of the wrong ones is told.
    said = rf"cu_seqlens_[qk]: got (1073741824 at flat index {at}|{at + 1} at flat index {at + 1}),"
    with emulated(80, order), pytest.raises(ShapeError, match=said):
        attend(starts, 1, rng)


@pytest.mark.parametrize("order", ["fifo", "lifo", "1"])
def test_starts_are_judged_before_any_is_used(rng, order):
    # All but the last look right by their neighbours; the first sequence would have 2000 rows.
    starts = [0] + [2000] * SEQUENCES
    with emulated(80, order), pytest.raises(ShapeError, match=r"cu_seqlens_[qk]: got 2000"):
        attend(starts, 2000, rng)

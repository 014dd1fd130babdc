"""Arrays of two devices in one call: one error that names the one that is elsewhere."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import DeviceError
from tests.emulated import emulated, to_device
from tests.kernels.calls import CALLS
from tests.kernels.test_masked_arrays import call, recorded_call, replaced


class Left:
    """An array that stays on the host."""

    def __init__(self, array):
        self.array = array


def placed(value):
    """The value with its arrays on the device."""
    if isinstance(value, np.ndarray):
        return to_device(value)
    if isinstance(value, (list, tuple)):
        return type(value)([placed(item) for item in value])
    return value.array if isinstance(value, Left) else value


def count_arrays(value):
    if isinstance(value, (list, tuple)):
        return sum(map(count_arrays, value))
    return isinstance(value, np.ndarray)


# Packing and what is multiplied by it are the CPU's.
CPU_ALONE = {"dequantize_weight", "linear_int8", "pack_int8", "pack_weight", "quantize_weight"}


@pytest.mark.parametrize("name", sorted(set(CALLS) - CPU_ALONE))
def test_an_array_of_the_host_among_those_of_a_device_is_named(name, monkeypatch):
    kernel, arguments = recorded_call(name, monkeypatch)
    if sum(map(count_arrays, arguments.values())) < 2:
        return
    with emulated():
        for key, value in arguments.items():
            for other in replaced(value, Left):
                there = {k: placed(v) for k, v in (arguments | {key: other}).items()}
                with pytest.raises(DeviceError, match=r"^\S+: got an array on (cpu|cuda:0), exp"):
                    call(kernel, there)


def test_a_wrong_label_with_class_weights_is_told_later(rng):
    x = rng.standard_normal((3, 5)).astype(np.float32)
    weight, lse = np.ones(5, np.float32), np.ones(3, np.float32)
    for wrong in (-1, 5, 2**62, -(2**63)):
        target = np.array([0, wrong, 4])
        arrays = [to_device(a) for a in (x, target, lse, weight)]
        with emulated() as compiled:
            dx = kernels.cross_entropy_backward(1.0, *arrays)
            assert compiled.take_error(0) == ("target", 1, wrong, 5)
            assert np.isfinite(dx._hidden[[0, 2]]).all()

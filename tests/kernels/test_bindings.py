"""Compiled functions refuse numbers that name nothing, whatever called them."""

import copy
import pickle
import platform

import numpy as np
import pytest

from plainformer import _cpu, kernels
from tests.fuzz.bindings import canonical

ENUMS = {  # the place of the number, and how many there are from 0 on
    "activation": (1, 6),
    "activation_backward": (2, 6),
    "elementary": (1, 7),
    "gated_activation": (2, 6),
    "gated_activation_backward": (3, 6),
    "linear": (3, 6),
    "linear_grad": (5, 6),
    "linear_int8": (3, 6),
    "linear_onto": (4, 6),
}
LAYOUTS = {"attention": 7, "attention_backward": 10, "cached_attention": 8}


@pytest.mark.parametrize("name", ENUMS)
def test_a_number_that_names_no_function_is_refused(name, dtype, rng):
    arguments = list(canonical(rng, dtype)[name])
    place, count = ENUMS[name]
    assert getattr(_cpu, name)(*arguments) is not None
    for number in (-1, count, 99, -(1 << 31), (1 << 31) - 1):
        arguments[place] = number
        assert getattr(_cpu, name)(*arguments) is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_options_that_mean_nothing_are_refused(name, dtype, rng):
    arguments = list(canonical(rng, dtype)[name])
    place = LAYOUTS[name]
    options = arguments[place]
    assert getattr(_cpu, name)(*arguments) is not None
    wrong = [(0, layout) for layout in (-1, 3, 99, 1 << 30)]  # the places of _attention.Options
    wrong += [(at, distance) for at in (6, 7) for distance in (-2, 1 << 62, -(1 << 63))]
    wrong += [(9, p) for p in (-0.1, 1.1, float("nan"), float("inf"))]
    for at, value in wrong:
        arguments[place] = (*options[:at], value, *options[at + 1 :])
        assert getattr(_cpu, name)(*arguments) is None, (at, value)
    for length in range(len(options)):
        arguments[place] = options[:length]
        with pytest.raises(IndexError):
            getattr(_cpu, name)(*arguments)


def test_a_cache_has_no_packed_sequences_and_no_dropout(dtype, rng):
    *arrays, options = canonical(rng, dtype)["cached_attention"]
    for change in ({0: 2}, {9: 0.5}):
        changed = tuple(change.get(i, value) for i, value in enumerate(options))
        assert _cpu.cached_attention(*arrays, changed) is None


def test_no_packed_weight_is_made_but_by_packing():
    packed = kernels.pack_weight(np.ones((3, 2), np.float32))
    for make in (
        kernels.PackedWeight,
        lambda: kernels.PackedWeight.__new__(kernels.PackedWeight),
        lambda: type(packed).__mro__[1].__new__(kernels.PackedWeight),
        lambda: copy.copy(packed),
        lambda: pickle.dumps(packed),
    ):
        with pytest.raises(TypeError):
            make()


UNFIT_MODES = {  # traps, and bits that stand for nothing
    "x86_64": (0, 0x1F00, 1 << 16, (1 << 32) - 1),
    "aarch64": (1 << 8, 1 << 15, 1, 1 << 40),
}


@pytest.mark.skipif(platform.machine() not in UNFIT_MODES, reason="mode register not known")
def test_no_float_mode_is_set_that_the_processor_faults_at():
    before = _cpu.get_float_mode()
    for mode in UNFIT_MODES[platform.machine()]:
        with pytest.raises(ValueError, match="mode: got"):
            _cpu.set_float_mode(mode)
    assert _cpu.get_float_mode() == before


def test_bfloat16_is_no_other_type():
    for dtype in (np.float32, np.float16, object, np.complex128):
        with pytest.raises(TypeError, match=r"expected ml_dtypes\.bfloat16"):
            _cpu.set_bfloat16_dtype(np.dtype(dtype))


def test_rows_of_nothing_are_none_whatever_their_strides(dtype):
    """Slices of nothing whose leading axes are no single one: a kernel that took a part of them for
    rows would read and write beyond the arrays."""
    x = np.ones((4, 7, 500), dtype)[:0, ::2]
    ids, weight = np.zeros((0, 4), np.int64), np.ones((3, 500), dtype)
    for y in (
        kernels.layer_norm(x, 500),
        kernels.rms_norm(x, 500),
        kernels.dropout(x, 0.5, 1, 0),
        kernels.softmax(x),
        kernels.swiglu(x, x),
        kernels.linear(x, weight),
    ):
        assert y.shape == (*x.shape[:-1], y.shape[-1])
    _, mean, rstd = kernels.layer_norm(x, 500, return_stats=True)
    assert kernels.layer_norm_backward(x, x, None, mean, rstd)[0].shape == x.shape
    assert not kernels.embedding_backward(x, ids, 3).any()


def test_what_is_no_argument_of_its_kind_is_a_type_error():
    x = np.ones((2, 3), np.float32)
    for call in (
        lambda: _cpu.add(x),
        lambda: _cpu.add(x, x, x),
        lambda: _cpu.add(x, b=x),
        lambda: _cpu.softmax(x, 1 << 70, False, None),  # axes fit 32 bits
        lambda: _cpu.softmax(x, 1 << 31, False, None),
        lambda: _cpu.softmax(x, 1.0, False, None),
        lambda: _cpu.softmax(x, None, False, None),
        lambda: _cpu.softmax(x, -1, 1, None),  # flags are True and False
        lambda: _cpu.softmax(x, -1, None, None),
        lambda: _cpu.dropout(x, "0.5", 1, 0),
        lambda: _cpu.dropout(x, 0.5, -1, 0),  # seeds have 64 bits and no sign
        lambda: _cpu.dropout(x, 0.5, 1 << 64, 0),
        lambda: _cpu.dropout(x, 0.5, 1, 1 << 32),
        lambda: _cpu.attention(x, x, x, None, None, None, None, [0] * 12, None, False),
        lambda: _cpu.pack_weight(3),
    ):
        with pytest.raises(TypeError):
            call()
    for error in (KeyboardInterrupt, MemoryError, ValueError):  # of the argument's own: not ours

        class Own:
            def __index__(self, error=error):
                raise error

            __float__ = __index__

        for call in (
            lambda own: _cpu.softmax(x, own, False, None),
            lambda own: _cpu.dropout(x, own, 1, 0),
        ):
            with pytest.raises(error):
                call(Own())
    for whole in (np.int64(1), np.uint8(1), True):
        assert _cpu.softmax(x, whole, False, None) is not None
    assert _cpu.dropout(x, np.float32(0.5), (1 << 64) - 1, 7) is not None
    assert _cpu.add(x, 3) is None
    assert _cpu.add.__module__ == "plainformer._cpu"

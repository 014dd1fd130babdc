"""No output shares memory with an input or with another output, whatever the kernel."""

import inspect
import itertools

import numpy as np
import pytest

from plainformer import _cpu, kernels
from plainformer.errors import ConfigError
from tests.kernels.outputs import writers

EXEMPT = {  # they write through a kernel of the list
    "flash_attn_qkvpacked_func",
    "flash_attn_qkvpacked_backward",
    "flash_attn_varlen_qkvpacked_func",
    "flash_attn_varlen_qkvpacked_backward",
}
IN_PLACE = {("accumulate", "out", "x")}  # the very array, by its documentation


def overlapping(first, second):
    """Copies of the two that share the first's last element with the second's first."""
    bytes_ = max(first.itemsize, second.itemsize)
    shared = -(-first.nbytes // bytes_) * bytes_ - bytes_  # aligned for both
    block = np.zeros(first.nbytes + second.nbytes + 64, np.uint8)
    parts = []
    for array, at in ((first, 0), (second, shared)):
        part = block[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
        part[...] = array
        parts.append(part)
    assert np.shares_memory(*parts)
    return parts


def pairs(writer):
    """Names of an output and of another array of the call."""
    yield from itertools.product(writer.outputs, writer.inputs)
    yield from itertools.combinations(writer.outputs, 2)


def test_every_output_against_every_other_array(dtype, rng):
    for kernel, writer in writers(rng, dtype):
        writer.run(writer.outputs | writer.inputs)  # apart: no error
        for output, other in pairs(writer):
            arrays = {n: a.copy() for n, a in (writer.outputs | writer.inputs).items()}
            arrays[output], arrays[other] = overlapping(arrays[output], arrays[other])
            before = {name: array.copy() for name, array in arrays.items()}
            names = sorted((output, other))
            with pytest.raises(ConfigError) as error:
                writer.run(arrays)
            message = str(error.value)
            assert all(name in message for name in names), (kernel, names, message)
            assert "shares memory with" in message
            for name, array in arrays.items():
                np.testing.assert_array_equal(array, before[name], f"{kernel} wrote {name}")


def test_an_array_given_twice(dtype, rng):
    for kernel, writer in writers(rng, dtype):
        for output, other in pairs(writer):
            arrays = writer.outputs | writer.inputs
            same = arrays[output].shape == arrays[other].shape
            if not same or arrays[output].dtype != arrays[other].dtype:
                continue
            arrays[output] = arrays[other] = arrays[output].copy()
            if (kernel, output, other) in IN_PLACE:
                twice = 2 * arrays[output]
                writer.run(arrays)
                np.testing.assert_array_equal(arrays[output], twice)
                continue
            with pytest.raises(ConfigError, match="shares memory with"):
                writer.run(arrays)


def test_the_list_of_writers_is_whole(rng):
    listed = {name for name, _ in writers(rng, np.dtype(np.float32))}
    for name in kernels.__all__:
        kernel = getattr(kernels, name)
        if inspect.isclass(kernel) or name in EXEMPT:
            continue
        parameters = inspect.signature(kernel).parameters
        writes = "out" in parameters or "k_cache" in parameters or name.endswith("_step")
        assert writes == (name in listed), name


def test_outputs_that_lie_between_each_other_share_nothing(dtype, rng):
    qkv = rng.standard_normal((2, 3, 3, 2, 4)).astype(dtype)
    q, k, v = (qkv[:, :, i] for i in range(3))
    y, lse = kernels.flash_attn_func(q, k, v, return_lse=True)
    separate = kernels.flash_attn_backward(y, q, k, v, y, lse)
    packed = np.zeros_like(qkv)
    kernels.flash_attn_backward(y, q, k, v, y, lse, out=tuple(packed[:, :, i] for i in range(3)))
    for i, gradient in enumerate(separate):
        np.testing.assert_array_equal(packed[:, :, i], gradient)
    both = np.zeros((2, 3, 2, 8), dtype)
    both[..., :4] = q
    out = kernels.flash_attn_func(both[..., :4], k, v, out=both[..., 4:])
    np.testing.assert_array_equal(out, y)
    np.testing.assert_array_equal(both[..., :4], q)


def test_a_packed_gradient_must_not_be_the_packed_input(dtype, rng):
    qkv = rng.standard_normal((2, 3, 3, 2, 4)).astype(dtype)
    y, lse = kernels.flash_attn_qkvpacked_func(qkv, return_lse=True)
    with pytest.raises(ConfigError, match=r"out\[0\]: shares memory with q"):
        kernels.flash_attn_qkvpacked_backward(y, qkv, y, lse, out=qkv)
    rows = qkv.reshape(6, 3, 2, 4)
    starts = np.array([0, 6], np.int32)
    y, lse = kernels.flash_attn_varlen_qkvpacked_func(rows, starts, 6, return_lse=True)
    with pytest.raises(ConfigError, match=r"out\[0\]: shares memory with q"):
        kernels.flash_attn_varlen_qkvpacked_backward(y, rows, y, lse, starts, 6, out=rows)
    with pytest.raises(ConfigError, match=r"out: shares memory with [qkv]"):
        kernels.flash_attn_qkvpacked_func(qkv, out=qkv[:, :, 1])


def test_inputs_may_share_memory_with_each_other(dtype, rng):
    grad = rng.standard_normal(16).astype(dtype)
    params = [np.zeros(16, dtype) for _ in range(2)]
    kernels.sgd_step(params, [grad, grad], lr=1.0)
    np.testing.assert_array_equal(params[0], params[1])
    x = rng.standard_normal((2, 3, 2, 4)).astype(dtype)
    kernels.flash_attn_func(x, x, x, out=np.zeros_like(x))


def test_a_strided_input_is_looked_at_where_it_lies(dtype, rng):
    block = rng.standard_normal((4, 16)).astype(dtype)
    strided, out = block[:, ::2], block.reshape(-1)[:32].reshape(4, 8)  # x would be copied first
    for kernel in (kernels.relu, kernels.softmax):
        with pytest.raises(ConfigError, match="out: shares memory with x"):
            kernel(strided, out=out)
    qkv = rng.standard_normal((2, 3, 2, 8)).astype(dtype)
    with pytest.raises(ConfigError, match="out: shares memory with q"):
        kernels.flash_attn_func(qkv[..., ::2], qkv[..., ::2], qkv[..., ::2], out=qkv[..., :4])


def random_view(rng, block):
    """Slices, steps, flips, transposes and new axes of a block."""
    view = block.reshape([(24,), (2, 12), (4, 6), (2, 3, 4)][rng.integers(4)])
    for _ in range(rng.integers(3)):
        axis = int(rng.integers(view.ndim))
        start, step = int(rng.integers(4)), int(rng.choice([1, 2, 3, -1, -2]))
        index = [slice(None)] * view.ndim
        index[axis] = slice(start, None, step) if step > 0 else slice(None, start, step)
        view = view[tuple(index)]
        if view.ndim > 1 and rng.integers(2):
            view = view.transpose(rng.permutation(view.ndim))
    return view


def test_memory_is_shared_exactly_where_numpy_says_so(rng):
    counts = [0, 0]
    for _ in range(3000):
        block = np.zeros(24, np.int16)
        a, b = random_view(rng, block), random_view(rng, block)
        if rng.integers(3) == 0 and b.flags.c_contiguous and b.size:
            b = b.view(np.int8)  # elements of another size
        exact = np.shares_memory(a, b)
        assert _cpu.shares_memory(a, b) == exact == _cpu.shares_memory(b, a)
        counts[exact] += 1
        assert _cpu.is_distinct(a), "a view of an array has each element once"
    assert min(counts) > 300, "both answers are common"


def test_elements_that_share_memory():
    block = np.zeros(10, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(block, 4)
    assert not _cpu.is_distinct(windows)
    assert not _cpu.is_distinct(np.broadcast_to(block, (3, 10)))
    assert _cpu.is_distinct(np.broadcast_to(block, (1, 10)))
    assert _cpu.is_distinct(np.broadcast_to(block[:0], (3, 0)))
    assert not _cpu.shares_memory(windows[:0], block)


def test_contrived_strides_end_soon_on_the_safe_side():
    block = np.zeros(1 << 16, np.int8)
    strides = [1009, 1013, 1019, 1021, 1031, 1033, 1039]
    views = [np.lib.stride_tricks.as_strided(block[at:], (9,) * 7, strides) for at in (0, 1 << 15)]
    _cpu.shares_memory(*views)  # an answer, not a search of all sums

"""Philox4x32-10: known answers of the authors' library Random123, and the form that kernels use."""

import numpy as np
import pytest

from plainformer import _cpu, kernels
from tests import reference

# kat_vectors of Random123: counter, key, result
KNOWN = [
    ((0,) * 4, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0_A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN, ids=["zeros", "ones", "pi"])
def test_known_answers(counter, key, words):
    assert _cpu.philox(key, *counter) == words
    assert tuple(reference.philox(key, np.array(counter, np.uint64))) == words


def test_decisions_follow_the_counter(backend, rng):
    """Each element's decision is its 16-bit value of the call at (column / 8, row, 0, offset)."""
    x = np.ones((9, 300), np.float32)
    y = kernels.dropout(backend(x), 0.4, 123456789012345, 77)
    for row, column in [(0, 0), (3, 7), (8, 8), (5, 131), (1, 255), (8, 299)]:
        words = _cpu.philox(123456789012345, column // 8, row, 0, 77)
        value = words[column % 8 // 2] >> (column % 2 * 16) & 0xFFFF
        assert (y[row, column] != 0) == (value >= round(0.4 * 65536))


def test_values_are_uniform_and_independent():
    """Chi-squared of 64 classes, and correlations between neighbors, seeds and offsets."""
    masks = [
        reference.dropout_mask(512, 512, 0.5, seed, offset)[0] * 2.0 - 1
        for seed, offset in [(1, 0), (2, 0), (1, 1)]
    ]
    bound = 5 / 512  # five standard deviations of a mean of 512 * 512 signs
    for mask in masks:
        assert abs(mask.mean()) < bound
        assert abs((mask[:, 1:] * mask[:, :-1]).mean()) < bound
        assert abs((mask[1:] * mask[:-1]).mean()) < bound
    assert abs((masks[0] * masks[1]).mean()) < bound
    assert abs((masks[0] * masks[2]).mean()) < bound
    counters = np.zeros((1 << 16, 4), np.uint64)
    counters[:, 0] = np.arange(1 << 16)
    classes = np.bincount((reference.philox(7, counters) >> 26).ravel(), minlength=64)
    expected = 4 * (1 << 16) / 64
    assert ((classes - expected) ** 2 / expected).sum() < 63 + 5 * np.sqrt(2 * 63)

"""Tiny models that transformers wrote, with its outputs, losses and gradients: ours are the same.

`python -m tests.peers.regenerate` writes the fixtures.
"""

import pytest

from .numbers import GOLDEN, assert_same, load_golden, ours

FOLDERS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", FOLDERS)
def test_outputs_loss_and_all_gradients_are_those_of_transformers(name):
    model, inputs, outputs, expected = load_golden(GOLDEN / name)
    assert_same(ours(model, inputs, outputs), expected)

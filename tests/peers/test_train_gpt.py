"""The GPT of benchmarks/train_gpt.py in PyTorch and ours: the same weights, the same losses."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from plainformer.bench.process import Child, PeerMissingError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": 8, "batch_size": 3}
VOCAB, STEPS = 11, 5


@pytest.fixture
def sides():
    python = os.environ.get("PLAINFORMER_PEER_PYTHON", sys.executable)
    try:
        theirs = Child(str(BENCHMARKS / "gpt_torch.py"), 1, interpreter=python)
    except PeerMissingError as error:
        pytest.skip(f"no PyTorch: {error}")
    ours = Child(str(BENCHMARKS / "gpt_plainformer.py"), 1, bare=False)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_both_sides_train_alike(sides, tmp_path, rng):
    weights, blocks = str(tmp_path / "weights.npz"), str(tmp_path / "blocks.npy")
    tokens = str(tmp_path / "tokens.npy")
    np.save(blocks, rng.integers(0, VOCAB, (STEPS, SIZES["batch_size"], SIZES["block_size"] + 1)))
    np.save(tokens, rng.integers(0, VOCAB, 30))  # three windows and a short one
    sides[0].ask("create", sizes=SIZES, vocab_size=VOCAB, seed=1, path=weights)
    counts, losses, validation = [], [], []
    for side in sides:
        count = side.ask("start", sizes=SIZES, vocab_size=VOCAB, weights=weights)["parameters"]
        counts.append(count)
        losses.append(side.ask("steps", blocks=blocks, first=200)["losses"])
        validation.append(side.ask("evaluate", tokens=tokens, block_size=8)["loss"])
    assert counts[0] == counts[1]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert validation[0] == pytest.approx(validation[1], rel=1e-4)

"""Tokens and scores that transformers gives for a tiny GPT-2, kept as a fixture.

Written by `python -m tests.peers.test_generation`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf

DIRECTORY = Path(__file__).parent / "golden"
EXPECTED = "expected.json"


@pytest.fixture(scope="module")
def model():
    return pf.load(DIRECTORY)


def test_tokens_and_scores_are_those_of_transformers(model):
    expected = json.loads((DIRECTORY / EXPECTED).read_text())
    assert len(expected["cases"]) > 60
    for case in expected["cases"]:
        ids, mask = expected["prompts"][case["prompts"]]
        output = model.generate(
            ids, 12, attention_mask=mask, return_dict_in_generate=True, output_scores=True,
            **case["options"],
        )  # fmt: skip
        np.testing.assert_array_equal(output.sequences[:, 6:], case["new"], str(case["options"]))
        if "scores" in case:
            np.testing.assert_allclose(output.sequences_scores, case["scores"], atol=1e-4)

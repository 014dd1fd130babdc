"""Phi-3's LongRoPE: each sequence by its own length, with a cache and without."""

import numpy as np
import pytest

from plainformer.errors import ConfigError

from .tiny import make


@pytest.fixture
def model():
    return make("phi3", "causal-lm").eval()  # more than 5 tokens are long


def test_rows_do_not_depend_on_the_rows_beside_them(model, rng):
    ids = rng.integers(2, 31, (2, 8))
    mask = np.array([[1] * 8, [1] * 4 + [0] * 4])
    both = model(ids, mask).logits.data
    for row, length in ((0, 8), (1, 4)):
        alone = model(ids[row : row + 1, :length]).logits.data[0]
        np.testing.assert_allclose(both[row, :length], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_text_that_grows_past_the_border_is_read_again(model, rng, beams):
    ids = rng.integers(2, 31, (2, 3))
    options = {"max_new_tokens": 7, "eos_token_id": None, "num_beams": beams, "do_sample": False}
    cached = model.generate(ids, **options)
    np.testing.assert_array_equal(cached, model.generate(ids, use_cache=False, **options))


def test_a_cache_of_short_keys_takes_no_long_sequence(model, rng):
    cache = model.new_cache(1, 12)
    model.next_logits(rng.integers(2, 31, (1, 4)), cache)
    with pytest.raises(ConfigError, match="grow past 5 tokens"):
        model.next_logits(rng.integers(2, 31, (1, 3)), cache)

"""Draws: as often as the formulas say, from the tokens that the options leave."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, NonFiniteError
from plainformer.generation import Sampling
from plainformer.generation.sampling import top_indices


def draw(sampling, logits, rng):
    return sampling.draw_at(logits, rng.random(len(logits)))


class TestSampling:
    PROBABILITIES = np.array([0.1, 0.4, 0.2, 0.25, 0.05])

    def shares(self, draws=20_000, **options):
        """How often each token is drawn."""
        logits = np.log(self.PROBABILITIES).astype(np.float32)
        rng = np.random.Generator(np.random.Philox(key=[1, 3]))
        drawn = draw(Sampling(**options), np.tile(logits, (draws, 1)), rng)
        return np.bincount(drawn, minlength=5) / draws

    def wanted(self, kept, power=1.0):
        p = np.where(np.isin(np.arange(5), kept), self.PROBABILITIES, 0) ** power
        p[~np.isin(np.arange(5), kept)] = 0
        return p / p.sum()

    @pytest.mark.parametrize(
        ("options", "kept", "power"),
        [
            ({}, [0, 1, 2, 3, 4], 1),
            ({"top_k": 2}, [1, 3], 1),
            ({"top_p": 0.7}, [1, 2, 3], 1),
            ({"top_p": 0.6}, [1, 3], 1),
            ({"temperature": 0.5}, [0, 1, 2, 3, 4], 2),
            ({"temperature": 0.5, "top_k": 4, "top_p": 0.8}, [1, 3], 2),
        ],
        ids=str,
    )
    def test_tokens_are_drawn_as_often_as_they_should(self, options, kept, power):
        shares = self.shares(**options)
        np.testing.assert_allclose(shares, self.wanted(kept, power), atol=0.01)
        assert not shares[[i for i in range(5) if i not in kept]].any()

    def test_impossible_tokens_are_never_drawn(self):
        logits = np.array([[-np.inf, 0.0, -np.inf]], np.float32)
        rng = np.random.Generator(np.random.Philox(key=[1, 3]))
        assert {int(draw(Sampling(), logits, rng)[0]) for _ in range(50)} == {1}

    def test_rows_are_drawn_apart(self):
        logits = np.full((2, 3), -50.0, np.float32)
        logits[0, 2] = logits[1, 0] = 0
        rng = np.random.Generator(np.random.Philox(key=[1, 3]))
        assert draw(Sampling(), logits, rng).tolist() == [2, 0]

    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            ({"min_p": 0.5}, [1, 2, 3]),
            ({"min_p": 0.6}, [1, 3]),
            ({"min_p": 0.5, "top_k": 2}, [1, 3]),
            ({"min_p": 0.2, "top_p": 0.96}, [0, 1, 2, 3]),
            ({"top_k": 4, "top_p": 0.7}, [1, 2, 3]),
        ],
        ids=str,
    )
    def test_options_together(self, options, kept):
        np.testing.assert_allclose(self.shares(**options), self.wanted(kept), atol=0.01)

    @pytest.mark.parametrize(
        "options",
        [
            {}, {"temperature": 0.3}, {"top_k": 7}, {"top_p": 0.8}, {"min_p": 0.1},
            {"top_p": 0.999}, {"top_k": 40, "top_p": 0.7, "min_p": 0.02, "temperature": 1.7},
        ],
        ids=str,
    )  # fmt: skip
    def test_filters_are_those_of_the_plain_formulas(self, options, rng):
        """Over more tokens than are ranked at first, with equal ones among them."""
        logits = rng.standard_normal((5, 700)).astype(np.float32).round(1)
        for least in (1, 3):
            found = Sampling(**options).filter(logits, least)
            scaled = logits / np.float32(options.get("temperature", 1))
            np.testing.assert_array_equal(np.isfinite(found), kept_tokens(scaled, least, **options))
            np.testing.assert_array_equal(found[np.isfinite(found)], scaled[np.isfinite(found)])

    def test_a_filter_that_leaves_all_changes_no_draw(self, rng):
        logits = rng.standard_normal((6, 90)).astype(np.float32)
        uniform = rng.random(6)
        plain = Sampling().draw_at(logits, uniform)
        for options in ({"top_k": 90}, {"top_k": 500}, {"top_p": 1.0}, {"min_p": 0.0}):
            np.testing.assert_array_equal(Sampling(**options).draw_at(logits, uniform), plain)

    def test_the_ends_of_the_unit_interval_draw_possible_tokens(self):
        logits = np.array([[-np.inf, 0.0, 1.0, -np.inf]], np.float32)
        for options in ({}, {"top_k": 2}, {"top_k": 4, "top_p": 0.99}):
            draws = [Sampling(**options).draw_at(logits, np.array([u])) for u in (0, 1 - 2**-53)]
            assert [int(d[0]) for d in draws] == [1, 2]

    def test_cold_draws_are_greedy_and_finite(self, rng):
        logits = (rng.standard_normal((4, 50)) * 1e4).astype(np.float32)
        drawn = draw(Sampling(temperature=1e-300), logits, rng)
        np.testing.assert_array_equal(drawn, logits.argmax(axis=1))

    def test_rows_without_a_possible_token_are_an_error(self, rng):
        with pytest.raises(ConfigError, match="every token of a row is ruled out"):
            draw(Sampling(), np.full((1, 3), -np.inf, np.float32), rng)
        with pytest.raises(NonFiniteError, match="logits: got NaN"):
            draw(Sampling(top_k=2), np.full((1, 3), np.nan, np.float32), rng)


def kept_tokens(logits, least, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0):
    """Which tokens remain, from the definitions, a row at a time."""
    kept = np.zeros(logits.shape, bool)
    for row, keep in zip(logits.astype(np.float64), kept):
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))
        order = order[: max(top_k, least) if top_k else None]
        p = np.exp(row[order] - row[order[0]])
        share = p / p.sum()
        for rank, token in enumerate(order):
            inside = share[:rank].sum() < top_p and p[rank] >= min_p
            keep[token] = rank < least or inside
    return kept


def test_the_largest_come_in_order_of_value_then_place(rng):
    for shape, count in (((3, 50), 7), ((2, 5), 5), ((2, 5), 9), ((4, 300), 299), ((0, 4), 2)):
        x = rng.integers(0, 9, shape).astype(np.float32)
        wanted = np.argsort(-x, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(top_indices(x, count), wanted)
        x[:, ::2] = -np.inf
        wanted = np.argsort(-x, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(top_indices(x, count), wanted)

"""Correlations of numbers and of ranks, scipy's figures for ties, constants and extremes."""

import numpy as np
import pytest

from plainformer import metrics
from plainformer.errors import DataError, DTypeError, ShapeError


def test_ties_share_the_mean_of_their_ranks():
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: 4.5 / sqrt(4.5 5)
    found = metrics.spearman_correlation([1, 2, 2, 3], [1, 3, 2, 4])
    assert found == pytest.approx(4.5 / np.sqrt(22.5), abs=1e-15)
    # scipy.stats.spearmanr and pearsonr
    x, y = [3.0, 1.0, 1.0, 7.0, 7.0, 7.0, 2.0], [0.5, 0.1, 0.4, 0.4, 0.9, 0.4, 0.2]
    assert metrics.spearman_correlation(x, y) == pytest.approx(0.6019701189699784, abs=1e-14)
    assert metrics.pearson_correlation(x, y) == pytest.approx(0.6125525187567953, abs=1e-14)


def test_only_the_order_counts_for_spearman(rng):
    x, y = rng.standard_normal((2, 50))
    told = metrics.spearman_correlation(x, y)
    assert metrics.spearman_correlation(np.exp(3 * x), y**3) == pytest.approx(told, abs=1e-14)
    assert metrics.spearman_correlation(x, np.exp(x)) == pytest.approx(1, abs=1e-14)
    assert metrics.spearman_correlation(x, -x) == pytest.approx(-1, abs=1e-14)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_pearson_changes_with_neither_scale_nor_place(rng, scale, shift):
    x, y = rng.standard_normal((2, 50))
    wanted = metrics.pearson_correlation(x, y)
    assert metrics.pearson_correlation((x + shift) * scale, y) == pytest.approx(wanted, rel=1e-8)


def test_a_constant_side_tells_nothing():
    assert metrics.pearson_correlation([0.1, 0.1, 0.1], [1, 2, 3]) == 0
    assert metrics.spearman_correlation([1, 2, 3], [5, 5, 5]) == 0
    assert metrics.pearson_correlation([0, 0], [0, 1]) == 0
    assert metrics.regression_metrics([2.0], [3.0]) == {
        "pearson": 0.0, "spearman": 0.0, "mean_absolute_error": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(("x", "y", "error", "message"), [
    ([], [], ShapeError, "no examples"),
    ([1], [1, 2], ShapeError, "one for each"),
    ([[1]], [1], ShapeError, "one number an example"),
    (["a"], [1], DTypeError, "expected numbers"),
    ([np.nan], [1], DataError, "got NaN"),
])  # fmt: skip
def test_bad_input_is_named(x, y, error, message):
    for function in (metrics.pearson_correlation, metrics.spearman_correlation):
        with pytest.raises(error, match=message):
            function(predictions=x, references=y)

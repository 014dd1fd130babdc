"""Calibration beside figures done by hand; beside scikit-learn: tests/peers/test_metrics.py."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError
from plainformer.metrics import calibration_bins, expected_calibration_error


def test_a_figure_done_by_hand():
    chances, right = [0.95, 0.85, 0.45, 0.35], [True, False, True, False]
    found = calibration_bins(chances, right, bins=2)
    assert [(b.low, b.high, b.size, b.accuracy) for b in found] == [
        (0.0, 0.5, 2, 0.5), (0.5, 1.0, 2, 0.5),
    ]  # fmt: skip
    assert [b.confidence for b in found] == pytest.approx([0.4, 0.9])
    assert expected_calibration_error(chances, right, bins=2) == pytest.approx(0.25)
    assert expected_calibration_error(chances, right, bins=1) == pytest.approx(0.15)


def test_edges_belong_to_the_bin_below_and_empty_bins_weigh_nothing():
    found = calibration_bins([0.0, 0.5, 1.0], [0, 0, 1], bins=4)
    assert [b.size for b in found] == [1, 1, 0, 1]
    assert found[2][3:] == (0.0, 0.0)
    assert expected_calibration_error([1.0, 1.0], [1, 1]) == 0
    assert expected_calibration_error([1.0, 1.0], [0, 0]) == 1


def test_arrays_are_taken():
    chances = np.array([0.2, 0.9], np.float32)
    assert expected_calibration_error(chances, np.array([0, 1])) == pytest.approx(0.15)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([], []), ShapeError, "got 0 and 0"),
    (([0.5], [1, 0]), ShapeError, "got 1 and 2"),
    (([[0.5]], [1]), ShapeError, "confidences: got shape"),
    (([1.5], [1]), DataError, "confidences: got 1.5, expected from 0 to 1"),
    (([0.5], ["x"]), DTypeError, "correct: got"),
])  # fmt: skip
def test_what_is_none_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        expected_calibration_error(*arguments)
    with pytest.raises(ConfigError, match="bins: got 0"):
        calibration_bins([0.5], [1], bins=0)

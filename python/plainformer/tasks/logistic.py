"""Logistic regression: a linear layer on vectors that do not change."""

from __future__ import annotations

import numpy as np

from .. import kernels
from .task import Array

_STEPS = 4000
_GRADIENT = 1e-6  # a label, at which the fit has arrived


def logistic_regression(
    x: Array, labels: Array, classes: int, strength: float = 1.0
) -> tuple[Array, Array]:
    """Weights (classes, C) and biases (classes,), float64, that minimize

        sum_i cross entropy(W x_i + b, labels_i) + |W|^2 / (2 strength)

    Parameters
    ----------
    x : array (N, C) of floats
    labels : int (N,), below `classes`
    strength : above 0; scikit-learn's C

    Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)",
    1983, started again where the gradient turns against the momentum (O'Donoghue, Candes, 2012).
    The same bytes for any number of threads.
    """
    wide = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
    wanted = np.zeros((len(x), classes))
    wanted[np.arange(len(x)), labels] = 1
    decay = np.full((1, wide.shape[1]), 1 / strength)
    decay[0, -1] = 0  # biases are free
    step = 1 / (0.5 * _largest_eigenvalue(wide) + 1 / strength)
    weights = ahead = np.zeros((classes, wide.shape[1]))
    pace = 1.0
    for _ in range(_STEPS):
        wrong = kernels.softmax(kernels.matmul(wide, ahead, transpose_b=True)) - wanted
        gradient = kernels.matmul(wrong, wide, transpose_a=True) + decay * ahead
        if np.abs(gradient).max() <= _GRADIENT * len(x):
            break
        moved = ahead - step * gradient
        turned = (gradient * (moved - weights)).sum() > 0
        faster = 1.0 if turned else (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = moved if turned else moved + (pace - 1) / faster * (moved - weights)
        weights, pace = moved, faster
    return ahead[:, :-1].copy(), ahead[:, -1].copy()


def _largest_eigenvalue(x: Array) -> float:
    """Of x^T x, from above: power iteration, whose last estimate is raised a little."""
    v = np.ones((1, x.shape[1])) / np.sqrt(x.shape[1])
    length = 0.0
    for _ in range(20):
        v = kernels.matmul(kernels.matmul(v, x, transpose_b=True), x)
        length = float(np.sqrt(np.square(v).sum()))
        v = v / length
    return 1.05 * length

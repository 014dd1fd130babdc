"""A confusion matrix as a picture. Needs matplotlib (extra viz)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.atomic import write_bytes_atomic

_NUMBERED = 25  # labels whose counts are written into the cells
_CELL = 0.32  # inches, of labels whose names are to be read
_LONGEST = 24.0  # inches of a side


def draw_confusion(labels: Sequence[Any], matrix: np.ndarray, path: str | Path) -> None:
    """Write a confusion matrix to an image file, whose name's end says which kind.

    Colours are shares of a row, so that rare labels show as well as frequent ones.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(labels)
    side = min(_LONGEST, 3.5 + _CELL * count)
    size = max(2.5, min(9.0, 0.55 * 72 * side / (count + 8)))  # points: a row each, never over it
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(side, side), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [str(label) for label in labels]
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set(xlabel="predicted", ylabel="right")
    figure.colorbar(image, ax=axes, fraction=0.04, label="share of the label's examples")
    if count <= _NUMBERED:
        for i, j in zip(*np.nonzero(matrix)):
            color = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=size, color=color)
    data = io.BytesIO()
    canvas.print_figure(data, format=Path(path).suffix.removeprefix(".") or "png", dpi=120)
    write_bytes_atomic(path, data.getvalue())

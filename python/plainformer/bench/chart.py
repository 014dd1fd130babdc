"""The results as a picture: how many times ours each peer takes, cell by cell. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_bytes_atomic

ROW = 0.22  # inches
ENDINGS = (".png", ".svg", ".pdf")


def draw(results: Mapping[str, Any], path: str | Path) -> None:
    """Write results, as `Session.as_json` has them, to an image file: what its name ends in says
    which kind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = results["cells"]
    figure = Figure(figsize=(10, 1.6 + ROW * len(cells)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for peer in (name for name in results["peers"] if name != "plainformer"):
        points = [(ratio, row) for row, cell in enumerate(cells) if (ratio := _of(cell, peer))]
        if points:
            ratios, rows = zip(*points)
            axes.scatter(ratios, rows, s=14, label=peer)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(cells)), [cell["case"]["name"] for cell in cells], fontsize=7)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="x", which="both", alpha=0.3)
    axes.set_xlabel("the peer's time over ours (right of 1: ours is faster)")
    ours = results["peers"]["plainformer"]
    axes.set_title(f"{ours['cpu']['name']}, level {ours['level']}, {results['threads']} threads")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
    image = io.BytesIO()
    canvas.print_figure(image, format=Path(path).suffix.lower().removeprefix("."), dpi=120)
    write_bytes_atomic(path, image.getvalue())


def _of(cell: Mapping[str, Any], peer: str) -> float | None:
    """The peer's ratio in a cell."""
    return next((one["times_ours"] for one in cell["results"][1:] if one["peer"] == peer), None)

"""The loss curve of a run: a PNG where matplotlib is installed, lines of text where it is not."""

from __future__ import annotations

from pathlib import Path

from ..checkpoints.atomic import atomic_file
from ..training.curves import Curve, logged_figures


def read_curves(log: Path) -> tuple[Curve, Curve]:
    """Training and evaluation losses of a `log.jsonl`, in order of step."""
    curves = logged_figures(log)
    return curves.get("loss", []), curves.get("eval_loss", [])


def draw_png(training: Curve, evaluation: Curve, path: Path) -> None:
    """Draw both curves over the steps into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.add_subplot()
    for curve, name, style in ((training, "training", "-"), (evaluation, "validation", "o-")):
        if curve:
            axes.plot(*zip(*curve), style, label=name, markersize=4)
    axes.set(xlabel="step", ylabel="loss (nats a token)")
    if training or evaluation:
        axes.legend()
    with atomic_file(path) as file:
        figure.savefig(file, dpi=120, format="png")


def text_chart(training: Curve, evaluation: Curve, width: int = 64, height: int = 12) -> str:
    """Both curves as text: `.` training, `o` validation; the axis shows losses and last step.

    Empty without points. Points on one cell: validation wins.
    """
    points = training + evaluation
    if not points:
        return ""
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    cells = [[" "] * width for _ in range(height)]
    for curve, mark in ((training, "."), (evaluation, "o")):
        for x, y in curve:
            column = round((x - first) / max(1, last - first) * (width - 1))
            row = round((high - y) / max(1e-12, high - low) * (height - 1))
            cells[row][column] = mark
    labels = {0: f"{high:8.3f}", height - 1: f"{low:8.3f}"}
    lines = [f"{labels.get(i, ''):>8} |{''.join(row)}" for i, row in enumerate(cells)]
    axis = f"{'':8} +{'-' * width}"
    return "\n".join([*lines, axis, f"{'':10}step {first} to {last}   . training   o validation"])

"""The curves of runs, from their `log.jsonl`: lines of text, or a picture of several runs."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_bytes_atomic
from ..errors import ConfigError, DataError, short
from ..runtime import is_installed
from .log import LOG_NAME

Curve = list[tuple[int, float]]  # (step, value)
SHOWN = ("loss", "eval_loss", "learning_rate")
ENDINGS = (".png", ".svg", ".pdf")
_PLACES = ("step", "epoch", "tokens")
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-=*#"  # for terminals without the others


def read_figures(run: str | Path) -> dict[str, Curve]:
    """`logged_figures` of a run that has logged some.

    Raises
    ------
    DataError : no log, one without a figure, or a line that is no record
    """
    found = logged_figures(run)
    if not found:
        raise DataError("holds no figures yet", str(_log_of(run)))
    return found


def logged_figures(run: str | Path) -> dict[str, Curve]:
    """Every figure that a run has logged, by name, in order of step; what is not finite left out.

    run : the directory of a training, or its `log.jsonl`; the last line of one that goes on may be
        half written

    Raises
    ------
    DataError : no log, or a line that is no record
    """
    path = _log_of(run)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", str(path)) from error
    found: dict[str, Curve] = {}
    for number, line in enumerate(lines[:-1], 1):  # behind the last line end nothing is whole
        if not line.strip():
            continue
        record = _record(line, str(path), number)
        for name, value in record.items():
            if name not in _PLACES and _is_figure(value):
                found.setdefault(name, []).append((record["step"], float(value)))
    return found


def _log_of(run: str | Path) -> Path:
    path = Path(run)
    return path / LOG_NAME if path.is_dir() else path


def _record(line: bytes, file: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or type(record.get("step")) is not int:
        raise DataError("is no record of a training: expected an object with step", file, number)
    return record


def _is_figure(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 1 << 53
    return type(value) is float and math.isfinite(value)


def sparkline(curve: Curve, width: int = 40, bars: str = _BARS) -> str:
    """The values of a curve as a line of bars, from the least to the largest; of more steps than
    `width` each bar is the mean of some."""
    values = [value for _, value in curve]
    count = min(width, len(values))
    cuts = [round(i * len(values) / count) for i in range(count + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, high = min(means), max(means)
    if high == low:
        return bars[len(bars) // 2] * count
    return "".join(bars[round((mean - low) / (high - low) * (len(bars) - 1))] for mean in means)


def told(curves: Mapping[str, Curve], names: Sequence[str], encoding: str = "utf-8") -> list[str]:
    """A line for each figure of a run: first and last value, the bars, the best of a loss."""
    bars = _BARS if _can_write(_BARS, encoding) else _PLAIN_BARS
    lines = []
    for name in (name for name in names if name in curves):
        curve = curves[name]
        step, best = min(curve, key=lambda point: point[1])
        least = (
            f"  least {best:.4g} at step {step}" if name.endswith(("loss", "perplexity")) else ""
        )
        first, last = curve[0][1], curve[-1][1]
        lines.append(
            f"{name:>16} {first:>9.4g} to {last:<9.4g} {sparkline(curve, bars=bars)}{least}"
        )
    return lines


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def check_picture(path: str | Path) -> None:
    """Raise ConfigError unless a picture of this name could be drawn."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise ConfigError(f"output: got {short(path)}, expected a name in {', '.join(ENDINGS)}")
    if not is_installed("matplotlib"):
        raise ConfigError(
            "output: needs matplotlib, which is not installed: pip install 'plainformer[viz]', or "
            "leave it out for lines of text"
        )


def draw_curves(
    runs: Mapping[str, Mapping[str, Curve]], path: str | Path, names: Sequence[str] = SHOWN
) -> None:
    """Draw the curves of runs over their steps: losses of training and validation in one panel,
    each other figure in one of its own, each run in its color.

    Raises
    ------
    ConfigError : see `check_picture`
    """
    check_picture(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # the extra `viz`
    from matplotlib.figure import Figure

    panels = _panels([name for name in names if any(name in own for own in runs.values())])
    figure = Figure(figsize=(7, 1 + 3 * len(panels)), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # no display, no global state
    for axes, own in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels):
        for number, (run, curves) in enumerate(runs.items()):
            for name in (name for name in own if name in curves):
                style = "o--" if name.startswith("eval_") and len(own) > 1 else "-"
                label = f"{run} {name}".strip() if len(own) > 1 else run
                axes.plot(*zip(*curves[name]), style, color=f"C{number}", label=label, markersize=3)
        axes.set(xlabel="step", ylabel=" and ".join(own))
        axes.grid(alpha=0.3)
        if any(axes.get_legend_handles_labels()[1]):
            axes.legend()
    image = io.BytesIO()
    canvas.print_figure(image, format=Path(path).suffix.lower().removeprefix("."), dpi=120)
    write_bytes_atomic(path, image.getvalue())


def _panels(names: Sequence[str]) -> list[list[str]]:
    """The names that share a panel: losses do."""
    losses = [name for name in names if name in ("loss", "eval_loss")]
    others = [[name] for name in names if name not in losses]
    return ([losses] if losses else []) + others

"""Reports as text: tables that two labels fill and a hundred and fifty do not overflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..characters import display_width
from ..metrics import CalibrationBin, LabelScore

Array = np.ndarray
_MOST_LABELS = 40  # told each; of more the worst
_WORST = 20
_PAIRS = 20  # confusions told where a matrix would be too wide
_NAME = 28  # columns of a label's name


def report_text(report: Any, width: int) -> str:
    """The tables of a `Report`."""
    parts = []
    if report.scores:
        parts.append(scores_text(report.unit, report.scores))
    if report.confusion is not None:
        labels, matrix = report.confusion
        parts.append(confusion_text(labels, matrix, width))
    if report.calibration:
        parts.append(_calibration_text(report.ece, report.calibration))
    if report.errors is not None:
        parts.append(_errors_text(report.errors))
    return "\n\n".join(parts)


def scores_text(unit: str, scores: Mapping[Any, LabelScore]) -> str:
    """Precision, recall, F1 and support, a line a label, and their means; of very many labels
    those with the least F1, of which the data has some."""
    shown, more = list(scores.items()), ""
    if len(shown) > _MOST_LABELS:
        shown = sorted(shown, key=lambda item: (not item[1].support, item[1].f1))[:_WORST]
        more = f"\n({_WORST} of {len(scores)} {unit}s, those with the least F1; --report has all)"
    names = [shortened(str(name), _NAME) for name, _ in shown]
    left = max(map(display_width, [unit, "weighted", *names]))
    lines = [f"{_padded(unit, left)}  precision  recall      f1  support"]
    rows = [*zip(names, (score for _, score in shown)), *_means(list(scores.values()))]
    for name, (precision, recall, f1, support) in rows:
        lines.append(
            f"{_padded(name, left)}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {support:7}"
        )
    return "\n".join(lines) + more


def confusion_text(labels: Sequence[Any], matrix: Array, width: int) -> str:
    """The matrix where it fits into so many columns, else what is most often taken for what.

    Columns have the numbers of the rows' labels; what never happened is a dot.
    """
    names = [shortened(str(name), _NAME) for name in labels]
    left, cell = max(map(display_width, names)), len(str(max(matrix.max(), len(names)))) + 2
    number = len(str(len(names)))
    if number + 1 + left + cell * len(names) > width:
        return _confusions_text(labels, matrix)
    head = "".join(f"{i + 1:{cell}}" for i in range(len(names)))
    lines = ["confusion: rows are right, columns were predicted", " " * (number + 1 + left) + head]
    for i, (name, row) in enumerate(zip(names, matrix)):
        cells = "".join(f"{n or '.':>{cell}}" for n in row.tolist())
        lines.append(f"{i + 1:{number}} {_padded(name, left)}{cells}")
    return "\n".join(lines)


def shortened(text: str, width: int) -> str:
    """A text on one line in at most so many columns."""
    line = " ".join(text.split())
    if display_width(line) <= width:
        return line
    while display_width(line) > width - 3:
        line = line[:-1]
    return f"{line}..."


def _confusions_text(labels: Sequence[Any], matrix: Array) -> str:
    support = matrix.sum(axis=1)
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = sorted(zip(*np.nonzero(wrong)), key=lambda at: (-wrong[at], at))
    told = pairs[:_PAIRS]
    which = f", the {len(told)} most frequent" if len(pairs) > len(told) else ""
    total, count = int(wrong.sum()), len(labels)
    lines = [f"confusion: {total} errors among {count} labels, {len(pairs)} confusions{which}"]
    if told:
        names = [shortened(str(labels[i]), _NAME) for i, _ in told]
        left = max(map(display_width, ["right", *names]))
        lines.append(f"  times  share  {_padded('right', left)}  predicted")
    for (i, j), name in zip(told, names if told else ()):
        share = f"{100 * wrong[i, j] / support[i]:.0f} %" if support[i] else ""
        other = shortened(str(labels[j]), _NAME)
        lines.append(f"{wrong[i, j]:7}  {share:>5}  {_padded(name, left)}  {other}")
    return "\n".join(lines)


def _means(scores: list[LabelScore]) -> list[tuple[str, LabelScore]]:
    """The plain mean over labels, and that by support."""
    figures = np.array([score[:3] for score in scores])
    support = np.array([score.support for score in scores])
    total = int(support.sum())
    weighted = (support[:, None] * figures).sum(axis=0)
    by_support = weighted / total if total else np.zeros(3)
    means = {"macro": figures.mean(axis=0), "weighted": by_support}
    return [
        (name, LabelScore(float(p), float(r), float(f1), total))
        for name, (p, r, f1) in means.items()
    ]


def _calibration_text(ece: float | None, bins: Sequence[CalibrationBin]) -> str:
    total = sum(one.size for one in bins)
    sure, right = (
        sum(one.size * value for one, value in zip(bins, values)) / total
        for values in ([one.confidence for one in bins], [one.accuracy for one in bins])
    )
    return (
        f"calibration: ECE {ece:.4f} over {len(bins)} bins; mean confidence {sure:.4f}, "
        f"right {right:.4f}"
    )


def _errors_text(errors: Array) -> str:
    points = np.percentile(errors, (50, 90, 99, 100), method="inverted_cdf")
    p50, p90, p99, largest = (f"{x:.4g}" for x in points)
    return f"error: 50 % {p50}, 90 % {p90}, 99 % {p99}, largest {largest}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))

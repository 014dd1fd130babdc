"""Write docs/accuracy.md: the error of every kernel, type and ISA level against float64.

    python benchmarks/accuracy_table.py            # from the repository, with plainformer installed

Errors are absolute differences divided by the largest absolute value of the exact result.
Inputs are standard normal, from one seed. The formulas are tests/reference.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from plainformer import _cpu, kernels  # noqa: E402
from tests import reference  # noqa: E402
from tests.accuracy import as_tuple, truth  # noqa: E402

DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64}
ROWS, COLUMNS, CLASSES = 257, 769, 1009
Case = tuple[Callable[..., Any], Callable[..., Any], list[Any]]


def cases(dtype: Any) -> Iterator[tuple[str, Case]]:
    """(name, (ours, reference, inputs)) of every operation that has an error to speak of."""
    rng = np.random.default_rng(7)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    x, dy, weight, bias = (
        normal(ROWS, COLUMNS),
        normal(ROWS, COLUMNS),
        normal(COLUMNS),
        normal(COLUMNS),
    )
    matrix = (rng.standard_normal((CLASSES, COLUMNS)) / np.sqrt(COLUMNS)).astype(dtype)
    q, k, v = normal(2, 3, 130, 64), normal(2, 3, 130, 64), normal(2, 3, 130, 64)
    labels = rng.integers(0, COLUMNS, ROWS)
    classes = rng.integers(0, CLASSES, ROWS)
    class_bias = normal(CLASSES)
    yield "linear", (kernels.linear, reference.linear, [x, matrix, class_bias])
    yield "softmax", (kernels.softmax, reference.softmax, [x])
    yield "log_softmax", (kernels.log_softmax, reference.log_softmax, [x])
    yield (
        "layer_norm",
        (
            lambda *a: kernels.layer_norm(a[0], COLUMNS, *a[1:]),
            lambda *a: reference.layer_norm(*a)[0],
            [x, weight, bias],
        ),
    )
    yield (
        "rms_norm",
        (
            lambda *a: kernels.rms_norm(a[0], COLUMNS, a[1], 1e-5),
            lambda *a: reference.rms_norm(*a)[0],
            [x, weight],
        ),
    )
    yield "gelu", (kernels.gelu, reference.gelu, [x])
    yield "gelu tanh", (lambda a: kernels.gelu(a, "tanh"), lambda a: reference.gelu(a, "tanh"), [x])
    yield "gelu backward", (kernels.gelu_backward, reference.gelu_backward, [dy, x])
    yield "silu", (kernels.silu, reference.silu, [x])
    yield "cross_entropy", (kernels.cross_entropy, reference.cross_entropy, [x, labels])
    yield (
        "fused_linear_cross_entropy",
        (
            lambda *a: flatten(kernels.fused_linear_cross_entropy(*a, return_grads=True)),
            reference.linear_cross_entropy,
            [x, matrix, classes, class_bias],
        ),
    )
    yield (
        "attention causal",
        (
            lambda *a: kernels.scaled_dot_product_attention(*a, is_causal=True),
            lambda *a: as_tuple(reference.attention(*a, causal=True))[0],
            [q, k, v],
        ),
    )
    angles = np.outer(np.arange(ROWS), 1e4 ** (-np.arange(32) / 32)).astype(np.float32)
    tables = [np.arange(ROWS), np.cos(angles), np.sin(angles)]
    yield (
        "rotary_embedding",
        (kernels.rotary_embedding, reference.rotary_embedding, [normal(ROWS, 3, 64), *tables]),
    )


def flatten(result: tuple[Any, tuple[Any, ...]]) -> tuple[Any, ...]:
    return (result[0], *result[1])


def errors(case: Case) -> tuple[float, float]:
    """(largest, mean) relative error over all outputs."""
    ours, formula, inputs = case
    pairs = zip(as_tuple(ours(*inputs)), truth(formula, *inputs))
    relative = [
        np.abs(np.asarray(a).astype(np.float64) - b).ravel() / np.abs(b).max() for a, b in pairs
    ]
    everything = np.concatenate(relative)
    return float(everything.max()), float(everything.mean())


def table() -> str:
    lines = [
        "# Accuracy",
        "",
        "Largest and mean error against float64, relative to the largest exact value.",
        "Written by `python benchmarks/accuracy_table.py`; do not edit.",
        "",
    ]
    levels = _cpu.available_levels()
    before = _cpu.current_level()
    for dtype_name, dtype in DTYPES.items():
        served = ["generic"] if dtype_name == "float64" else levels
        lines += [
            f"## {dtype_name}",
            "",
            "| operation | " + " | ".join(served) + " |",
            "|---|" + "---|" * len(served),
        ]
        for name, case in cases(dtype):
            cells = []
            for level in served:
                _cpu.set_level(level)
                cells.append("{:.1e}, {:.1e}".format(*errors(case)))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    _cpu.set_level(before)
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(description="Write docs/accuracy.md.").parse_args()
    (ROOT / "docs" / "accuracy.md").write_text(table(), encoding="utf-8")

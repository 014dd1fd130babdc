"""The README's table of CUDA kernels: what each has shown on hardware, and what has shown nothing.

    python benchmarks/cuda_table.py [--write]

It is made from `benchmarks/results/cuda-DEVICE.json` alone, which `plainformer bench --device
cuda` writes with a hash of every source. A file counts as run on a device where its present hash,
and that of every header it includes, are in that device's results; otherwise the table says "not
yet run on hardware". `--write` puts it between the marks in README.md and README.zh-CN.md.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from plainformer.bench.machine import file_hash
from plainformer.bench.report import readable_seconds

ROOT = Path(__file__).parent.parent
CUDA = ROOT / "csrc/cuda"
BEGIN, END = "<!-- CUDA table -->", "<!-- end of CUDA table -->"
NOT_RUN = "not yet run on hardware"
READMES = ("README.md", "README.zh-CN.md")

# What a file of kernels is measured by: operation and variant of the bench.
MEASURED: dict[str, list[tuple[str, str]]] = {
    "activation": [("activation", "gelu"), ("activation", "gelu_backward")],
    "attention": [("attention", "forward")],
    "attention_backward": [("attention", "backward")],
    "attention_cached": [("decode_attention", "forward")],
    "cross_entropy": [("cross_entropy", "forward"), ("cross_entropy", "backward")],
    "dropout": [("dropout", "forward")],
    "embedding": [("embedding", "forward"), ("embedding", "backward")],
    "group_by_id": [("embedding", "backward")],
    "gemm": [("gemm", "nn"), ("gemm", "tn")],
    "linear_cross_entropy": [("linear_cross_entropy", "train")],
    "norm": [("norm", "layer_norm"), ("norm", "rms_norm")],
    "norm_backward": [("norm", "layer_norm_backward"), ("norm", "rms_norm_backward")],
    "optimizer": [("optimizer", "adamw")],
    "rotary": [("rotary", "half_split")],
    "softmax": [("softmax", "forward"), ("softmax", "backward")],
    "softmax_columns": [],  # of another axis than the last: no case of the bench
}


def kernel_files() -> list[Path]:
    """The files that instantiate kernels, one a family and architecture."""
    return sorted(
        path for path in CUDA.glob("*.cu") if path.stem not in ("context", "check_values")
    )


def included(path: Path) -> set[Path]:
    """The file and every header of ours that it includes, directly or not."""
    found, left = set(), [path]
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        for name in re.findall(r'^#include "([^"]+)"', file.read_text(), re.MULTILINE):
            places = (file.parent, CUDA, ROOT / "csrc", ROOT / "csrc/include")
            left += [p / name for p in places if (p / name).is_file()][:1]
    return {file for file in found if "emulation" not in file.parts}


def evidence() -> dict[str, dict[str, Any]]:
    """Results by device."""
    files = sorted((ROOT / "benchmarks/results").glob("cuda-*.json"))
    return {file.stem.removeprefix("cuda-"): json.loads(file.read_text()) for file in files}


def was_run(path: Path, results: dict[str, Any]) -> bool:
    """Whether the results are of the file as it is now."""
    hashes = results["peers"]["plainformer"]["sources"]
    return all(
        hashes.get(str(file.relative_to(ROOT))) == file_hash(file) for file in included(path)
    )


def without_evidence() -> list[str]:
    """The kernel files that no device has run in their present state."""
    devices = evidence().values()
    return [p.name for p in kernel_files() if not any(was_run(p, results) for results in devices)]


def _cells(path: Path, results: dict[str, Any]) -> str:
    """The times of a file's cells, shortest form: `layer_norm bfloat16 65536x768 59 us (1.4x)`."""
    said = []
    for operation, variant in MEASURED.get(path.stem.removesuffix("_sm90"), []):
        for cell in results["cells"]:
            case, ours = cell["case"], cell["results"][0]
            if (case["operation"], case["variant"]) == (operation, variant) and ours["seconds"]:
                time = readable_seconds(ours["seconds"]["median"])
                percent = ours["percent_of_ceiling"]
                said.append(f"{variant} {case['dtype']} {case['label']}: {time}, {percent:.0f} %")
                break
    return "; ".join(said) or "tests passed"


def table() -> str:
    """The table as Markdown."""
    devices = evidence()
    lines = [
        f"| kernels | {' | '.join(devices) or 'hardware'} |",
        "|---" * (1 + max(1, len(devices))) + "|",
    ]
    for path in kernel_files():
        cells = [
            _cells(path, results) if was_run(path, results) else NOT_RUN
            for results in devices.values()
        ]
        lines.append(f"| `{path.name}` | {' | '.join(cells or [NOT_RUN])} |")
    return "\n".join(lines)


def replaced(text: str) -> str:
    """A README with the table of now."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Into the READMEs.")
def main(write: bool) -> None:
    if not write:
        click.echo(table())
    for name in READMES if write else ():
        path = ROOT / name
        path.write_text(replaced(path.read_text(encoding="utf-8")), encoding="utf-8")
    missing = without_evidence()
    click.echo(f"without evidence: {', '.join(missing) or 'none'}", err=True)


if __name__ == "__main__":
    main()

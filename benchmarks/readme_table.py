"""The README's benchmark table from results of `plainformer bench --output F.json`.

    python benchmarks/readme_table.py F.json [--readme README.md]

Prints the table, or puts it between the marks `<!-- benchmark table -->` and
`<!-- end of benchmark table -->` of a file. Nothing is left out: a slower cell stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from plainformer.bench.report import readable_seconds

BEGIN, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
# The first shape of a variant is its most telling one; these are the variants a reader looks for.
ROWS = (
    ("gemm", "nn", "matrix product"),
    ("linear", "gelu", "linear + GELU"),
    ("linear", "backward", "linear, backward"),
    ("attention", "forward", "attention"),
    ("attention", "backward", "attention, backward"),
    ("softmax", "forward", "softmax"),
    ("norm", "layer_norm", "layer norm"),
    ("norm", "layer_norm_backward", "layer norm, backward"),
    ("activation", "gelu", "GELU"),
    ("cross_entropy", "forward", "cross entropy"),
    ("linear_cross_entropy", "train", "linear + cross entropy, with gradients"),
    ("embedding", "backward", "embedding, backward"),
    ("optimizer", "adamw", "AdamW step"),
)


def table(results: dict[str, Any]) -> str:
    """A Markdown table of the first cell of each of ROWS and dtype, and a line on where."""
    peers = [name for name in results["peers"] if name != "plainformer"]
    lines = [
        " | ".join(["| operation", "shape", "dtype", "time", "of ceiling", *map(_against, peers)])
        + " |",
        "|---|---|---" + "|--:" * (2 + len(peers)) + "|",
    ]
    for operation, variant, title in ROWS:
        lines += [_row(title, cell, peers) for cell in _first_cells(results, operation, variant)]
    return "\n".join([*lines, "", _where(results)])


def _against(peer: str) -> str:
    names = {"numpy": "NumPy", "torch": "PyTorch"}
    return f"{names.get(peer, peer)}'s time / ours"


def _first_cells(results: dict[str, Any], operation: str, variant: str) -> list[dict[str, Any]]:
    """The first cell of each dtype."""
    first: dict[str, dict[str, Any]] = {}
    for cell in results["cells"]:
        case = cell["case"]
        if (case["operation"], case["variant"]) == (operation, variant):
            first.setdefault(case["dtype"], cell)
    return list(first.values())


def _row(title: str, cell: dict[str, Any], peers: list[str]) -> str:
    case, (ours, *others) = cell["case"], cell["results"]
    if ours["seconds"] is None:
        times = [ours["note"], "-"]
    else:
        times = [readable_seconds(ours["seconds"]["median"]), f"{ours['percent_of_ceiling']:.0f} %"]
    ratios = {other["peer"]: other["times_ours"] for other in others}
    columns = ["-" if ratios.get(peer) is None else f"{ratios[peer]:.2f}x" for peer in peers]
    return "| " + " | ".join([title, case["label"], case["dtype"], *times, *columns]) + " |"


def _where(results: dict[str, Any]) -> str:
    ours = results["peers"]["plainformer"]
    versions = [
        f"{key} {value}"
        for description in results["peers"].values()
        for key, value in description.items()
        if key in ("numpy", "torch", "blas") and isinstance(value, str)
    ]
    return (
        f"{ours['cpu']['name']}, {results['threads']} threads, level {ours['level']}; "
        f"{', '.join(dict.fromkeys(versions))}. Ratios above 1: ours is faster."
    )


def insert(text: str, new_table: str) -> str:
    """`text` with the part between the marks replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise click.UsageError(f"--readme: expected {BEGIN} and {END}, each once")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{new_table}\n{END}{rest.split(END)[1]}"


@click.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False))
@click.option("--readme", type=click.Path(exists=True, dir_okay=False), help="File to change.")
def main(results: str, readme: str | None) -> None:
    """Render the README's benchmark table."""
    text = table(json.loads(Path(results).read_text(encoding="utf-8")))
    if readme is None:
        click.echo(text)
    else:
        path = Path(readme)
        path.write_text(insert(path.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()

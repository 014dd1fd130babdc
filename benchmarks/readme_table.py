"""The READMEs' benchmark tables, made of benchmarks/results/: AVX2 beside AVX-512.

    python benchmarks/readme_table.py [--processor NAME] [--write]

Prints the tables, or puts them between the marks `<!-- benchmark table -->` and
`<!-- end of benchmark table -->` of both READMEs. Nothing is left out: a slower cell stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from plainformer.bench.report import readable_seconds

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PROCESSOR = "amd-epyc-26-2"  # two Zen 5 cores: which machine's results the READMEs show
LEVELS = ("avx2", "avx512bf16")
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
MODELS = {
    "train_gpt": "GPT training step",
    "encoder": "MiniLM",
    "finetune": "MiniLM fine-tuning step",
    "latency": "MiniLM, one sentence from text to label",
    "decode_gpt": "GPT-2 124M, greedy token",
    "translate": "translation, 8 sources, 32 tokens each",
}
LANGUAGES = {
    "README.md": {
        "kernels": "| operation | shape | dtype |",
        "time": "{level}: time, of ceiling",
        "against": "{peer} / ours",
        "models": "| whole | case |",
        "model": "{level}: our time, ours / fastest peer's",
        "where": "Ratios of the first table above 1 and of the second below 1: ours is faster",
        "threads": "threads",
    },
    "README.zh-CN.md": {
        "kernels": "| 运算 | 形状 | 类型 |",
        "time": "{level}：时间，占上限",
        "against": "{peer} / 本库",
        "models": "| 整体 | 情形 |",
        "model": "{level}：本库时间，与最快对手之比",
        "where": "第一张表的比值大于 1、第二张表小于 1 表示本库更快",
        "threads": "线程",
    },
}
Levels = Mapping[str, Mapping[str, Any]]


def read(what: str, processor: str) -> dict[str, dict[str, Any]]:
    """The results of a script or of `bench` at each of LEVELS that there are."""
    files = {level: RESULTS / f"{what}-{processor}-{level}.json" for level in LEVELS}
    return {
        level: json.loads(path.read_text(encoding="utf-8"))
        for level, path in files.items()
        if path.is_file()
    }


def tables(processor: str, language: str) -> str:
    """Kernels, models, and a line on where they were measured."""
    words, bench = LANGUAGES[language], read("bench", processor)
    models = {what: read(what, processor) for what in MODELS}
    parts = [kernel_table(bench, words), model_table(models, words)]
    where = [where_of(level, values, words) for level, values in bench.items()]
    return "\n\n".join([*(p for p in parts if p), "; ".join([*where, words["where"]]) + "."])


def kernel_table(bench: Levels, words: Mapping[str, str]) -> str:
    """A row for the first cell of each of ROWS and dtype; columns for each level."""
    columns = [(level, peer) for level in bench for peer in ("", *peers_of(bench[level]))]
    titles = [
        words["against"].format(peer=_title(peer)) if peer else words["time"].format(level=level)
        for level, peer in columns
    ]
    lines = [
        f"{words['kernels']} {' | '.join(titles)} |",
        "|---|---|---|" + "--:|" * len(columns),
    ]
    for operation, variant, title in ROWS:
        for label, dtype in _cells(bench, operation, variant):
            name = f"{operation}.{variant}.{dtype}.{label}"
            found = {level: cell_of(values, name) for level, values in bench.items()}
            row = [_column(found[level], peer) for level, peer in columns]
            lines.append("| " + " | ".join([title, label, dtype, *row]) + " |")
    return "\n".join(lines)


def peers_of(values: Mapping[str, Any]) -> list[str]:
    """NumPy and PyTorch; other peers have few cells, which stay in the file."""
    return [name for name in values["peers"] if name in ("numpy", "torch")]


def _title(peer: str) -> str:
    return {"numpy": "NumPy", "torch": "PyTorch"}.get(peer, peer)


def _cells(bench: Levels, operation: str, variant: str) -> list[tuple[str, str]]:
    """(label, dtype) of the first cell of each dtype, whichever level has it."""
    first: dict[str, str] = {}
    for values in bench.values():
        for cell in values["cells"]:
            case = cell["case"]
            if (case["operation"], case["variant"]) == (operation, variant):
                first.setdefault(case["dtype"], case["label"])
    return [(label, dtype) for dtype, label in first.items()]


def cell_of(values: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The cell of that name."""
    return next((cell for cell in values["cells"] if cell["case"]["name"] == name), None)


def _column(cell: Mapping[str, Any] | None, peer: str) -> str:
    if cell is None:
        return "-"
    ours, *others = cell["results"]
    if not peer:
        if ours["seconds"] is None:
            return ours["note"]
        percent = ours["percent_of_ceiling"]
        return f"{readable_seconds(ours['seconds']['median'])}, {percent:.0f} %"
    ratio = next((one["times_ours"] for one in others if one["peer"] == peer), None)
    return "-" if ratio is None else f"{ratio:.2f}x"


def model_table(models: Mapping[str, Levels], words: Mapping[str, str]) -> str:
    """A row for each cell of the scripts; a column for each level."""
    levels = [level for level in LEVELS if any(level in values for values in models.values())]
    titles = [words["model"].format(level=level) for level in levels]
    lines = [
        f"{words['models']} {' | '.join(titles)} |",
        "|---|---|" + "--:|" * len(levels),
    ]
    for what, values in models.items():
        found = {level: dict(measured(values[level])) for level in values}
        for name in dict.fromkeys(name for own in found.values() for name in own):
            row = [found.get(level, {}).get(name, "-") for level in levels]
            lines.append("| " + " | ".join([MODELS[what], name, *row]) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def measured(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The name of each cell, and our time with its ratio to the fastest peer's."""
    for name, cell in values["cells"].items():
        if "plainformer_ms" in cell:
            text = f"{readable_seconds(cell['plainformer_ms'] / 1e3)}"
            if "ratio" in cell:
                text += f", {cell['ratio']:.2f} ({_title(cell['fastest_peer'])})"
            yield name, text
        else:
            yield from latency_rows(name, cell)


def latency_rows(name: str, cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Our median, and its ratio to the fastest way of a peer."""
    ours = cell["plainformer, pipeline"]["p50_ms"] / 1e3
    ratios = {k.removeprefix("beside "): v["ratio_p50"] for k, v in cell.items() if "beside " in k
              and isinstance(v, dict) and "ratio_p50" in v}  # fmt: skip
    if ratios:
        best = max(ratios, key=lambda key: ratios[key])
        yield name, f"{readable_seconds(ours)}, {ratios[best]:.2f} ({best})"


def where_of(level: str, values: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The processor, the threads and the libraries of a level's results."""
    versions: Sequence[str] = [
        f"{key} {value}"
        for description in values["peers"].values()
        for key, value in description.items()
        if key in ("numpy", "torch", "blas", "mkl", "blis") and isinstance(value, str)
    ]
    cpu = values["peers"]["plainformer"]["cpu"]["name"]
    return (
        f"{level}: {cpu} ({values['machine']['processor']}), {values['threads']} "
        f"{words['threads']}, {', '.join(dict.fromkeys(versions))}"
    )


def insert(text: str, new_table: str) -> str:
    """`text` with the part between the marks replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise click.UsageError(f"expected {BEGIN} and {END}, each once")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{new_table}\n{END}{rest.split(END)[1]}"


@click.command()
@click.option("--processor", default=PROCESSOR, show_default=True, help="Whose results.")
@click.option("--write", is_flag=True, help="Change both READMEs.")
def main(processor: str, write: bool) -> None:
    """Render the READMEs' benchmark tables."""
    for name in LANGUAGES:
        text = tables(processor, name)
        if not write:
            click.echo(text)
            continue
        path = ROOT / name
        path.write_text(insert(path.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()

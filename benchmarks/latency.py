"""How long one sentence takes from text to label, beside transformers on PyTorch.

    python benchmarks/latency.py [--model DIR] [--dtype float32] [--level LEVEL]
        [--peers torch,ctranslate2,onnxruntime] [--peer-python [NAME=]PYTHON ...]
        [--rounds N] [--output F.json | --record]

Ours is `pf.pipeline("text-classification", DIR)(text)`. PyTorch's is measured twice: transformers'
pipeline of that name, and by hand, which is all that has to be done: tokenizers, the model in
inference mode, softmax. Both load one directory: --model, or random weights of MiniLM-L6's shape
with a vocabulary of made-up words. CTranslate2 and onnxruntime are measured by hand too: they run
what was converted from the directory. Sentences have the lengths of reviews (median 22 tokens, at
most 64); every call is timed by itself. Each library has its own process, rounds alternate, and
PyTorch has the best of its thread settings. The answers are compared before anything is timed.
"""

from __future__ import annotations

import tempfile
from typing import Any

import click
import numpy as np
from encoder import PEERS, peers_of
from encoder_model import MINILM, words_of, write_model
from running import OURS, Results, Setup, Sides, beside, closing, loaded, measuring

TEXTS, LIMIT, ADDED = 50, 64, 2  # texts in a round; tokens of one at most; [CLS] and [SEP]
GOAL = 0.5  # our median over that of PyTorch by hand
WAYS = ("pipeline", "by hand")
BUSY = "plainformer, pipeline, beside a busy process"


def sentences(words: list[str]) -> list[str]:
    """Texts of words that are one token each."""
    rng = np.random.default_rng(0)
    drawn = np.exp(rng.normal(np.log(22), 0.5, TEXTS)).astype(int)
    lengths = np.clip(drawn, 4, LIMIT) - ADDED
    return [" ".join(rng.choice(words, length)) for length in lengths]


def check_answers(sides: Sides, texts: list[str], dtype: str) -> float:
    """The largest difference of a probability from a peer's; labels must be the same."""
    answers = [
        child.ask("answers", texts=texts, way=way)["answers"]
        for side, child in sides.items()
        for way in ways_of(side[0])
    ]
    ours, *others = answers
    tolerance, largest = (1e-4 if dtype == "float32" else 0.05), 0.0
    for other in others:
        for (label, score), (their_label, their_score) in zip(ours, other):
            largest = max(largest, abs(score - their_score))
            if label != their_label and abs(score - 0.5) > tolerance:
                raise click.ClickException(f"the labels differ: {label} and {their_label}")
    if not largest < tolerance:
        raise click.ClickException(f"the probabilities differ by {largest:.1e}")
    return largest


def ways_of(peer: str) -> tuple[str, ...]:
    """How a side is measured."""
    return {"torch": WAYS, OURS: WAYS[:1]}.get(peer, WAYS[1:])


def measure(sides: Sides, setup: Setup, texts: list[str], rounds: int) -> dict[str, Any]:
    """Milliseconds of every call, a list a round, by side and way; `BUSY` is ours beside a busy
    process."""
    plans = [(side, way) for side in sides for way in ways_of(side[0])]
    times: dict[str, list[list[float]]] = {_title(side, way): [] for side, way in plans}
    for number, busy in setup.rounds(rounds):
        with beside(busy):
            for side, way in plans[: 1 if busy else None]:
                seconds = sides[side].ask("times", texts=texts, way=way)["seconds"]
                if number:
                    title = BUSY if busy else _title(side, way)
                    times.setdefault(title, []).append([1e3 * s for s in seconds])
    return times


def _title(side: tuple[str, str], way: str) -> str:
    """`torch, default, by hand`; a peer with one setting is without it."""
    return ", ".join([side[0], *([side[1]] if side[0] == "torch" else []), way])


def summary(times: dict[str, list[list[float]]]) -> dict[str, Any]:
    """p50 and p99 of all calls of a side; ratios of the rounds' p50 and of p99, ours over theirs,
    to the fastest setting of each way."""
    result: dict[str, Any] = {
        name: {"p50_ms": float(np.median(calls)), "p99_ms": float(np.percentile(calls, 99))}
        for name, calls in times.items()
    }
    ours = "plainformer, pipeline"
    others = {name: f"beside {name.rpartition(', ')[2]}" for name in times if "torch" in name}
    others |= {name: f"beside {name}" for name in times if name not in (*others, ours, BUSY)}
    for title in dict.fromkeys(others.values()):
        peers = [name for name, own in others.items() if own == title]
        best = min(peers, key=lambda name: result[name]["p50_ms"])
        ratios = np.median(times[ours], axis=1) / np.median(times[best], axis=1)
        result[title] = {
            "setting": best,
            "ratio_p50": float(np.median(ratios)),
            "ratio_p50_p20_p80": [float(x) for x in np.percentile(ratios, [20, 80])],
            "ratio_p99": result[ours]["p99_ms"] / result[best]["p99_ms"],
        }
    if BUSY in times:
        result["busy_ratio"] = result[BUSY]["p50_ms"] / result[ours]["p50_ms"]
    return result


def show(result: dict[str, Any]) -> None:
    """A line a side, and a line a comparison."""
    for name, figures in result.items():
        if name == "busy_ratio":
            click.echo(f"beside a busy process {figures:.2f} times as long")
        elif "p50_ms" in figures:
            click.echo(
                f"{name:<28} p50 {figures['p50_ms']:7.2f} ms   p99 {figures['p99_ms']:7.2f} ms"
            )
        else:
            low, high = figures["ratio_p50_p20_p80"]
            click.echo(
                f"{name:<28} our p50 {figures['ratio_p50']:.2f} of its time "
                f"(p20 {low:.2f}, p80 {high:.2f}), our p99 {figures['ratio_p99']:.2f}"
            )
    if "beside by hand" in result:
        held = "held" if result["beside by hand"]["ratio_p50"] <= GOAL else "MISSED"
        click.echo(f"goal {GOAL:.2f} of PyTorch by hand: {held}")


@click.command()
@click.option("--model", type=click.Path(exists=True, file_okay=False), help="A classifier.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32")
@click.option("--peers", default=PEERS, show_default=True, help="Who to compare with.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@measuring
def main(model: str | None, dtype: str, peers: str, rounds: int, setup: Setup) -> None:
    """Time one sentence from text to label beside its peers."""
    results = Results("latency", setup)
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            write_model(folder)
        sides = setup.sides("latency", peers_of(peers, dtype))
        with closing(sides):
            sides = loaded(sides, setup, path=model or folder, dtype=dtype)
            texts = sentences(words_of(MINILM) if model is None else ENGLISH.split())
            difference = check_answers(sides, texts, dtype)
            result = summary(measure(sides, setup, texts, rounds))
    show(result)
    results.add(dtype, {"difference": difference, **result})


# Words that are one token for every English model, for --model.
ENGLISH = (
    "the of and to in a is it was for on as with that this film story people good bad old new time "
    "year day world life house water music night white black small large first last long great"
)

if __name__ == "__main__":
    main()

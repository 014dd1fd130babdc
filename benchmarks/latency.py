"""How long one sentence takes from text to label, beside transformers on PyTorch.

    python benchmarks/latency.py [--model DIR] [--dtype float32] [--peer-python PYTHON]
                                 [--rounds N] [--output F.json]

Ours is `pf.pipeline("text-classification", DIR)(text)`. PyTorch's is measured twice: transformers'
pipeline of that name, and by hand, which is all that has to be done: tokenizers, the model in
inference mode, softmax. Both load one directory: --model, or random weights of MiniLM-L6's shape
with a vocabulary of made-up words. Sentences have the lengths of reviews (median 22 tokens, at most
64); every call is timed by itself. Each library has its own process, rounds alternate, and PyTorch
has the best of its thread settings. The answers are compared before anything is timed.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from typing import Any

import click
import numpy as np
from encoder import MINILM, start_sides

from plainformer import runtime
from plainformer.bench import machine
from plainformer.bench.process import Child
from plainformer.bench.session import write_json
from plainformer.data.special_tokens import BERT_TOKENS
from plainformer.data.tokenizer import save_tokenizer
from plainformer.data.vocab_files import enclose, wordpiece
from plainformer.models import from_config

TEXTS, LIMIT, ADDED = 50, 64, 2  # texts in a round; tokens of one at most; [CLS] and [SEP]
GOAL = 0.5  # our median over that of PyTorch by hand
WAYS = ("pipeline", "by hand")


def made_up_words(count: int) -> list[str]:
    """Words of three syllables."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    return [
        "".join(three) for three in itertools.islice(itertools.product(*[syllables] * 3), count)
    ]


def write_model(folder: str, words: list[str]) -> None:
    """A classifier of MiniLM's shape that knows these words."""
    tokenizer = wordpiece({token: i for i, token in enumerate([*BERT_TOKENS, *words])})
    tokenizer.add_special_tokens(BERT_TOKENS)
    enclose(tokenizer, "[CLS]", "[SEP]")
    save_tokenizer(tokenizer, folder, model_max_length=512)
    values = {**MINILM, "id2label": {0: "negative", 1: "positive"}, "pad_token_id": 0}
    from_config(values, task="sequence-classification").save_pretrained(folder)


def sentences(words: list[str]) -> list[str]:
    """Texts of words that are one token each."""
    rng = np.random.default_rng(0)
    drawn = np.exp(rng.normal(np.log(22), 0.5, TEXTS)).astype(int)
    lengths = np.clip(drawn, 4, LIMIT) - ADDED
    return [" ".join(rng.choice(words, length)) for length in lengths]


def check_answers(sides: dict[str, Child], texts: list[str], dtype: str) -> float:
    """The largest difference of a probability from PyTorch's; labels must be the same."""
    answers = {
        (name, way): child.ask("answers", texts=texts, way=way)["answers"]
        for name, child in sides.items()
        for way in ways_of(name)
    }
    ours, *others = answers.values()
    tolerance, largest = (1e-4 if dtype == "float32" else 0.05), 0.0
    for other in others:
        for (label, score), (their_label, their_score) in zip(ours, other):
            largest = max(largest, abs(score - their_score))
            if label != their_label and abs(score - 0.5) > tolerance:
                raise click.ClickException(f"the labels differ: {label} and {their_label}")
    if not largest < tolerance:
        raise click.ClickException(f"the probabilities differ by {largest:.1e}")
    return largest


def ways_of(side: str) -> tuple[str, ...]:
    """How a side is measured."""
    return WAYS if side.startswith("torch") else WAYS[:1]


def measure(sides: dict[str, Child], texts: list[str], rounds: int) -> dict[str, list[list[float]]]:
    """Milliseconds of every call, a list a round, by side and way."""
    plans = [(name, way) for name in sides for way in ways_of(name)]
    times: dict[str, list[list[float]]] = {f"{name}, {way}": [] for name, way in plans}
    for i in range(rounds + 1):  # the first round warms up
        for name, way in plans:
            seconds = sides[name].ask("times", texts=texts, way=way)["seconds"]
            if i:
                times[f"{name}, {way}"].append([1e3 * s for s in seconds])
    return times


def summary(times: dict[str, list[list[float]]]) -> dict[str, Any]:
    """p50 and p99 of all calls of a side; ratios of the rounds' p50 and of p99, ours over theirs,
    to the fastest setting of each way."""
    result: dict[str, Any] = {
        name: {"p50_ms": float(np.median(calls)), "p99_ms": float(np.percentile(calls, 99))}
        for name, calls in times.items()
    }
    ours = "plainformer, pipeline"
    for way in WAYS:
        peers = [name for name in times if name.startswith("torch") and name.endswith(way)]
        if not peers:
            continue
        best = min(peers, key=lambda name: result[name]["p50_ms"])
        ratios = np.median(times[ours], axis=1) / np.median(times[best], axis=1)
        result[f"beside {way}"] = {
            "setting": best,
            "ratio_p50": float(np.median(ratios)),
            "ratio_p50_p20_p80": [float(x) for x in np.percentile(ratios, [20, 80])],
            "ratio_p99": result[ours]["p99_ms"] / result[best]["p99_ms"],
        }
    return result


def show(result: dict[str, Any]) -> None:
    """A line a side, and a line a comparison."""
    for name, figures in result.items():
        if "p50_ms" in figures:
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
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads of both [default: ours].")
@click.option("--peer-python", envvar="PLAINFORMER_PEER_PYTHON", default=sys.executable)
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(
    model: str | None,
    dtype: str,
    rounds: int,
    threads: int | None,
    peer_python: str,
    output: str | None,
) -> None:
    """Time one sentence from text to label beside transformers on PyTorch."""
    threads = threads or runtime.get_num_threads()
    words = made_up_words(MINILM["vocab_size"] - len(BERT_TOKENS))
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            write_model(folder, words)
        sides = start_sides(
            threads, peer_python, {"path": model or folder, "dtype": dtype}, "latency"
        )
        try:
            texts = sentences(words if model is None else ENGLISH.split())
            difference = check_answers(sides, texts, dtype)
            result = summary(measure(sides, texts, rounds))
        finally:
            for child in sides.values():
                child.close()
    show(result)
    if output:
        about = {"machine": machine.describe(), "threads": threads, "dtype": dtype}
        write_json({**about, "difference": difference, **result}, output)


# Words that are one token for every English model, for --model.
ENGLISH = (
    "the of and to in a is it was for on as with that this film story people good bad old new time "
    "year day world life house water music night white black small large first last long great"
)

if __name__ == "__main__":
    main()

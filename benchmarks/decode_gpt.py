"""Greedy decoding of a GPT-2 124M at batch 1, beside what reading its weights once a token allows.

    python benchmarks/decode_gpt.py [--dtype float32] [--level LEVEL] [--tokens N]
                                    [--output F.json | --record]

The weights are random; the time does not depend on them. The bound is the bytes of all matrices
that a token multiplies (the head, which is the embedding, included) over the read bandwidth of this
machine. What is left of that by neighbors changes from second to second, so each round of tokens is
held against the better of two measurements, just before and just after it.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import click
import numpy as np
from running import Results, Setup, beside, measuring
from turns import busy_ratio

from plainformer import _cpu, runtime
from plainformer.models import GPT2Config, GPT2LMHeadModel, load

PROMPT = 32
FLOOR = 0.75


def bytes_per_token(model: Any) -> int:
    """Bytes of the matrices that multiply each token; positions are looked up."""
    looked_up = "transformer.wpe.weight"
    return sum(p.data.nbytes for name, p in model.named_parameters() if name != looked_up)


def read_bandwidth() -> float:
    """Bytes a second that all threads read from memory."""
    return 1e9 * _cpu.measure_bandwidth("read", 300.0)


def decode(model: Any, tokens: int) -> list[float]:
    """Seconds of each greedy token after a prompt."""
    ids = np.random.default_rng(0).integers(0, 50000, (1, PROMPT))
    cache = model.new_cache(1, PROMPT + tokens)
    token = model.next_logits(ids, cache).argmax(axis=-1)[:, None]
    seconds = []
    for _ in range(tokens - 1):
        start = time.perf_counter()
        token = model.next_logits(token, cache).argmax(axis=-1)[:, None]
        seconds.append(time.perf_counter() - start)
    return seconds


def first_token_seconds(folder: str, dtype: str) -> float:
    """From opening a directory, in the page cache, to the first token."""
    start = time.perf_counter()
    model = load(folder, dtype=dtype)
    model.next_logits(np.zeros((1, PROMPT), np.int64), model.new_cache(1, PROMPT))
    return time.perf_counter() - start


def measure(setup: Setup, dtype: str, tokens: int, rounds: int) -> dict[str, Any]:
    """Median time of a token, and its part of the bound."""
    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(GPT2Config(), seed=0).to(dtype).save_pretrained(folder)
        model = load(folder)
        decode(model, tokens)  # packs weights and warms up
        seconds, busy_seconds, bandwidths = [], [], []
        for number, busy in setup.rounds(rounds):
            if number == 0:  # was the one above
                continue
            with beside(busy):
                before = read_bandwidth()
                found = float(np.median(decode(model, tokens)))
                (busy_seconds if busy else seconds).append(found)
                if not busy:
                    bandwidths.append(max(before, read_bandwidth()))
        del model
        first = min(first_token_seconds(folder, dtype) for _ in range(3))
        bounds = bytes_per_token(load(folder)) / np.array(bandwidths)
    of_bound = bounds / seconds
    return {
        **busy_ratio(seconds, busy_seconds),
        "token_ms": 1e3 * float(np.median(seconds)),
        "bound_ms": 1e3 * float(np.median(bounds)),
        "of_bound": float(np.median(of_bound)),
        "of_bound_p20_p80": [float(x) for x in np.percentile(of_bound, [20, 80])],
        "read_gb_per_second": float(np.median(bandwidths)) / 1e9,
        "tokens_per_second": 1 / float(np.median(seconds)),
        "load_to_first_token_seconds": first,
    }


@click.command()
@click.option("--dtype", "dtypes", type=click.Choice(["float32", "bfloat16"]), multiple=True)
@click.option("--tokens", type=click.IntRange(2), default=48, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@measuring
def main(dtypes: tuple[str, ...], tokens: int, rounds: int, setup: Setup) -> None:
    """Time greedy decoding of a GPT-2 124M at batch 1."""
    runtime.set_num_threads(setup.threads)
    _cpu.set_level(setup.own_level)
    results = Results("decode_gpt", setup)
    for dtype in dtypes or ("float32", "bfloat16"):
        found = measure(setup, dtype, tokens, rounds)
        results.add(dtype, found)
        held = "held" if found["of_bound"] >= FLOOR else "MISSED"
        click.echo(
            f"{dtype:<9} {found['token_ms']:.1f} ms a token, bound {found['bound_ms']:.1f} ms at "
            f"{found['read_gb_per_second']:.1f} GB/s: {found['of_bound']:.0%} of it "
            f"(floor {FLOOR:.0%} {held}); first token {found['load_to_first_token_seconds']:.2f} s "
            "after opening"
        )


if __name__ == "__main__":
    main()

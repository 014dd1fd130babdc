"""Greedy decoding of a GPT-2 124M at batch 1, beside its peers and beside what reading its weights
once a token allows.

    python benchmarks/decode_gpt.py [--dtype float32] [--level LEVEL] [--tokens N]
        [--peers torch,ctranslate2] [--peer-python [NAME=]PATH ...] [--busy]
        [--output F.json | --record]

The weights are random; the time does not depend on them. The bound is the bytes of all matrices
that a token multiplies (the head, which is the embedding, included) over the read bandwidth of this
machine. What is left of that by neighbors changes from second to second, so each round of tokens is
held against the better of two measurements, just before and just after it. Each library has its own
process; int8 is ours and CTranslate2's alone, bfloat16 ours and PyTorch's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import click
import numpy as np
from converted import PEERS, write_tokenizer
from decode_recipe import PROMPT, VOCAB
from running import OURS, Results, Setup, Sides, closing, loaded, measuring
from turns import Side, at_most, comparison, show, take_turns

FLOOR = 0.75  # of the bound
SLOWEST = 60.0  # seconds after which a peer is out
SAME = 8  # tokens that must agree in float32


def write_model(ours: Any, folder: str) -> None:
    """A GPT-2 124M, and a tokenizer for converters, that knows t0, t1, ..."""
    ours.ask("create", path=folder)
    write_tokenizer(folder, VOCAB)


def check_tokens(sides: Sides) -> None:
    """Everyone's first tokens are ours."""
    ids = {side: child.ask("tokens", count=SAME)["ids"] for side, child in sides.items()}
    ours, *others = ids.values()
    if any(other != ours for other in others):
        raise click.ClickException(f"the first {SAME} tokens differ: {ids}")


def measure(
    setup: Setup, sides: Sides, read_bytes: int, tokens: int, rounds: int
) -> dict[str, Any]:
    """Time of a token of each side, and ours as a part of its bound."""
    ours, rates = sides[OURS, "default"], []

    def turn(side: Side, child: Any) -> Callable[[int], float]:
        def timed(number: int) -> float:
            before = ours.ask("bandwidth")["rate"] if child is ours else 0.0
            seconds = child.ask("tokens", timeout=at_most(side, SLOWEST), count=tokens)["seconds"]
            if child is ours:
                rates.append(max(before, ours.ask("bandwidth")["rate"]))
            return float(np.median(seconds))

        return timed

    quiet, busy = take_turns(
        setup, rounds, {side: turn(side, child) for side, child in sides.items()}
    )
    alone = rates[1 :: 2 if setup.busy else 1]  # the first warmed up; every other one was beside
    bounds = read_bytes / np.array(alone)
    of_bound = bounds / quiet[OURS, "default"]
    return {
        **comparison(quiet, busy),
        "bound_ms": 1e3 * float(np.median(bounds)),
        "of_bound": float(np.median(of_bound)),
        "of_bound_p20_p80": [float(x) for x in np.percentile(of_bound, [20, 80])],
        "read_gb_per_second": float(np.median(alone)) / 1e9,
        "load_to_first_token_seconds": min(ours.ask("first_token")["seconds"] for _ in range(3)),
    }


@click.command()
@click.option("--dtype", "dtypes", type=click.Choice([*PEERS]), multiple=True)
@click.option("--peers", default="torch,ctranslate2", show_default=True, help="Who is compared.")
@click.option("--tokens", type=click.IntRange(2), default=48, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@measuring
def main(dtypes: tuple[str, ...], peers: str, tokens: int, rounds: int, setup: Setup) -> None:
    """Time greedy decoding of a GPT-2 124M at batch 1."""
    results = Results("decode_gpt", setup)
    for dtype in dtypes or ("float32", "bfloat16"):
        able = [name for name in PEERS[dtype] if name in peers.split(",")]
        sides = setup.sides("decode", able)
        with closing(sides), tempfile.TemporaryDirectory() as folder:
            ours = sides[OURS, "default"]
            write_model(ours, folder)
            sides = loaded(sides, setup, path=folder, dtype=dtype)
            if dtype == "float32":
                check_tokens(sides)
            read_bytes = ours.ask("load", path=folder, dtype=dtype)["bytes"]
            found = measure(setup, sides, read_bytes, tokens, rounds)
        results.add(dtype, found)
        show(f"{dtype} token after {PROMPT}", found)
        held = "held" if found["of_bound"] >= FLOOR else "MISSED"
        click.echo(
            f"    bound {found['bound_ms']:.1f} ms at {found['read_gb_per_second']:.1f} GB/s: "
            f"{found['of_bound']:.0%} of it (floor {FLOOR:.0%} {held}); first token "
            f"{found['load_to_first_token_seconds']:.2f} s after opening"
        )


if __name__ == "__main__":
    main()

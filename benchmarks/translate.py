"""Time translation by an encoder-decoder of 6 and 6 layers, width 512, beside its peers.

    python benchmarks/translate.py [--dtype float32] [--beams 1] [--level LEVEL]
        [--peers torch,ctranslate2] [--peer-python [NAME=]PATH ...] [--busy]
        [--output F.json | --record]

BART's layers with random weights; a batch of 8 sources of 10 to 30 tokens, 32 tokens written for
each. Each library has its own process, and what they write is compared before anything is timed.
bfloat16 is ours and PyTorch's alone, int8 ours and CTranslate2's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import click
from converted import PEERS, write_tokenizer
from running import OURS, Results, Setup, Sides, closing, loaded, measuring
from translate_recipe import VOCAB
from turns import Side, at_most, comparison, show, take_turns

SLOWEST = 60.0  # seconds after which a peer is out


def check_ids(sides: Sides, beams: int) -> None:
    """Everyone writes what ours writes."""
    written = [child.ask("translate", beams=beams)["ids"] for child in sides.values()]
    if any(other != written[0] for other in written):
        raise click.ClickException(f"the translations differ: {[own[0][:8] for own in written]}")


def measure(setup: Setup, sides: Sides, beams: int, rounds: int) -> dict[str, Any]:
    """Time of a batch of each side."""

    def turn(side: Side, child: Any) -> Callable[[int], float]:
        limit = at_most(side, SLOWEST)
        return lambda number: child.ask("translate", timeout=limit, beams=beams)["seconds"]

    turns = {side: turn(side, child) for side, child in sides.items()}
    return comparison(*take_turns(setup, rounds, turns))


@click.command()
@click.option("--dtype", "dtypes", type=click.Choice([*PEERS]), multiple=True)
@click.option("--beams", type=click.IntRange(1), default=1, show_default=True)
@click.option("--peers", default="torch,ctranslate2", show_default=True, help="Who is compared.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@measuring
def main(dtypes: tuple[str, ...], beams: int, peers: str, rounds: int, setup: Setup) -> None:
    """Time translation beside its peers."""
    results = Results("translate", setup)
    for dtype in dtypes or ("float32", "bfloat16"):
        able = [name for name in PEERS[dtype] if name in peers.split(",")]
        sides = setup.sides("translate", able)
        with closing(sides), tempfile.TemporaryDirectory() as folder:
            sides[OURS, "default"].ask("create", path=folder)
            write_tokenizer(folder, VOCAB)
            sides = loaded(sides, setup, path=folder, dtype=dtype)
            if dtype == "float32":
                check_ids(sides, beams)
            found = measure(setup, sides, beams, rounds)
        name = f"{beams} beams {dtype}" if beams > 1 else f"greedy {dtype}"
        results.add(name, found)
        show(name, found)


if __name__ == "__main__":
    main()

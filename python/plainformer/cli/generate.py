"""`plainformer generate MODEL PROMPT`: continue a text, written as it comes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from plainformer.data.tokenizer import encode_text, load_tokenizer
from plainformer.errors import DataError
from plainformer.generation import TextStreamer
from plainformer.models import load

from ._common import Command, echo, usage_errors


@click.command(cls=Command)
@click.argument("model", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prompt")
@click.option("--max-new-tokens", type=int, default=100, show_default=True, help="At most so many.")
@click.option(
    "--do-sample/--no-do-sample",
    default=True,
    show_default=True,
    help="Draw tokens; otherwise take the most probable one.",
)
@click.option("--temperature", type=float, help="Below 1 draws probable tokens more often.")
@click.option("--top-k", type=int, help="Draw from the K most probable tokens.")
@click.option("--top-p", type=float, help="Draw from the fewest tokens that reach probability P.")
@click.option("--seed", type=int, help="Seed of the draws.")
@click.option("--eos-token-id", type=int, help="Stop at this id instead of the model's own.")
@click.option("--use-cache/--no-use-cache", default=True, help="Keep keys and values of the past.")
@click.option("--dtype", help="Compute in float32, bfloat16 or float64.  [default: as saved]")
def generate(
    model: Path, prompt: str, max_new_tokens: int, dtype: str | None, **options: Any
) -> dict[str, Any]:
    """Continue PROMPT with the model in directory MODEL."""
    tokenizer = load_tokenizer(model)
    ids = encode_text(tokenizer, prompt).tolist()
    if not ids:
        raise DataError("PROMPT: got an empty text, expected at least one token")
    network = load(model, dtype=dtype)
    streamer = TextStreamer(tokenizer, lambda text: echo(text, nl=False))
    start = time.perf_counter()
    with usage_errors():
        result = network.generate(ids, max_new_tokens, streamer=streamer, **options)
    seconds = time.perf_counter() - start
    echo()
    new_ids = result[len(ids) :].tolist()
    return {
        "output_dir": str(model),
        "text": tokenizer.decode(result.tolist()),
        "new_text": tokenizer.decode(new_ids),
        "new_tokens": len(new_ids),
        "seed": options["seed"],
        "seconds": round(seconds, 3),
        "tokens_per_second": round(len(new_ids) / seconds, 1),
    }

"""`plainformer generate MODEL PROMPT`: continue texts, or write what a source text leads to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..checkpoints.huggingface import read_config
from ..data.tokenizer import read_tokenizer
from ..generation import GenerationMixin, TextPieces, TextStreamer
from ..models import load
from ._common import Command, ModelDirectory, echo, usage_errors
from ._generation_flags import generation_flags, generation_options, prompt_ids, read_prompts

NEW_TOKENS = 100
BETWEEN = "-" * 20


@click.command(cls=Command)
@click.argument("model", type=ModelDirectory())
@click.argument("prompt", nargs=-1)
@click.option(
    "--input",
    "input_file",
    help="A file with a prompt a line; - for standard input.",
)
@click.option("--label", help="Begin with the control code of this label; PROMPT may be left out.")
@click.option("--batch-size", type=click.IntRange(1), default=16, help="Prompts at once.")
@click.option("--seed", type=int, help="Seed of the draws.  [default: 0]")
@generation_flags
@click.option("--dtype", help="Compute in float32, bfloat16 or float64.  [default: as saved]")
def generate(
    model: Path,
    prompt: tuple[str, ...],
    input_file: str | None,
    label: str | None,
    batch_size: int,
    seed: int | None,
    dtype: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Continue each PROMPT with the model in directory MODEL.

    An encoder-decoder writes what each PROMPT leads to: a translation, a summary. One text is
    shown while it is written. What no flag says is as in the model's generation_config.json.
    """
    alone = label is not None and not prompt and input_file is None
    prompts = [""] if alone else read_prompts(prompt, input_file)
    config = read_config(model)
    tokenizer = read_tokenizer(model, config)
    network = load(model, dtype=dtype, config=config)
    if not isinstance(network, GenerationMixin):
        network.generate()  # says what it is for
    rows = [prompt_ids(network, tokenizer, text, label) for text in prompts]
    with usage_errors():
        options = with_defaults(network, generation_options(flags, tokenizer), seed)
        start = time.perf_counter()
        if len(rows) == 1 and is_single(network, options):
            texts = stream_one(network, tokenizer, rows[0], options)
        else:
            texts = write_all(network, tokenizer, rows, options, batch_size)
    return summary(model, texts, options.get("seed"), time.perf_counter() - start)


def with_defaults(model: Any, options: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """The options, with what this command does where neither flags nor the model's files say."""
    own = model.generation_config
    lengths = ("max_new_tokens", "max_length")
    if all(options.get(name, getattr(own, name)) is None for name in lengths):
        options["max_new_tokens"] = NEW_TOKENS
    if options.get("do_sample", own.do_sample) is None:
        beams = options.get("num_beams", own.num_beams) or 1
        options["do_sample"] = beams == 1 and not hasattr(model, "encode")
    draws = options.get("do_sample", own.do_sample)
    return {**options, "seed": seed or 0} if draws or seed is not None else options


def is_single(model: Any, options: dict[str, Any]) -> bool:
    """Whether a prompt leads to one text that only grows."""
    names = ("num_beams", "num_return_sequences")
    values = [options.get(name, getattr(model.generation_config, name)) or 1 for name in names]
    return values == [1, 1]


@dataclass(frozen=True)
class Text:
    """One text: whole, and what is new in it."""

    text: str
    new_text: str
    new_tokens: int


def stream_one(model: Any, tokenizer: Any, ids: list[int], options: dict[str, Any]) -> list[Text]:
    """Show one text while it is written."""
    stops = stop_strings(model, options)
    streamer = TextStreamer(tokenizer, lambda text: echo(text, nl=False), stop_strings=stops)
    texts = write(model, tokenizer, [ids], {**options, "streamer": streamer})
    echo()
    return texts


def write_all(
    model: Any, tokenizer: Any, rows: list[list[int]], options: dict[str, Any], batch_size: int
) -> list[Text]:
    """Texts of several prompts or beams, shown one after another."""
    texts: list[Text] = []
    for number, first in enumerate(range(0, len(rows), batch_size)):
        if number and options.get("do_sample", model.generation_config.do_sample):
            options = {**options, "seed": options.get("seed", 0) + 1}  # other draws a batch
        for text in write(model, tokenizer, rows[first : first + batch_size], options):
            if texts:
                echo(BETWEEN)
            echo(text.text)
            texts.append(text)
    return texts


def write(model: Any, tokenizer: Any, rows: list[list[int]], options: dict[str, Any]) -> list[Text]:
    """The texts of some prompts."""
    stops = stop_strings(model, options)
    output = model.generate(
        rows, return_dict_in_generate=True, tokenizer=tokenizer if stops else None, **options
    )
    new = output.sequences.shape[1] - int(output.lengths.max())
    count = len(output.lengths) // len(rows)
    texts = []
    for i, (row, length) in enumerate(zip(output.sequences, output.lengths.tolist())):
        before = row[:new].tolist() if hasattr(model, "encode") else rows[i // count]
        pieces = TextPieces(tokenizer, stops)
        prompt = pieces.skip(before)
        new_text = pieces.push(row[new : new + length].tolist(), last=True)
        shown = "" if hasattr(model, "encode") else prompt
        texts.append(Text(shown + new_text, new_text, length))
    return texts


def stop_strings(model: Any, options: dict[str, Any]) -> list[str]:
    """Where texts are cut."""
    found = options.get("stop_strings", model.generation_config.stop_strings) or []
    return [found] if isinstance(found, str) else found


def summary(model: Path, texts: list[Text], seed: int | None, seconds: float) -> dict[str, Any]:
    """The results as a flat dictionary; lists where there are several texts."""
    tokens = sum(text.new_tokens for text in texts)
    if len(texts) == 1:
        written: dict[str, Any] = {"text": texts[0].text, "new_text": texts[0].new_text}
    else:
        written = {"texts": [t.text for t in texts], "new_texts": [t.new_text for t in texts]}
    return {
        "output_dir": str(model),
        **written,
        "new_tokens": tokens,
        "seed": seed,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
    }

"""`plainformer generate MODEL PROMPT`: continue texts, or write what a source text leads to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ..checkpoints.huggingface import read_config
from ..data.tokenizer import read_tokenizer
from ..generation import GenerationMixin
from ..generation.texts import Text, TextWriter, prompt_ids
from ..kernels.devices import as_device
from ..models import load
from ..models.registry import LoadingOptions
from ._common import Command, ModelDirectory, echo, usage_errors
from ._generation_flags import generation_flags, options_of_flags, read_prompts
from ._option_flags import option_flags

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
@click.option(
    "--batch-size", type=click.IntRange(1), default=16, show_default=True, help="Prompts at once."
)
@click.option("--seed", type=int, help="Seed of the draws.  [default: 0]")
@generation_flags
@option_flags(LoadingOptions)
def generate(
    model: Path,
    prompt: tuple[str, ...],
    input_file: str | None,
    label: str | None,
    batch_size: int,
    seed: int | None,
    dtype: str | None,
    device: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Continue each PROMPT with the model in directory MODEL.

    An encoder-decoder writes what each PROMPT leads to: a translation, a summary. One text is
    shown while it is written. What no flag says is as in the model's generation_config.json.
    """
    with usage_errors():
        place = None if device is None else as_device(device)  # told before anything is read
    alone = label is not None and not prompt and input_file is None
    prompts = [""] if alone else read_prompts(prompt, input_file)
    config = read_config(model)
    tokenizer = read_tokenizer(model, config)
    network = load(model, dtype=dtype, device=place, config=config)
    if not isinstance(network, GenerationMixin):
        network.generate()  # says what it is for
    rows = [prompt_ids(network, tokenizer, text, label) for text in prompts]
    with usage_errors():
        options = with_defaults(network, options_of_flags(flags, tokenizer), seed)
        start = time.perf_counter()
        texts = shown(TextWriter(network, tokenizer, options), rows, batch_size)
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


def shown(writer: TextWriter, rows: list[list[int]], batch_size: int) -> list[Text]:
    """All texts; one alone is shown while it is written, several one after another."""
    if len(rows) == 1 and writer.is_single:
        texts = [writer.stream(rows[0], lambda text: echo(text, nl=False))]
        echo()
        return texts
    texts = []
    for text in writer.write(rows, batch_size):
        if texts:
            echo(BETWEEN)
        echo(text.text)
        texts.append(text)
    return texts


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

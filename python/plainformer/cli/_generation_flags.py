"""The options of `generate` as flags, and its prompts.

A flag that is not given is None or (), so that the model's own `generation_config.json`, and after
it the default, can speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..data.records.source import Source, utf8
from ..errors import DataError
from ..generation import GenerationConfig
from ..generation.words import WordOptions, word_ids
from ._option_flags import flags_given, option_flags

# Words stand in the place of ids, and some options are of use in Python only.
PYTHON_ONLY = ("return_dict_in_generate", "output_scores", "output_logits")
_OWN = ("bad_words_ids", "force_words_ids", "stop_strings", *PYTHON_ONLY)
_DEFAULTS = {
    "max_new_tokens": "100",
    "do_sample": "as the model's files say; else draw, but not with beams or an encoder",
    **dict.fromkeys(("num_beams", "num_return_sequences", "length_penalty"), "1"),
    "early_stopping": "false",
    "use_cache": "on",
    **dict.fromkeys(("temperature", "top_p"), "1"),
    **dict.fromkeys(("repetition_penalty", "encoder_repetition_penalty"), "1"),
    "top_k": "all",
    "min_p": "0",
}


def generation_flags(command: Any) -> Any:
    """Decorate a click command with one flag for each option of GenerationConfig."""
    command = option_flags(WordOptions)(command)
    text = "Stop before this text. May be repeated."
    command = click.option("--stop", "stop_strings", multiple=True, metavar="TEXT", help=text)(
        command
    )
    return option_flags(GenerationConfig, exclude=_OWN, defaults=_DEFAULTS)(command)


def options_of_flags(flags: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Arguments of `generate`: the flags that were given, words as ids."""
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    words = {name: given.pop(name) for name in flags_given(WordOptions, flags)}
    given = {n: list(v) if isinstance(v, tuple) else v for n, v in given.items()}
    return {**given, **word_ids(WordOptions(**words), tokenizer)}


def read_prompts(words: tuple[str, ...], file: str | None) -> list[str]:
    """The prompts of the command line, or the lines of a file, `-` being standard input.

    Raises
    ------
    UsageError : none, or both
    DataError : a file that cannot be read or is not UTF-8
    """
    if bool(words) == (file is not None):
        raise click.UsageError("expected a PROMPT, several, or --input FILE")
    if file is None:
        return list(words)
    with Source(file) as source:
        return [_prompt(source.name, *line) for line in source]


def _prompt(name: str, number: int, data: bytes) -> str:
    try:
        return utf8(data).rstrip("\r\n")
    except ValueError as error:
        raise DataError(str(error), name, number) from error

"""The options of `generate` as flags, and prompts as ids.

A flag that is not given is None or (), so that the model's own `generation_config.json`, and after
it the default, can speak.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from ..data._lines import utf8
from ..data.control_codes import ControlCodes
from ..data.formats.source import Source
from ..data.tokenizer import encode_text
from ..errors import DataError, shown

# Field of GenerationConfig: what the flag takes, and what it is for.
FLAGS: dict[str, tuple[Any, str]] = {
    "max_new_tokens": (int, "At most so many new tokens.  [default: 100]"),
    "max_length": (int, "At most so many tokens, the prompt's counted."),
    "min_new_tokens": (int, "No end before so many new tokens."),
    "min_length": (int, "No end before so many tokens, the prompt's counted."),
    "max_time": (float, "Begin no token after so many seconds."),
    "do_sample": (bool, "Draw tokens; otherwise take the most probable ones.  [default: as the "
                        "model's files say; else draw, but not with beams or an encoder]"),
    "num_beams": (int, "Search with so many continuations side by side."),
    "num_return_sequences": (int, "Texts a prompt."),
    "length_penalty": (float, "Divide beam scores by length to this power."),
    "early_stopping": (str, "When beam search ends: true, false or never."),
    "use_cache": (bool, "Keep keys and values of the past.  [default: yes]"),
    "temperature": (float, "Below 1 draws probable tokens more often."),
    "top_k": (int, "Draw from the K most probable tokens."),
    "top_p": (float, "Draw from the fewest tokens that reach probability P."),
    "min_p": (float, "Draw from tokens with at least P times the best one's probability."),
    "repetition_penalty": (float, "Above 1 disfavors tokens that are there already."),
    "encoder_repetition_penalty": (float, "Above 1 favors tokens of the source or prompt."),
    "no_repeat_ngram_size": (int, "No run of N tokens twice."),
    "encoder_no_repeat_ngram_size": (int, "No run of N tokens of the source or prompt."),
    "sequence_bias": (json.loads, "JSON [[ids, number], ...], added to the last id's score."),
    "forced_bos_token_id": (int, "The first token that an encoder-decoder writes."),
    "forced_eos_token_id": (int, "The last token where a text reaches its full length."),
    "suppress_tokens": ([int], "An id that never occurs. May be repeated."),
    "begin_suppress_tokens": ([int], "An id that does not come first. May be repeated."),
    "exponential_decay_length_penalty": (
        json.loads, "JSON [N, factor]: favor the end more and more after N tokens."
    ),
    "renormalize_logits": (bool, "Make probabilities of what the other options leave."),
    "bos_token_id": (int, "Where targets begin, without a decoder start id."),
    "eos_token_id": ([int], "Stop at this id instead of the model's own. May be repeated."),
    "pad_token_id": (int, "Fills texts that end early."),
    "decoder_start_token_id": (int, "What targets of an encoder-decoder begin with."),
}  # fmt: skip
# Fields that are given as text, or that are of use in Python only.
TEXT_FLAGS = {
    "stop_strings": ("--stop", "Stop before this text. May be repeated."),
    "bad_words_ids": ("--bad-words", "A text that must not occur, as it is cut into tokens. "
                                     "May be repeated."),
    "force_words_ids": ("--force-words", "A text that must occur. May be repeated."),
}  # fmt: skip
PYTHON_ONLY = ("return_dict_in_generate", "output_scores", "output_logits")


def generation_flags(command: Any) -> Any:
    """Decorate a click command with one option for each field of GenerationConfig."""
    for name, (flag, text) in reversed(TEXT_FLAGS.items()):
        command = click.option(flag, name, multiple=True, metavar="TEXT", help=text)(command)
    for name, (kind, text) in reversed(FLAGS.items()):
        command = _option("--" + name.replace("_", "-"), kind, text)(command)
    return command


def _option(flag: str, kind: Any, text: str) -> Callable[[Any], Any]:
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text)
    if isinstance(kind, list):
        return click.option(flag, type=kind[0], multiple=True, help=text)
    if kind is json.loads:
        return click.option(flag, metavar="JSON", callback=_parse_json, help=text)
    if flag == "--early-stopping":
        choice = click.Choice(["true", "false", "never"])
        return click.option(flag, type=choice, callback=_parse_word, help=text)
    return click.option(flag, type=kind, default=None, help=text)


def _parse_json(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        raise click.BadParameter(f"got {shown(value)}, expected JSON") from None


def _parse_word(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    return {"true": True, "false": False}.get(value, value)  # type: ignore[arg-type]


def generation_options(flags: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Arguments of `generate`: the flags that were given, words as ids."""
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    given = {n: list(v) if isinstance(v, tuple) else v for n, v in given.items()}
    for name in ("bad_words_ids", "force_words_ids"):
        if name in given:
            given[name] = [encode_text(tokenizer, text).tolist() for text in given[name]]
    return given


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


def prompt_ids(model: Any, tokenizer: Any, text: str, label: str | None = None) -> list[int]:
    """Ids of a prompt, behind the beginning-of-text id if the tokenizer would put it there; of a
    source text for an encoder, with all special tokens that the tokenizer adds. With a label the
    ids of the text, which may be empty, behind the label's control code."""
    if label is not None:
        return ControlCodes(tokenizer).encode(text, label).tolist()
    ids = encode_text(tokenizer, text).tolist()
    if not ids:
        raise DataError("PROMPT: got an empty text, expected at least one token")
    with_special = tokenizer.encode(text).ids
    if hasattr(model, "encode"):
        return with_special
    begin = model.config.bos_token_id
    adds = begin is not None and with_special[0] == begin and ids[0] != begin
    return [begin, *ids] if adds else ids

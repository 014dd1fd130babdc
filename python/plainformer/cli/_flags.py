"""Flags in messages: an argument's name as its flag, and what an unknown flag was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import click

from ..errors import short

# What other tools call our flags that are no options, which know their words themselves; the
# first flag that a command has is meant.
_WORDS = {
    "batch-size": "eval-batch-size",
    "model": "checkpoint model-name model-name-or-path model-path",
    "resume-from-checkpoint": "checkpoint",
    "block-size": "context-length",
    "max-length": "context-length",
    "max-new-tokens": "length",
    "validation": "dev eval eval-data eval-file val val-data val-file valid validation-data "
                  "validation-file",
    "test": "test-file",
    "data": "data-path dataset dataset-name eval-data eval-file file input test-file train "
            "train-data train-file",
    "train": "data data-path dataset dataset-name file input train-data train-file",
    "config": "config-name config-overrides model-type",
    "input": "data data-path dataset file text",
    "output-dir": "out out-dir output save-dir",
    "output": "out output-dir output-file",
    "adapter": "lora peft-model",
    "bf16": "precision",
    "dtype": "precision torch-dtype",
    "system": "prompt",
    "text-column": "text-col text-column-name",
    "columns": "label-column-name text-col text-column-name",
    "tokenizer": "tokenizer-name",
    "report-to": "wandb",
}  # fmt: skip
_INSTEAD = {
    "cuda": "did you mean --device cuda?",
    "cache-dir": "nothing is downloaded; leave it out",
    "gpu": "did you mean --device cuda?",
    "format": "formats are told by the file's name and beginning; leave it out",
    "max-eval-samples": "an evaluation always covers all its data; leave it out",
    "pad-to-max-length": "nothing is padded; leave it out",
    "preprocessing-num-workers": "data is read as it is needed; leave it out",
    "streaming": "data may be larger than memory; leave it out",
    "task-name": "the task is the first word behind finetune, the data is in files",
    "trust-remote-code": "no code of models is run; leave it out",
    "use-fast-tokenizer": "all are fast; leave it out",
    "validation-split-percentage": "name the files to evaluate on with --validation",
    "num-workers": "data is read as it is needed; leave it out",
    "quiet": "messages go to standard error: 2>/dev/null hides them",
    "threads": "set PLAINFORMER_NUM_THREADS in the environment",
    "num-threads": "set PLAINFORMER_NUM_THREADS in the environment",
    "verbose": "all is said already; leave it out",
}
_INSTEAD |= dict.fromkeys(
    ("n-layer", "n-head", "n-embd", "vocab-size", "bias"), "sizes of a model are in its config.json"
)
_IN_PYTHON = re.compile(r" \(in Python: [^()]*\)")  # what a message tells beside the flag
_ASSIGNED = r"(?:=(True|False|None|'[^']*'|[-+.\w]+))?"


def in_flags(message: str, command: click.Command) -> str:
    """A message in which the command's arguments have the names of their flags.

    `learning_rate` is `--learning-rate` wherever it stands alone, `seed` where it begins the
    message, has a value or stands in backticks; `name=True` is the flag, `name=3` the flag and its
    value.
    """
    flags = {
        p.name: p.opts[0]
        for p in command.params
        if isinstance(p, click.Option) and p.name and p.opts[0].startswith("--")
    }
    message = _IN_PYTHON.sub("", message)
    message = re.sub(r"`(\w+)`", lambda m: f"`{flags.get(m[1], m[1])}`", message)
    begin = re.match(r"(\w+)(?=: )", message)
    if begin and begin[1] in flags and "_" not in begin[1]:
        message = flags[begin[1]] + message[begin.end() :]
    return _renamed(message, flags)


def _renamed(message: str, flags: Mapping[str, str], *, all_alone: bool = False) -> str:
    """`name=True` and `name=3` as flags, and `name` alone if it has an underscore or all have."""
    if not flags:
        return message
    names = "|".join(sorted(flags, key=len, reverse=True))
    pattern = rf"(?<![\w/.'\"-])({names}){_ASSIGNED}(?![\w/'\"]|\.\w)"

    def renamed(found: re.Match[str]) -> str:
        is_meant = all_alone or found[2] is not None or "_" in found[1]
        return _flag(flags[found[1]], found[2]) if is_meant else found[0]

    return re.sub(pattern, renamed, message)


def _flag(flag: str, value: str | None) -> str:
    if value in (None, "True"):
        return flag
    return f"--no-{flag[2:]}" if value == "False" else f"{flag} {value}".replace("'", "")


def meant_by(word: str, command: click.Command) -> str:
    """ "; did you mean --x?" for a word that is no flag of a command."""
    known = [opt for p in command.params for opt in (*p.opts, *p.secondary_opts)]
    known = [opt for opt in known if opt.startswith("--")]
    options = {w: p.opts[0][2:] for p in command.params for w in getattr(p, "words", ())}
    word = word.lstrip("-").replace("_", "-").lower()
    told = {**_training_words(), **_INSTEAD}.get(word)
    others = [flag for flag, words in _WORDS.items() if word in words.split()]
    wanted = [word, *([options[word]] if word in options else others)]
    meant = next((f"--{name}" for name in wanted if f"--{name}" in known), None)
    if meant is None and told is None:
        meant = " or ".join(difflib.get_close_matches(f"--{word}", known, 3)) or None
    if meant is None:
        return f"; {_told_in_flags(told, known)}" if told else "; --help lists the flags"
    return f"; did you mean {meant}?"


def unknown_flag(error: click.NoSuchOption, command: click.Command) -> str:
    """The message for a flag that a command has not, with what was meant."""
    return f"No such flag {short(error.option_name)}{meant_by(error.option_name, command)}"


def _told_in_flags(told: str, known: list[str]) -> str:
    """What to do instead, with flags for names; what is meant stands behind "did you mean"."""
    flags = {flag[2:].replace("-", "_"): flag for flag in known}
    told, asks, meant = told.partition("did you mean ")
    return _renamed(told, flags) + asks + _renamed(meant, flags, all_alone=True)


def _training_words() -> dict[str, str]:
    """What to do instead of others' options of training."""
    from ..training.words import LACKING  # --help needs no NumPy

    return {word.replace("_", "-"): lacking.instead for word, lacking in LACKING.items()}

"""Flags in messages: an argument's name as its flag, and what an unknown flag was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import click

from ..errors import short

# What other tools call our flags; the first that a command has is meant.
_WORDS: dict[str, tuple[str, ...]] = {
    "batch-size": ("per-device-train-batch-size", "batch-size"),
    "train-batch-size": ("per-device-train-batch-size",),
    "eval-batch-size": ("per-device-eval-batch-size", "batch-size"),
    "beams": ("num-beams",),
    "beam-size": ("num-beams",),
    "checkpoint": ("model", "resume-from-checkpoint"),
    "context-length": ("block-size", "max-length"),
    "data": ("train", "input"),
    "data-path": ("data", "train", "input"),
    "dataset": ("data", "train", "input"),
    "dataset-name": ("data", "train"),
    "dev": ("validation",),
    "eval": ("validation",),
    "eval-data": ("validation", "data"),
    "eval-file": ("validation", "data"),
    "file": ("input", "data", "train"),
    "input": ("data", "train"),
    "length": ("max-new-tokens",),
    "max-seq-length": ("max-length", "block-size"),
    "max-seq-len": ("max-length", "block-size"),
    "max-tokens": ("max-new-tokens",),
    "model-name": ("model",),
    "model-name-or-path": ("model",),
    "model-path": ("model",),
    "n-predict": ("max-new-tokens",),
    "num-predict": ("max-new-tokens",),
    "num-samples": ("num-return-sequences",),
    "out": ("output-dir", "output"),
    "output": ("output-dir",),
    "output-dir": ("output",),
    "output-file": ("output",),
    "peft-model": ("adapter",),
    "lora": ("lora-r", "adapter"),
    "precision": ("bf16", "dtype"),
    "prompt": ("system",),
    "rank": ("lora-r",),
    "resume": ("resume-from-checkpoint",),
    "save-dir": ("output-dir",),
    "scheduler": ("lr-scheduler-type",),
    "temp": ("temperature",),
    "test-file": ("test", "data"),
    "text": ("input",),
    "text-col": ("text-column", "columns"),
    "tokenizer-name": ("tokenizer",),
    "topk": ("top-k",),
    "topp": ("top-p",),
    "train-data": ("train", "data"),
    "train-file": ("train", "data"),
    "val": ("validation",),
    "val-data": ("validation",),
    "val-file": ("validation",),
    "valid": ("validation",),
    "validation-data": ("validation",),
    "validation-file": ("validation",),
    "wd": ("weight-decay",),
    "warmup": ("warmup-steps",),
}
_INSTEAD = {
    "cuda": "there is no GPU to choose; leave it out",
    "device": "models run on the CPU; leave it out",
    "gpu": "models run on the CPU; leave it out",
    "format": "formats are told by the file's name and beginning; leave it out",
    "num-workers": "data is read as it is needed; leave it out",
    "quiet": "messages go to standard error: 2>/dev/null hides them",
    "threads": "set PLAINFORMER_NUM_THREADS in the environment",
    "num-threads": "set PLAINFORMER_NUM_THREADS in the environment",
    "verbose": "all is said already; leave it out",
    "wandb": "logs are files: log.jsonl and timing.jsonl in --output-dir; leave it out",
}
_IN_PYTHON = re.compile(r" \(in Python: [^()]*\)")  # what a message tells beside the flag
_ASSIGNED = r"(?:=(True|False|None|'[^']*'|[-+.\w]+))?"


def in_flags(message: str, command: click.Command) -> str:
    """A message in which the command's arguments have the names of their flags.

    `learning_rate` is `--learning-rate` wherever it stands alone, `seed` where it begins the
    message or stands in backticks; `name=True` is the flag, `name=3` the flag and its value.
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
    return _renamed(message, {name: flag for name, flag in flags.items() if "_" in name})


def _renamed(message: str, flags: Mapping[str, str]) -> str:
    """`name`, `name=True` and `name=3` as flags, where they stand alone."""
    names = sorted(flags, key=len, reverse=True)
    if not names:
        return message
    pattern = rf"(?<![\w/.'\"-])({'|'.join(names)}){_ASSIGNED}(?![\w/'\"]|\.\w)"
    return re.sub(pattern, lambda found: _flag(flags[found[1]], found[2]), message)


def _flag(flag: str, value: str | None) -> str:
    if value in (None, "True"):
        return flag
    return f"--no-{flag[2:]}" if value == "False" else f"{flag} {value}".replace("'", "")


def meant_by(word: str, command: click.Command) -> str:
    """ "; did you mean --x?" for a word that is no flag of a command."""
    known = [opt for p in command.params for opt in (*p.opts, *p.secondary_opts)]
    word = word.lstrip("-").replace("_", "-").lower()
    return _meant(word, [opt for opt in known if opt.startswith("--")])


def unknown_flag(error: click.NoSuchOption, command: click.Command) -> str:
    """The message for a flag that a command has not, with what was meant."""
    return f"No such flag {short(error.option_name)}{meant_by(error.option_name, command)}"


def _meant(word: str, known: list[str]) -> str:
    aliases, instead = _training_words()
    told = {**instead, **_INSTEAD}.get(word)
    wanted = [word, *_WORDS.get(word, ()), *([aliases[word]] if word in aliases else [])]
    meant = next((f"--{name}" for name in wanted if f"--{name}" in known), None)
    if meant is None and told is None:
        close = difflib.get_close_matches(f"--{word}", known, 3)
        meant = " or ".join(close) or None
    if meant is None:
        return f"; {_told_in_flags(told, known)}" if told else "; --help lists the flags"
    return f"; did you mean {meant}?"


def _told_in_flags(told: str, known: list[str]) -> str:
    return _renamed(told, {flag[2:].replace("-", "_"): flag for flag in known})


def _training_words() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Other words for training arguments, and what to do instead of some."""
    from ..training._aliases import ALIASES, INSTEAD  # --help needs no NumPy

    return (
        {k.replace("_", "-"): v.replace("_", "-") for k, v in ALIASES.items()},
        {k.replace("_", "-"): v for k, v in INSTEAD.items()},
    )

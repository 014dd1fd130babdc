"""What the arguments of `generate` may be: one rule a name, which every value goes through.

A rule reads a value into the plain Python value that is used, so that NumPy's numbers, huge
integers and lists of any kind are met here and nowhere else. Whether options fit each other, the
prompt and the vocabulary is seen to where they meet (`settings.py`, `build.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError, shown
from .config import GenerationConfig

MOST_TOKENS = 2**31 - 1  # of a row; memory for them is taken as they are written
MOST_ROWS = 4096  # a prompt; all of them are computed side by side
_MOST_ITEMS = 2**20  # of a list of ids
_LARGEST = 1e9  # factor of a score: two of them, and scores, stay far below float32's infinity


@dataclass(frozen=True)
class Rule:
    """`read` gives the value that is used, or raises ValueError; `wanted` says what it takes."""

    read: Callable[[Any], Any]
    wanted: str


def checked(name: str, value: Any) -> Any:
    """The value of an argument as its rule reads it.

    Raises
    ------
    ConfigError : naming the argument, what it got and what was wanted
    """
    rule = RULES[name]
    try:
        return rule.read(value)
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(f"{name}: got {shown(value)}, expected {rule.wanted}") from None


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def _integer(least: int, most: int = MOST_TOKENS) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        _require(isinstance(value, (int, np.integer)) and not isinstance(value, bool))
        _require(least <= value <= most)
        return int(value)

    return read


def _number(test: Callable[[float], bool]) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        _require(isinstance(value, (int, float, np.integer, np.floating)))
        _require(not isinstance(value, bool))
        number = float(value)  # an integer may overflow, and would make powers slow
        _require(math.isfinite(number) and test(number))
        return number

    return read


def _flag(value: Any) -> bool:
    _require(isinstance(value, (bool, np.bool_)))
    return bool(value)


def _items(value: Any) -> list[Any]:
    """The items of a list, tuple or array; a string or mapping is none."""
    _require(isinstance(value, (list, tuple, range, np.ndarray)))
    _require(len(value) <= _MOST_ITEMS)
    return list(value)


def read_ids(value: Any, least: int = 0) -> list[int]:
    """One id, or several in a list, as a list. Raises ValueError or TypeError for all else."""
    read = _integer(least)
    if isinstance(value, (list, tuple, range)) or (isinstance(value, np.ndarray) and value.ndim):
        return [read(one) for one in _items(value)]
    return [read(value.item() if isinstance(value, np.ndarray) else value)]


def _word(value: Any) -> list[int]:
    ids = read_ids(_items(value))
    _require(bool(ids))
    return ids


def _words(value: Any) -> list[list[int]]:
    return [_word(word) for word in _items(value)]


def _biases(value: Any) -> list[tuple[list[int], float]]:
    pairs = list(value.items()) if isinstance(value, Mapping) else _items(value)
    return [(read_word(ids), _bias(bias)) for ids, bias in pairs]


def read_word(value: Any) -> list[int]:
    """One or more ids that follow each other."""
    ids = read_ids(value)
    _require(bool(ids))
    return ids


def _bias(value: Any) -> float:
    if isinstance(value, (float, np.floating)) and value == -np.inf:
        return float(value)
    return _number(lambda v: abs(v) <= _LARGEST)(value)


def _decay(value: Any) -> tuple[int, float]:
    start, factor = _items(value)
    return _integer(0)(start), _number(lambda v: v > 0)(factor)


def _strings(value: Any) -> str | list[str]:
    for one in [value] if isinstance(value, str) else _items(value):
        _require(isinstance(one, str) and bool(one))
    return value if isinstance(value, str) else _items(value)


def _early_stopping(value: Any) -> bool | str:
    return "never" if isinstance(value, str) and value == "never" else _flag(value)


def _config(value: Any) -> GenerationConfig:
    _require(isinstance(value, GenerationConfig))
    return value


def _callables(value: Any) -> list[Callable[..., Any]]:
    _require(isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)))
    found = []
    for one in value:
        _require(callable(one))
        found.append(one)
    return found


def _having(*names: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        _require(all(hasattr(value, name) for name in names))
        return value

    return read


def _callable(value: Any) -> Any:
    _require(callable(value))
    return value


COUNT = Rule(_integer(1), "int, at least 1")
SIZE = Rule(_integer(0), "int, at least 0")
ROWS = Rule(_integer(1, MOST_ROWS), f"int, at least 1 and at most {MOST_ROWS}")
FLAG = Rule(_flag, "bool, True or False")
ID = Rule(_integer(0), "an id of at least 0")
IDS = Rule(read_ids, "ids of at least 0")
WORDS = Rule(_words, "a list of lists of ids, none of them empty")
PENALTY = Rule(
    _number(lambda v: 1 / _LARGEST <= v <= _LARGEST), "float, more than 0, from 1e-9 to 1e9"
)

RULES: dict[str, Rule] = {
    "max_new_tokens": COUNT,
    "max_length": COUNT,
    "min_new_tokens": SIZE,
    "min_length": SIZE,
    "max_time": Rule(_number(lambda v: v > 0), "float, more than 0, in seconds"),
    "stop_strings": Rule(_strings, "strings of some length, one or a list"),
    "do_sample": FLAG,
    "num_beams": ROWS,
    "num_return_sequences": ROWS,
    "length_penalty": Rule(_number(lambda v: True), "float, a finite number"),
    "early_stopping": Rule(_early_stopping, "True, False or 'never'"),
    "use_cache": FLAG,
    "temperature": Rule(
        _number(lambda v: v > 0),
        "float, more than 0; do_sample=False always takes the most probable token",
    ),
    "top_k": Rule(_integer(0, 2**63), "int, at least 1, or None for all"),
    "top_p": Rule(_number(lambda v: 0 < v <= 1), "float, more than 0 and at most 1"),
    "min_p": Rule(_number(lambda v: 0 <= v <= 1), "float, at least 0 and at most 1"),
    "repetition_penalty": PENALTY,
    "encoder_repetition_penalty": PENALTY,
    "no_repeat_ngram_size": SIZE,
    "encoder_no_repeat_ngram_size": SIZE,
    "bad_words_ids": WORDS,
    "force_words_ids": WORDS,
    "sequence_bias": Rule(_biases, "[[ids, float], ...], floats up to 1e9 or -inf"),
    "forced_bos_token_id": ID,
    "forced_eos_token_id": IDS,
    "suppress_tokens": IDS,
    "begin_suppress_tokens": IDS,
    "exponential_decay_length_penalty": Rule(
        _decay, "(new tokens, factor): an int of at least 0 and a float of more than 0"
    ),
    "renormalize_logits": FLAG,
    "return_dict_in_generate": FLAG,
    "output_scores": FLAG,
    "output_logits": FLAG,
    "bos_token_id": ID,
    "eos_token_id": IDS,
    "pad_token_id": ID,
    "decoder_start_token_id": ID,
    # Arguments of a call that are no options
    "seed": Rule(_integer(0, 2**64 - 1), "an integer of at least 0 and below 2**64"),
    "generation_config": Rule(_config, "a GenerationConfig; options of a dict go by name"),
    "logits_processor": Rule(_callables, "a list of callables (input_ids, logits) -> logits"),
    "stopping_criteria": Rule(_callables, "a list of callables (input_ids, scores) -> bool"),
    "prefix_allowed_tokens_fn": Rule(_callable, "a callable (prompt, ids) -> ids"),
    "tokenizer": Rule(_having("decode"), "an object with decode(ids)"),
    "streamer": Rule(_having("put", "end"), "an object with put(ids) and end()"),
    "past_key_values": Rule(
        _having("batch", "capacity", "lengths", "reorder"), "what new_cache returns"
    ),
}

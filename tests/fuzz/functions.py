"""The table of functions: odd arguments, a strategy each. A new function is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from plainformer.checkpoints.huggingface import parse_size
from plainformer.data.tokenizer import parse_spec
from plainformer.errors import PlainformerError
from plainformer.nn import LoraConfig

from . import functions_front, functions_kernels, functions_scores
from .function import Function, one_of

FUNCTIONS: dict[str, Function] = {
    "parse_size": Function(parse_size, {"size": one_of(5, "5GB", "2 MiB")}),
    "parse_spec": Function(parse_spec, {"text": one_of("char", "bpe:300", "wordpiece:200")}),
    "LoraConfig": Function(
        LoraConfig,
        {"r": one_of(1, 8), "lora_alpha": one_of(8, 0.5), "lora_dropout": one_of(0.0, 0.1),
         "target_modules": one_of(None, ["q"]), "use_rslora": one_of(True, False)},
    ),
    **functions_front.FUNCTIONS,
    **functions_kernels.FUNCTIONS,
    **functions_scores.FUNCTIONS,
}  # fmt: skip


# Sizes that are asked for in so many words may be more than there is memory.
CLEAN = (PlainformerError, MemoryError)


def cases(name: str, folder: Path) -> Callable[[int], tuple[Callable[[], Any], tuple[Any, ...]]]:
    """What runs case i of a function, and which errors are clean."""
    function = FUNCTIONS[name]

    def case(number: int) -> tuple[Callable[[], Any], tuple[Any, ...]]:
        given = function.draw(Random(f"{name}:{number}"))
        return lambda: function.call(**given), CLEAN

    return case

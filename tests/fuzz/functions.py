"""The table of functions: odd arguments, a strategy each. A new function is one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from plainformer.checkpoints.huggingface import parse_size
from plainformer.data.tokenizer import parse_spec
from plainformer.errors import PlainformerError
from plainformer.nn import LoraConfig

from .mutate import DEEP, junk

Strategy = Callable[[Random], Any]


@dataclass
class Function:
    """A public function and what its arguments are drawn from.

    call : the function
    arguments : name to strategy; each argument is left out, valid or junk
    """

    call: Callable[..., Any]
    arguments: Mapping[str, Strategy] = field(default_factory=dict)

    def draw(self, random: Random) -> dict[str, Any]:
        """Arguments, at least one of them odd."""
        names = list(self.arguments)
        odd = set(random.sample(names, random.randint(1, min(2, len(names)))))
        return {n: self.odd(random) if n in odd else self.arguments[n](random) for n in names}

    def odd(self, random: Random) -> Any:
        """A value that nobody would give on purpose."""
        value = junk(random)
        return [[]] if isinstance(value, str) and value == DEEP else value


def one_of(*values: Any) -> Strategy:
    """One of some valid values."""
    return lambda random: random.choice(values)


FUNCTIONS: dict[str, Function] = {
    "parse_size": Function(parse_size, {"size": one_of(5, "5GB", "2 MiB")}),
    "parse_spec": Function(parse_spec, {"text": one_of("char", "bpe:300", "wordpiece:200")}),
    "LoraConfig": Function(
        LoraConfig,
        {"r": one_of(1, 8), "lora_alpha": one_of(8, 0.5), "lora_dropout": one_of(0.0, 0.1),
         "target_modules": one_of(None, ["q"]), "use_rslora": one_of(True, False)},
    ),
}  # fmt: skip


def cases(name: str, folder: Path) -> Callable[[int], tuple[Callable[[], Any], tuple[Any, ...]]]:
    """What runs case i of a function, and which errors are clean."""
    function = FUNCTIONS[name]

    def case(number: int) -> tuple[Callable[[], Any], tuple[Any, ...]]:
        given = function.draw(Random(f"{name}:{number}"))
        return lambda: function.call(**given), (PlainformerError,)

    return case

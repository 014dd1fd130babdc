"""What a person sees while training: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tqdm import tqdm

from .arguments import TrainingArguments
from .state import TrainerState
from .timing import Speed


class Progress:
    """Base of the two: shows nothing."""

    def start(self, state: TrainerState) -> None:
        """Before the first update of this process."""

    def step(self) -> None:
        """After every update."""

    def log(self, state: TrainerState, record: dict[str, Any], speed: Speed | None = None) -> None:
        """After every record of log.jsonl."""

    def close(self) -> None:
        """After the last update, or an error."""


class Lines(Progress):
    """One line a record, for files, pipes and logs of other programs."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr

    def log(self, state: TrainerState, record: dict[str, Any], speed: Speed | None = None) -> None:
        words = [f"step {state.global_step}/{state.max_steps}", *describe(record)]
        if speed is not None:
            words += [*describe_speed(speed), f"eta {clock(speed.seconds_left)}"]
        self.stream.write("  ".join(words) + "\n")
        self.stream.flush()


class Bar(Progress):
    """A tqdm bar; evaluations are written above it."""

    def __init__(self) -> None:
        self.bar: Any = None

    def start(self, state: TrainerState) -> None:
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True
        )

    def step(self) -> None:
        self.bar.update(1)

    def log(self, state: TrainerState, record: dict[str, Any], speed: Speed | None = None) -> None:
        if speed is None:
            line = "  ".join([f"step {state.global_step}", *describe(record)])
            self.bar.write(line, file=sys.stderr)
        else:
            self.bar.set_postfix_str(", ".join([*describe(record), *describe_speed(speed)]))

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def make_progress(args: TrainingArguments) -> Progress:
    """A bar with `disable_tqdm=False` or on a terminal, else lines."""
    plain = args.disable_tqdm
    if plain is None:
        plain = not sys.stderr.isatty()
    return Lines() if plain else Bar()


def describe(record: dict[str, Any]) -> list[str]:
    """The numbers of a record that a person wants to see, as short words."""
    hidden = {"step", "epoch", "tokens"}
    return [f"{k} {_short(v)}" for k, v in record.items() if k not in hidden]


def describe_speed(speed: Speed) -> list[str]:
    """Tokens a second and utilization as short words."""
    return [f"{speed.tokens_per_second:,.0f} tok/s", f"mfu {speed.mfu:.0%}"]


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

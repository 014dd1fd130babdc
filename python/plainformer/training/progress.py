"""What a person sees while training: a bar on a terminal, a table in a notebook, else lines."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from ..reprs import table
from .arguments import TrainingArguments
from .state import Record, TrainerState
from .timing import Speed

_HIDDEN = {"step", "epoch", "tokens"}
_SECONDS = 0.5  # between two looks of a table at which nothing was logged
_ROWS = 50  # of a table, the last ones


class Progress:
    """Base of all: shows nothing."""

    def start(self, state: TrainerState) -> None:
        """Before the first update of this process."""

    def step(self) -> None:
        """After every update."""

    def log(self, state: TrainerState, record: Record, speed: Speed | None = None) -> None:
        """After every record of log.jsonl."""

    def close(self) -> None:
        """After the last update, or an error."""


class Lines(Progress):
    """One line a record, for files, pipes and logs of other programs."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr

    def log(self, state: TrainerState, record: Record, speed: Speed | None = None) -> None:
        words = [f"step {state.global_step}/{state.max_steps}", *describe_record(record)]
        if speed is not None:
            words += [*describe_speed(speed), f"eta {clock(speed.seconds_left)}"]
        self.stream.write("  ".join(words) + "\n")
        self.stream.flush()


class Bar(Progress):
    """A tqdm bar; evaluations are written above it."""

    def __init__(self) -> None:
        self.bar: Any = None

    def start(self, state: TrainerState) -> None:
        from tqdm.auto import tqdm  # brings asyncio

        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True
        )

    def step(self) -> None:
        self.bar.update(1)

    def log(self, state: TrainerState, record: Record, speed: Speed | None = None) -> None:
        if speed is None:
            line = "  ".join([f"step {state.global_step}", *describe_record(record)])
            self.bar.write(line, file=sys.stderr)
        else:
            self.bar.set_postfix_str(", ".join([*describe_record(record), *describe_speed(speed)]))

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Notebook(Progress):
    """A bar and a table of what was logged, kept up to date below the cell of a notebook.

    Figures of one update share a row: those of training and of an evaluation after it.
    """

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.steps = self.last = 0
        self.speed = ""
        self.shown_at = 0.0
        self.handle: Any = None

    def start(self, state: TrainerState) -> None:
        from IPython.display import display  # whose kernel runs this

        self.steps, self.last = state.global_step, state.max_steps
        self.handle = display(self, display_id=True)

    def step(self) -> None:
        self.steps += 1
        if time.monotonic() - self.shown_at > _SECONDS:
            self._show()

    def log(self, state: TrainerState, record: Record, speed: Speed | None = None) -> None:
        figures = {name: value for name, value in record.items() if name not in _HIDDEN}
        self.rows.setdefault(state.global_step, {}).update(figures)
        if speed is not None:
            words = [*describe_speed(speed), f"eta {clock(speed.seconds_left)}"]
            self.speed = ", ".join(words)
        self._show()

    def close(self) -> None:
        if self.handle is not None:
            self._show()

    def _show(self) -> None:
        self.shown_at = time.monotonic()
        self.handle.update(self)

    def _repr_html_(self) -> str:
        found = dict.fromkeys(name for row in self.rows.values() for name in row)
        names = sorted(found, key=lambda name: name.startswith("eval_"))  # evaluations last
        told = f"step {self.steps}/{self.last}" + (f", {self.speed}" if self.speed else "")
        bar = f'<progress value="{self.steps}" max="{self.last}"></progress> {told}'
        rows = [
            (step, *(_short(row[name]) if name in row else "" for name in names))
            for step, row in list(self.rows.items())[-_ROWS:]
        ]
        return f"<div>{bar}</div>" + (table(("step", *names), rows) if rows else "")

    def __repr__(self) -> str:
        """For what shows no HTML."""
        last = list(self.rows.values())[-1:]
        return "  ".join(
            [f"step {self.steps}/{self.last}", *(w for r in last for w in describe_record(r))]
        )


def make_progress(args: TrainingArguments) -> Progress:
    """A bar with `disable_tqdm=False` or on a terminal, a table in a notebook, else lines."""
    plain = args.disable_tqdm
    notebook = in_notebook()
    if plain is None:
        plain = not notebook and not sys.stderr.isatty()
    return Lines() if plain else Notebook() if notebook else Bar()


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, which shows HTML; as tqdm tells it."""
    ipython = sys.modules.get("IPython")  # its kernel has imported it
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def describe_record(record: Record) -> list[str]:
    """The numbers of a record that a person wants to see, as short words."""
    return [f"{k} {_short(v)}" for k, v in record.items() if k not in _HIDDEN]


def describe_speed(speed: Speed) -> list[str]:
    """Tokens a second and utilization as short words."""
    used = [] if speed.mfu is None else [f"mfu {speed.mfu:.0%}"]
    return [f"{speed.tokens_per_second:,.0f} tok/s", *used]


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

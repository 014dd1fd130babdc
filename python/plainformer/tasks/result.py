"""What a fine-tuning gives: the trained task and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..reprs import figures, table
from .task import Task


@dataclass(repr=False)
class FineTuneResult:
    """What came out of a fine-tuning. `print(result)` shows figures before and after side by side.

    task : the Task with the trained model
    metrics : flat figures, `eval_accuracy` after, `before_eval_accuracy` before, ...
    decided : the names of those that made the model of `best_step` the best one
    """

    task: Task
    metrics: dict[str, Any] = field(default_factory=dict)
    decided: Sequence[str] = ()

    def __repr__(self) -> str:
        return figures(self, {"task": self.task.name, **self.metrics})

    def _repr_html_(self) -> str:
        """The figures before and after, as a notebook shows them."""
        metrics = self.metrics
        told = f"{self.task.name}: {metrics['steps']} steps in {metrics['seconds']:.1f} s"
        rows = [
            (name + " *" * (name in self.decided), metrics.get(f"before_{name}", ""), value)
            for name, value in metrics.items()
            if name.startswith(("eval_", "test_"))
        ]
        head = ("", "before", "after") if rows else ()
        return table(head, rows, f"{told}, model in {metrics['output_dir']}")

    def __str__(self) -> str:
        """Time, figures before and after (`<` marks those that decided), the directory."""
        metrics = self.metrics
        lines = [
            f"{metrics['steps']} steps in {metrics['seconds']:.1f} s, "
            f"{metrics['tokens_per_second']:,.0f} tokens a second; "
            f"trained {metrics['trainable_parameters']:,} of {metrics['parameters']:,} parameters"
        ]
        rows = [name for name in metrics if f"before_{name}" in metrics]
        if rows:
            width, best = max(map(len, rows)), metrics.get("best_step")
            told = f"  (< decided for the model of step {best})" if self.decided else ""
            lines.append(f"{'':{width}}  {'before':>10}  {'after':>10}{told}")
        for name in rows:
            mark = "  <" if name in self.decided else ""
            before, after = metrics[f"before_{name}"], metrics[name]
            lines.append(f"{name:{width}}  {before:10.4f}  {after:10.4f}{mark}")
        return "\n".join([*lines, f"model in {metrics['output_dir']}"])

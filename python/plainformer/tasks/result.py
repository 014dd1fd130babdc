"""What a fine-tuning gives: the trained task and its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .task import Task


@dataclass
class FineTuneResult:
    """What came out of a fine-tuning. `print(result)` shows figures before and after side by side.

    task : the Task with the trained model
    metrics : flat figures, `eval_accuracy` after, `before_eval_accuracy` before, ...
    """

    task: Task
    metrics: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Time, figures before and after (`<` marks the one that decides), the directory."""
        metrics = self.metrics
        lines = [
            f"{metrics['steps']} steps in {metrics['seconds']:.1f} s, "
            f"{metrics['tokens_per_second']:,.0f} tokens a second; "
            f"trained {metrics['trainable_parameters']:,} of {metrics['parameters']:,} parameters"
        ]
        rows = [name for name in metrics if f"before_{name}" in metrics]
        if rows:
            width, key = max(map(len, rows)), self.task.key_metric()
            lines.append(f"{'':{width}}  {'before':>10}  {'after':>10}")
        for name in rows:
            mark = "  <" if name.partition("_")[2] == key else ""
            before, after = metrics[f"before_{name}"], metrics[name]
            lines.append(f"{name:{width}}  {before:10.4f}  {after:10.4f}{mark}")
        return "\n".join([*lines, f"model in {metrics['output_dir']}"])

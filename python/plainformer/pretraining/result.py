"""What a pre-training gives: the trained model, its tokenizer and the figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..data import PreTrainedTokenizer
from ..reprs import figures, table_of

_SHOWN = ("steps", "train_loss", "eval_loss", "eval_perplexity", "output_dir")


@dataclass(repr=False)
class PretrainResult:
    """What came out of a pre-training. `print(result)` shows how it ended.

    model, tokenizer : as they are in `output_dir`
    metrics : flat figures: `steps`, `train_loss`, ..., with validation data `eval_loss` and
        `eval_perplexity` beside `unigram_loss` and `bigram_loss`, what the same labels cost without
        a model
    """

    model: Any
    tokenizer: PreTrainedTokenizer
    metrics: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        told = {name: self.metrics[name] for name in _SHOWN if name in self.metrics}
        return figures(self, told)

    def _repr_html_(self) -> str:
        """The figures as a notebook shows them."""
        return table_of(self.metrics, str(self).partition("\n")[0])

    def __str__(self) -> str:
        """Time, losses and the directory, a line each."""
        metrics = self.metrics
        lines = [
            f"{metrics['steps']} steps in {metrics['seconds']:.1f} s, "
            f"{metrics['tokens_per_second']:,.0f} tokens a second",
            f"training loss {metrics['train_loss']:.4f} (mean of all steps)",
        ]
        if "eval_loss" in metrics:
            lines.append(
                f"validation loss {metrics['eval_loss']:.4f} "
                f"(unigram {metrics['unigram_loss']:.4f}, bigram {metrics['bigram_loss']:.4f}), "
                f"perplexity {metrics['eval_perplexity']:.2f}"
            )
        return "\n".join([*lines, f"model in {metrics['output_dir']}"])
